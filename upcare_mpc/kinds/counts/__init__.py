"""Counts of patients by any axes, with margins."""
