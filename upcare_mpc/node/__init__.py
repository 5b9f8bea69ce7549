"""A registry's node: a server that never loads MPyC, and one worker process a session."""
