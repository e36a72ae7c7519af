"""Bytes on their way from and to the object store, verified and resumed."""
