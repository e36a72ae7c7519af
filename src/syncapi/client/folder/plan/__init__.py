"""How a plan comes about: who is who, what becomes of each, where it goes, in which order."""
