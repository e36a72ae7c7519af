"""The folder itself: the only ways in which it is changed."""
