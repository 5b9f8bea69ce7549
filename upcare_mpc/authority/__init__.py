"""A registry's key authority: ceremonies, approvals of requests, fragments of keys."""
