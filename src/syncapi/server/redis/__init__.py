"""What several processes share through Redis; each part also works without it."""
