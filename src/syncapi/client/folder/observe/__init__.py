"""How both sides are now."""
