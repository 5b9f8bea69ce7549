"""The platform: study life cycle and mailbox; it holds no share and no key of any party."""
