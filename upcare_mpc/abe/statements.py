"""Bytes of what committees exchange and sign: a version or use, then fields with their lengths.

    statement = "upcare/v1/abe-" use "|" length | field | length | field ...

A length is 4 bytes, big-endian. So no field runs into the next, and no statement can be read as one
of another use. What is signed is a statement, by a registry's own key (ECDSA P-256, the one of its
certificate); whoever calls brings signatures and their check.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

from upcare_mpc.abe.groups import ORDER
from upcare_mpc.errors import ProtocolError
from upcare_mpc.study.packed import framed

__all__ = [
    "SCALAR_BYTES",
    "Verify",
    "scalar_bytes",
    "scalar_from_bytes",
    "statement",
]

SCALAR_BYTES: Final = 32

Verify: TypeAlias = Callable[[str, bytes, bytes], None]
"""Called with a registry's name, a statement and a signature; raises ``ProtocolError`` unless the
registry of that name in the network's roster has signed this statement."""


def statement(use: str, *fields: bytes) -> bytes:
    """Return the bytes to sign, or to hash, for one use."""
    return f"upcare/v1/abe-{use}|".encode() + framed(*fields)


def scalar_bytes(scalar: int) -> bytes:
    """Encode a scalar, big-endian."""
    return scalar.to_bytes(SCALAR_BYTES)


def scalar_from_bytes(encoded: bytes) -> int:
    """Decode a scalar, 0 among them.

    Raises:
        ProtocolError: The bytes are not 32, or those of ``ORDER`` or more.
    """
    scalar = int.from_bytes(encoded)
    if len(encoded) != SCALAR_BYTES or scalar >= ORDER:
        raise ProtocolError("these are not the bytes of a scalar")
    return scalar
