"""Means, variances and correlations of bounded variables."""
