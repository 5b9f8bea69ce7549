"""Where the noise of a session comes from: drawn in it, or burnt from the committee's noise bank.

    direct                               drawn in the session
    bank/<epoch>/<first>/<count>         ``count`` whole segments of the bank from ``first`` on

The text stands in the session descriptor and so in every approval, Hello and signature of the
session: all registries mean the same values, or the session does not begin.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from upcare_mpc.errors import ProtocolError

__all__ = ["DIRECT", "SEGMENT_CELLS", "Draw", "committee_digest", "read_draw", "segments_of"]

DIRECT = "direct"
SEGMENT_CELLS = 4096  # noise values that are sealed under one key, and burnt together
_DRAW = re.compile(r"bank/([0-9a-f]{64})/(0|[1-9][0-9]{0,8})/([1-9][0-9]{0,8})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """Some segments of one noise bank; burnt by one session, whether it succeeds or not.

    Attributes:
        epoch: Digest of the fill that made the bank, 32 bytes.
        first: Number of the first segment.
        count: How many.
    """

    epoch: bytes
    first: int
    count: int

    def __str__(self) -> str:
        return f"bank/{self.epoch.hex()}/{self.first}/{self.count}"


def read_draw(noise: str, *, cells: int) -> Draw | None:
    """Read the text of a descriptor; ``None`` is the direct path.

    Args:
        noise: ``direct`` or a draw.
        cells: Of the session's table; a draw has exactly the segments that they need.

    Raises:
        ProtocolError: It is neither, or a draw of another length.
    """
    if noise == DIRECT:
        return None
    match = _DRAW.fullmatch(noise)
    if match is None:
        raise ProtocolError("a session's noise is direct, or bank/EPOCH/FIRST/COUNT")
    draw = Draw(epoch=bytes.fromhex(match[1]), first=int(match[2]), count=int(match[3]))
    if draw.count != segments_of(cells):
        raise ProtocolError(
            f"{cells} cells take {segments_of(cells)} segments of a noise bank, got {draw.count}"
        )
    return draw


def segments_of(cells: int) -> int:
    """How many whole segments hold so many cells."""
    return -(-cells // SEGMENT_CELLS)


def committee_digest(network: bytes, seats: Iterable[tuple[str, bytes]]) -> bytes:
    """Name a committee: the network, and name and certificate of each of its m, in their order.

    Args:
        network: SHA-256 of the network's CA certificate.
        seats: Name and SHA-256 of the certificate of each computing registry.
    """
    digest = hashlib.sha256(b"upcare/v1/committee|" + network)
    for name, certificate in seats:
        digest.update(len(name).to_bytes(1, "big") + name.encode() + certificate)
    return digest.digest()
