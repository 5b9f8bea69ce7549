"""Incidence, prevalence-free: rates against the resident population."""
