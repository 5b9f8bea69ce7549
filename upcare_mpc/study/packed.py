"""Fields one after the other, each behind its length: what is signed, hashed or sent packed.

    framed = length | field | length | field ...
    packed = version of 4 bytes | framed

A length is 4 bytes, big-endian. So no field runs into the next.
"""

from upcare_mpc.errors import ProtocolError

__all__ = ["framed", "pack", "unpack", "unpack_first"]

_LENGTH_BYTES = 4


def framed(*fields: bytes) -> bytes:
    """Put the length before each field."""
    return b"".join(len(field).to_bytes(_LENGTH_BYTES) + field for field in fields)


def pack(version: bytes, *fields: bytes) -> bytes:
    """Encode fields."""
    return version + framed(*fields)


_MOST_FIELDS = 1 << 12
"""More than any message has; a field may be empty, and each costs time."""


def unpack(version: bytes, encoded: bytes, *, most: int) -> list[bytes]:
    """Decode what ``pack`` gives.

    Args:
        version: What the bytes begin with.
        encoded: From anybody.
        most: Longer ones are refused before anything is read.

    Raises:
        ProtocolError: They are of another version, too long, cut, lengthened, or too many.
    """
    if len(encoded) > most or not encoded.startswith(version):
        raise ProtocolError(f"at most {most} bytes of version {version.decode()} were expected")
    fields: list[bytes] = []
    at = len(version)
    while at < len(encoded):
        if len(fields) == _MOST_FIELDS:
            raise ProtocolError(f"at most {_MOST_FIELDS} fields were expected")
        field, at = _field(encoded, at)
        fields.append(field)
    return fields


def unpack_first(version: bytes, begun: bytes, *, fields: int) -> list[bytes]:
    """Decode the first fields from the first bytes of what ``pack`` gives.

    Args:
        version: What the bytes begin with.
        begun: From anybody; whatever comes behind these fields is not looked at.
        fields: How many.

    Raises:
        ProtocolError: They are of another version, or these fields are not all there.
    """
    if not begun.startswith(version):
        raise ProtocolError(f"bytes of version {version.decode()} were expected")
    found = []
    at = len(version)
    for _ in range(fields):
        field, at = _field(begun, at)
        found.append(field)
    return found


def _field(encoded: bytes, at: int) -> tuple[bytes, int]:
    """Read the field at a place, and where it ends."""
    start = at + _LENGTH_BYTES
    end = start + int.from_bytes(encoded[at:start])
    if start > len(encoded) or end > len(encoded):
        raise ProtocolError("a field is cut")
    return encoded[start:end], end
