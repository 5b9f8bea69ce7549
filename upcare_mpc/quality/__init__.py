"""What a registry's records are like: checks, counts and a report, for the registry alone."""
