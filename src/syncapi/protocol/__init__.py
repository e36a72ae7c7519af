"""The models of the API, shared by the server and its clients."""
