"""Quantiles from noisy counts of ranges."""
