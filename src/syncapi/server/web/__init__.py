"""HTTP: routes, dependencies, middleware, errors and the OpenAPI document."""
