"""Sealed records at a platform that can open none of them.

    slot      room for one sealed record: a power of two of bytes
    block     64 slots of one size, in one object; a block changes as a whole
    row       72 bytes: a record's id, version, slot and data key, under the wrapping key of a group
    sheet     up to 4096 rows, in one object
    group     the records of one registry under one policy: a header (``abe.kem``) and its sheets
    edition   what a registry publishes on one day: all groups and all blocks; signed

``payload`` writes and reads the records, ``sealing`` seals slots and rows, ``objects`` are the
bytes of all the rest. ``publishing`` makes an edition out of the last one and of changes,
``keeper`` keeps what the registry knows of its sealed records, ``opening`` is the reader's side.
``store`` is the port to whatever holds the objects.

The format, what the platform sees, and what is claimed: ``docs/vault.md``.
"""
