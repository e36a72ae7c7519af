"""A local copy of a tenant's documents that is kept in step with the server, in both directions.

It works offline: changes are queued and pushed later, and what the server has is there to read.
"""
