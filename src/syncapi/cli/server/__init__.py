"""The verbs of operators: they need the server package."""
