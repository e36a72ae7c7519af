"""A folder kept in step with a tenant's documents."""
