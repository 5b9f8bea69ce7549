"""Whole networks on this machine: to try, to show, and to search what a platform holds."""
