"""What the platform signs when it has stored a deposit.

    receipt = "UDQ1" | collection (32) | place | deposit's digest (32) | time | signature

``place`` and ``time`` (seconds since 1970, UTC) are 8 bytes, big-endian. A submitter who has a
receipt and does not find her deposit in the closed list can prove that the platform lost it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from upcare_mpc.deposits import statement
from upcare_mpc.errors import ProtocolError
from upcare_mpc.study.packed import pack, unpack

__all__ = ["Receipt"]

_VERSION: Final = b"UDQ1"
_MAX_BYTES: Final = 1 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A receipt.

    Attributes:
        collection: Digest.
        place: Of the deposit in the collection, from 0.
        deposit: Its digest.
        time: When it was stored, seconds since 1970, UTC.
        signature: By the platform's certificate's key.
    """

    collection: bytes
    place: int
    deposit: bytes
    time: int
    signature: bytes = b""

    def statement(self) -> bytes:
        """The bytes that the platform signs."""
        place, time = self.place.to_bytes(8), self.time.to_bytes(8)
        return statement("receipt", self.collection, place, self.deposit, time)

    def signed(self, sign: Callable[[bytes], bytes]) -> "Receipt":
        """Sign it."""
        return replace(self, signature=sign(self.statement()))

    def to_bytes(self) -> bytes:
        """Encode."""
        place, time = self.place.to_bytes(8), self.time.to_bytes(8)
        return pack(_VERSION, self.collection, place, self.deposit, time, self.signature)

    @classmethod
    def from_bytes(cls, encoded: bytes) -> "Receipt":
        """Decode; the signature is not checked here.

        Raises:
            ProtocolError: These are not the bytes of a receipt.
        """
        fields = unpack(_VERSION, encoded, most=_MAX_BYTES)
        if [len(field) for field in fields[:4]] != [32, 8, 32, 8] or len(fields) != 5:
            raise ProtocolError("these are not the bytes of a receipt")
        collection, place, deposit, time, signature = fields
        return cls(
            collection=collection,
            place=int.from_bytes(place),
            deposit=deposit,
            time=int.from_bytes(time),
            signature=signature,
        )
