"""Databases behind the ports that inner packages define; IO in classes without rules."""
