"""syncapi keeps many clients' local copies of a tenant's documents in step with the server."""

__version__ = "0.1.0"
