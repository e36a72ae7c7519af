"""Follows a tenant: pulls its documents, submits changes, and learns what the server has lost."""
