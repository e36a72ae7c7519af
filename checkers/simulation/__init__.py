"""Folders synced at random while everything goes wrong, and held against the server."""
