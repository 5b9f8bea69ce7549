"""Messages between a node's server and its workers, over the worker's standard streams.

Each message is a length, a JSON header with a ``say`` key, and raw bytes. Both ends are the same
program on the same machine; a worker whose server is gone reads the end of its input and exits.
"""

import asyncio
import json
import struct
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Message", "read_message", "write_message"]

_LENGTHS = struct.Struct("<IQ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message.

    Attributes:
        say: What it is.
        fields: JSON values.
        blob: Bulk bytes, for example a vector. May be secret.
    """

    say: str
    fields: dict[str, Any] = field(default_factory=dict, repr=False)  # keys among them
    blob: bytes = field(default=b"", repr=False)


async def read_message(stream: asyncio.StreamReader) -> Message | None:
    """Read one message, or ``None`` at the end of the stream."""
    try:
        header_size, blob_size = _LENGTHS.unpack(await stream.readexactly(_LENGTHS.size))
        header = json.loads(await stream.readexactly(header_size))
        blob = await stream.readexactly(blob_size)
    except asyncio.IncompleteReadError:
        return None
    return Message(say=header.pop("say"), fields=header, blob=blob)


def write_message(
    stream: asyncio.StreamWriter, say: str, /, blob: bytes = b"", **fields: Any
) -> None:
    """Queue one message."""
    header = json.dumps({"say": say, **fields}).encode()
    stream.write(_LENGTHS.pack(len(header), len(blob)) + header)
    if blob:
        stream.write(blob)
