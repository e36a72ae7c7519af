"""How a plan is made: who is who, what becomes of each, where it goes, in which order."""
