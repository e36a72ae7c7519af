"""Bytes: access to S3 and the signing of URLs."""
