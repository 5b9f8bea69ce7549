"""UPCARE: one question to many cancer registries, one differentially private answer."""

__version__ = "0.1.0"
