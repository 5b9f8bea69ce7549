"""Attribute-based encryption: who holds a key with the right attributes opens, and nobody else.

``policy`` and ``lsss`` say which sets of attributes open, ``scheme`` is FABEO over the curve of
``groups``, and ``kem`` makes of it what others call: a wrapping key sealed under a policy.

Pure: randomness is passed in, and nothing here reads a clock, a disk or a network.
"""
