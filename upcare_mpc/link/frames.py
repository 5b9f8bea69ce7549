"""Frames of the link as bytes, written and read by hand.

``protos/upcare/link/v1/link.proto`` is the specification: these are the bytes of a message with
one ``Frame`` in it. Bulk frames are most of what a session moves, and a general encoder copies them
twice. So the varints (lengths, ``total``) are written in the long form of four bytes, which any
protobuf reader accepts; then the head of a message always has 24 bytes, a payload starts at a
multiple of 8 and can be read where it lies. The same form is demanded of peers.

    12 <length>  09 <label, 8 bytes>  10 <total>  1a <length>  piece
"""

import struct
from typing import NamedTuple

from upcare_mpc.errors import ProtocolError

__all__ = ["HEAD_BYTES", "PIECE_BYTES", "Piece", "read_piece", "write_piece"]

PIECE_BYTES = 1 << 20

_HEAD = struct.Struct("<B4sBqB4sB4s")
HEAD_BYTES = _HEAD.size
_REFUSAL = "a peer sent something else than a frame after its Hello"
_FRAME, _LABEL, _TOTAL, _PIECE = 0x12, 0x09, 0x10, 0x1A  # protobuf: field number and wire type
_INNER_BYTES = HEAD_BYTES - 5  # of the frame in the message, before its piece


class Piece(NamedTuple):
    """One message: a piece of a frame.

    Attributes:
        label: Label of the frame.
        total: Length of the whole frame's payload in bytes.
        content: This piece of it.
    """

    label: int
    total: int
    content: memoryview


def write_piece(label: int, total: int, content: memoryview) -> bytes:
    """Encode one message; copies ``content`` once."""
    size = len(content)
    head = _HEAD.pack(
        _FRAME, _varint(_INNER_BYTES + size), _LABEL, label, _TOTAL, _varint(total), _PIECE,
        _varint(size),
    )  # fmt: skip
    return b"".join((head, content))


def read_piece(message: bytes) -> Piece:
    """Decode one message; ``content`` is a view of it.

    Raises:
        ProtocolError: It is not in the form above.
    """
    if len(message) < HEAD_BYTES:
        raise ProtocolError(_REFUSAL)
    frame, inner, label_tag, label, total_tag, total, piece_tag, size = _HEAD.unpack_from(message)
    have = len(message) - HEAD_BYTES
    if (
        (frame, label_tag, total_tag, piece_tag) != (_FRAME, _LABEL, _TOTAL, _PIECE)
        or _number(inner) != _INNER_BYTES + have
        or _number(size) != have
    ):
        raise ProtocolError(_REFUSAL)
    return Piece(label, _number(total), memoryview(message)[HEAD_BYTES:])


def _varint(value: int) -> bytes:
    """A number below 2^28 as a varint of four bytes."""
    return bytes(
        (value & 0x7F | 0x80, value >> 7 & 0x7F | 0x80, value >> 14 & 0x7F | 0x80, value >> 21)
    )


def _number(varint: bytes) -> int:
    a, b, c, d = varint
    if not a & b & c & 0x80 or d & 0x80:
        raise ProtocolError(_REFUSAL)
    return a & 0x7F | (b & 0x7F) << 7 | (c & 0x7F) << 14 | d << 21
