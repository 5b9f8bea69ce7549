"""Bytes of what committees exchange and sign: a version or use, then fields with their lengths.

    packed    = version of 4 bytes | length | field | length | field ...
    statement = "upcare/v1/abe-" use "|" length | field | length | field ...

A length is 4 bytes, big-endian. So no field runs into the next, and no statement can be read as one
of another use. What is signed is a statement, by a registry's own key (ECDSA P-256, the one of its
certificate); whoever calls brings signatures and their check.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

from upcare_mpc.abe.groups import ORDER
from upcare_mpc.errors import ProtocolError

__all__ = [
    "SCALAR_BYTES",
    "Verify",
    "pack",
    "scalar_bytes",
    "scalar_from_bytes",
    "statement",
    "unpack",
]

SCALAR_BYTES: Final = 32
_LENGTH_BYTES = 4

Verify: TypeAlias = Callable[[str, bytes, bytes], None]
"""Called with a registry's name, a statement and a signature; raises ``ProtocolError`` unless the
registry of that name in the network's roster has signed this statement."""


def statement(use: str, *fields: bytes) -> bytes:
    """Return the bytes to sign, or to hash, for one use."""
    return f"upcare/v1/abe-{use}|".encode() + _framed(fields)


def pack(version: bytes, *fields: bytes) -> bytes:
    """Encode fields."""
    return version + _framed(fields)


def unpack(version: bytes, encoded: bytes, *, most: int) -> list[bytes]:
    """Decode what ``pack`` gives.

    Args:
        version: What the bytes begin with.
        encoded: From anybody.
        most: Longer ones are refused before anything is read.

    Raises:
        ProtocolError: They are of another version, too long, cut, or lengthened.
    """
    if len(encoded) > most or not encoded.startswith(version):
        raise ProtocolError(f"at most {most} bytes of version {version.decode()} were expected")
    fields = []
    at = len(version)
    while at < len(encoded):
        start = at + _LENGTH_BYTES
        at = start + int.from_bytes(encoded[at:start])
        if start > len(encoded) or at > len(encoded):
            raise ProtocolError("a field is cut")
        fields.append(encoded[start:at])
    return fields


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


def _framed(fields: tuple[bytes, ...]) -> bytes:
    return b"".join(len(field).to_bytes(_LENGTH_BYTES) + field for field in fields)
