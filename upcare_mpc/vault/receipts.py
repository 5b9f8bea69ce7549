"""A signed receipt for a withdrawal: what was deleted, and when.

    {"receipt": "upcare/vault/v1/withdrawal", "registry", "token", "edition", "day", "versions",
     "block", "deleted", "signature"}, canonical JSON; signed are the bytes
    "upcare/vault/v1/receipt|" | the same JSON without "signature"

It names no patient. The *token* is the beginning of SHA-256 over the pseudonym and the number of
the edition: the registry, which knows the pseudonym, finds the receipt of a patient who asks, and
nobody gets from the token to a pseudonym or from one receipt of a patient to another.

What it states: from this edition on no row leads to the record, the registry has not its data key
any more, and it has asked the platform to delete the block that held its last version; whoever has
the receipt can see that no such object is there. What nobody can state: that no copy was kept.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final

import msgspec

from upcare_mpc.errors import InputError, ProtocolError
from upcare_mpc.journal import Json, canonical_json, utc_text
from upcare_mpc.vault.edition import MAX_SIGNATURE
from upcare_mpc.vault.opening import Verify
from upcare_mpc.vault.publishing import Sign
from upcare_mpc.vault.state import State

__all__ = ["Receipt", "check_receipt", "receipts", "token_of"]

_KIND: Final = "upcare/vault/v1/withdrawal"
_LABEL: Final = b"upcare/vault/v1/receipt|"
_TOKEN_BYTES: Final = 16
_MAX_RECEIPT: Final = 4096
_HEX: Final = re.compile(r"[0-9a-f]+", re.ASCII)


class _Written(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    receipt: str
    registry: str
    token: str
    edition: int
    day: str
    versions: int
    block: str
    deleted: str
    signature: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a registry states about one withdrawal.

    Attributes:
        registry: Who states it.
        token: For the patient's page, hexadecimal.
        edition: The first edition without the record.
        day: Of that edition.
        versions: How many versions of the record there were.
        block: Name of the object that held the last one.
        deleted: When the registry had asked for its deletion, UTC.
    """

    registry: str
    token: str
    edition: int
    day: str
    versions: int
    block: str
    deleted: str


def token_of(pseudonym: bytes, edition: int) -> str:
    """Return the token on the receipt of a patient whose record left with an edition."""
    hashed = sha256(b"upcare/vault/v1/token|" + pseudonym + edition.to_bytes(8))
    return hashed.digest()[:_TOKEN_BYTES].hex()


def receipts(state: State, *, deleted: datetime, sign: Sign) -> list[str]:
    """Write the receipts for everything that left with the edition in force.

    Args:
        state: After the edition; before the next one, which forgets its departures.
        deleted: When the platform had been told to delete, in UTC.
        sign: Signs with the registry's key.

    Raises:
        ValueError: The time is not in UTC.
    """
    assert state.day is not None or not state.departures  # nothing leaves before an edition
    written = []
    for departure in state.departures:
        said: dict[str, Json] = {
            "receipt": _KIND,
            "registry": state.registry,
            "token": token_of(bytes.fromhex(departure.pseudonym), state.sequence),
            "edition": state.sequence,
            "day": str(state.day),
            "versions": departure.versions,
            "block": departure.block,
            "deleted": utc_text(deleted),
        }
        signature = sign(_LABEL + canonical_json(said).encode())
        written.append(canonical_json({**said, "signature": signature.hex()}))
    return written


def check_receipt(text: str, *, registry: str, verify: Verify) -> Receipt:
    """Check a receipt.

    Args:
        text: From anybody.
        registry: Whose receipt it must be.
        verify: Checks the registry's signature.

    Raises:
        ProtocolError: It is not a receipt of this registry, or was altered.
    """
    refusal = ProtocolError(f"this is not a receipt of {registry} for a withdrawal")
    if len(text) > _MAX_RECEIPT:
        raise refusal
    try:
        found = msgspec.json.decode(text, type=_Written)
        fields = {name: getattr(found, name) for name in found.__struct_fields__}
        canonical = canonical_json(fields)
    except (msgspec.DecodeError, InputError, UnicodeError):
        raise refusal from None
    signature = fields.pop("signature")
    if (
        canonical != text
        or (found.receipt, found.registry) != (_KIND, registry)
        or not _HEX.fullmatch(signature)
        or len(signature) % 2
        or len(signature) > 2 * MAX_SIGNATURE
    ):
        raise refusal
    verify(_LABEL + canonical_json(fields).encode(), bytes.fromhex(signature))
    del fields["receipt"]
    return Receipt(**fields)
