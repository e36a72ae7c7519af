"""Archives of many documents, made while they are read."""
