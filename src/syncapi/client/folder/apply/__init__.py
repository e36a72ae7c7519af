"""A plan carried out, in the folder and on the server."""
