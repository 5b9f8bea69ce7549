"""Logistic, Poisson and piecewise exponential regression on noisy tables."""
