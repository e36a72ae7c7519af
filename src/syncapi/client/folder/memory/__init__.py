"""What the mirror remembers between two syncs."""
