"""Survival by arm, from one life table of noisy counts."""
