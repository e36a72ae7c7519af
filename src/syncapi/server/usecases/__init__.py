"""What the service does, one module a use case; each owns its transactions."""
