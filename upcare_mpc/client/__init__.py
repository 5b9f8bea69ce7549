"""For researchers: keys, asking, following, and opening results."""
