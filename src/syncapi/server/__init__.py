"""The service: HTTP, use cases, and what they stand on."""
