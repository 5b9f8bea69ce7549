"""Attribute-based encryption: who holds a key with the right attributes opens, and nobody else.

``policy`` and ``lsss`` say which sets of attributes open, ``scheme`` is FABEO over the curve of
``groups``, and ``kem`` makes of it what others call: a wrapping key sealed under a policy.

The master secret exists nowhere: registries make it together (``ceremony``, ``dealing``,
``threshold``) and each holds a share (``committee``). What is asked for and approved (``request``)
is issued in fragments (``issuance``), which leave a registry by rules (``release``).

Pure: randomness is passed in, and nothing here reads a clock, a disk or a network.
"""
