"""Fields one after the other, each behind its length: what is signed, hashed or sent packed.

    framed = length | field | length | field ...
    packed = version of 4 bytes | framed

A length is 4 bytes, big-endian. So no field runs into the next.
"""

from upcare_mpc.errors import ProtocolError

__all__ = ["framed", "pack", "unpack"]

_LENGTH_BYTES = 4


def framed(*fields: bytes) -> bytes:
    """Put the length before each field."""
    return b"".join(len(field).to_bytes(_LENGTH_BYTES) + field for field in fields)


def pack(version: bytes, *fields: bytes) -> bytes:
    """Encode fields."""
    return version + framed(*fields)


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
