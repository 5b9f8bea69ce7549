"""What patients answer from their own device."""
