"""Foreign bytes in, common records out, or a reason why not; never a path, a clock or a network."""
