"""What the parties compute: one program a file, versioned."""
