"""Association of an exposure with an outcome, in strata."""
