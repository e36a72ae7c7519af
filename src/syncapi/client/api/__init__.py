"""The API's client: requests, their retries, tokens, and a face without ``await``."""
