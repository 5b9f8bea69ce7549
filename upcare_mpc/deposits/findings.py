"""What the holders say about the deposits of a collection, and the set that enters the study.

When a collection is closed its deposits have an order. Each present holder downloads all of them;
the deposit at place i is *checked* (who may deposit, signature, proof) by t + 1 of the h holders
present: those at places i, i + 1, ..., i + t modulo h. Up to t of them may be curious, none lies
(honest-but-curious), and a check that t + 1 have made has been made by an honest one. What a holder
found it signs. The frozen set follows from the findings alone, so every holder can work it out; its
digest is in the session descriptor, and a holder joins one frozen set for each key, ever.

Canonical bytes: JSON, keys sorted, ASCII, no spaces. Public to the network.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from upcare_mpc.deposits import statement
from upcare_mpc.deposits.collection import MAX_DEPOSITS, Collection
from upcare_mpc.deposits.key import Verify
from upcare_mpc.errors import ProtocolError

__all__ = ["REASONS", "Findings", "FrozenSet", "checkers_of", "freeze", "list_digest"]

REASONS: Final = ("form", "submitter", "repeated", "proof", "share")
"""Why a deposit is refused: not a deposit of this collection; not of somebody who may deposit, or
not signed; its submitter has another one before it; its proof does not hold; the share that is
sealed to a holder does not open, which that holder alone can tell. Of several the first counts."""

_MAX_BYTES: Final = 4 << 20
_VERSION: Final = 1


def list_digest(collection: bytes, deposits: Iterable[bytes]) -> bytes:
    """Digest of the ordered digests of all deposits of a closed collection."""
    return hashlib.sha256(statement("list", collection, *deposits)).digest()


def checkers_of(place: int, present: Sequence[str], threshold: int) -> tuple[str, ...]:
    """Who checks the deposit at a place: t + 1 of the holders present."""
    return tuple(present[(place + step) % len(present)] for step in range(threshold + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What one holder found.

    Attributes:
        collection: Digest.
        count: How many deposits there are.
        deposits: Digest of their list (``list_digest``).
        present: The holders among whom the checks are shared, in the collection's order.
        holder: Whose findings these are.
        certificate: PEM, of the holder: whoever was lost afterwards is in no session's roster.
        refused: Place to reason, of those that it has checked and refuses.
        registries: Place to name, of those that it has checked and accepts as a registry's table.
        signature: By its certificate's key.
    """

    collection: bytes
    count: int
    deposits: bytes
    present: tuple[str, ...]
    holder: str
    certificate: bytes
    refused: Mapping[int, str]
    registries: Mapping[int, str] = field(default_factory=dict)
    signature: bytes = b""

    def canonical(self) -> bytes:
        """Encode as canonical bytes, without the signature."""
        return _json(
            {
                "version": _VERSION,
                "collection": self.collection.hex(),
                "count": self.count,
                "deposits": self.deposits.hex(),
                "present": list(self.present),
                "holder": self.holder,
                "certificate": self.certificate.decode("ascii"),
                "refused": sorted(self.refused.items()),
                "registries": sorted(self.registries.items()),
            }
        )

    def statement(self) -> bytes:
        """The bytes that the holder signs."""
        return statement("findings", self.canonical())

    def signed(self, sign: Callable[[bytes], bytes]) -> "Findings":
        """Sign them."""
        return replace(self, signature=sign(self.statement()))

    @classmethod
    def from_canonical(cls, received: bytes, signature: bytes) -> "Findings":
        """Decode; the signature is not checked here.

        Raises:
            ProtocolError: These are not the bytes of findings.
        """
        content = _read(received)
        try:
            findings = cls(
                collection=bytes.fromhex(content["collection"]),
                count=int(content["count"]),
                deposits=bytes.fromhex(content["deposits"]),
                present=tuple(str(name) for name in content["present"]),
                holder=str(content["holder"]),
                certificate=str(content["certificate"]).encode("ascii"),
                refused={int(place): str(reason) for place, reason in content["refused"]},
                registries={int(place): str(name) for place, name in content["registries"]},
                signature=signature,
            )
        except (ArithmeticError, ValueError, KeyError, TypeError) as error:
            raise ProtocolError("a holder's findings cannot be read") from error
        if findings.canonical() != received:
            raise ProtocolError("a holder's findings are not in canonical form")
        return findings


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenSet:
    """The deposits that enter the study.

    Attributes:
        collection: Digest.
        count: How many deposits there were.
        deposits: Digest of their list.
        refused: Place to reason, of those that do not enter.
        registries: Place to name, of registries' tables that enter; the others are patients'.
    """

    collection: bytes
    count: int
    deposits: bytes
    refused: Mapping[int, str]
    registries: Mapping[int, str]

    @property
    def accepted(self) -> tuple[int, ...]:
        """Places of the deposits that enter."""
        return tuple(place for place in range(self.count) if place not in self.refused)

    @property
    def digest(self) -> bytes:
        """SHA-256 of its canonical bytes; what the session descriptor holds."""
        content = {
            "version": _VERSION,
            "collection": self.collection.hex(),
            "count": self.count,
            "deposits": self.deposits.hex(),
            "refused": sorted(self.refused.items()),
            "registries": sorted(self.registries.items()),
        }
        return hashlib.sha256(b"upcare/v1/frozen-set|" + _json(content)).digest()


def freeze(collection: Collection, findings: Sequence[Findings], verify: Verify) -> FrozenSet:
    """Work out the frozen set from the findings of all holders present.

    Raises:
        ProtocolError: They are not of this collection, one and the same list, and all holders
            present (2t + 1 at least); a holder refuses what is not its to check; or a signature
            is not the holder's.

    A share that does not open is stated by whomever it is sealed to, whoever checks the deposit.
    """
    if not findings:
        raise ProtocolError("a frozen set wants the findings of every holder present")
    first = findings[0]
    present = first.present
    known = tuple(name for name in collection.names if name in present)
    if present != known or len(present) < 2 * collection.threshold + 1:
        raise ProtocolError("deposits are checked among at least 2t + 1 holders, in their order")
    if not 0 <= first.count <= MAX_DEPOSITS:
        raise ProtocolError(f"a collection has at most {MAX_DEPOSITS} deposits")
    if sorted(found.holder for found in findings) != sorted(present):
        raise ProtocolError("a frozen set wants the findings of every holder present")
    ordered = sorted(findings, key=lambda found: collection.place(found.holder))
    refused: dict[int, str] = {}
    for found in ordered:
        same = (found.collection, found.count, found.deposits, found.present)
        if same != (collection.digest, first.count, first.deposits, present):
            raise ProtocolError("the holders do not have the same deposits; none is converted")
        verify(found.holder, found.statement(), found.signature)
        _check_places(found, collection, first.count)
        for place, reason in found.refused.items():
            refused[place] = min(refused.get(place, reason), reason, key=REASONS.index)
    return FrozenSet(
        collection=collection.digest,
        count=first.count,
        deposits=first.deposits,
        refused=refused,
        registries=_registries(collection, ordered, refused),
    )


def _check_places(found: Findings, collection: Collection, count: int) -> None:
    """Check that a holder speaks of what it has checked, and of shares that are sealed to it."""

    def its_own(place: int) -> bool:
        return found.holder in checkers_of(place, found.present, collection.threshold)

    sealed = collection.envelope == "sealed"
    refuses = [
        reason in REASONS and (its_own(place) or (reason == "share" and sealed))
        for place, reason in found.refused.items()
    ]
    accepts = [
        name in collection.depositors and its_own(place) and place not in found.refused
        for place, name in found.registries.items()
    ]
    within = all(0 <= place < count for place in (*found.refused, *found.registries))
    if not (within and all(refuses) and all(accepts)):
        raise ProtocolError(f"{found.holder} speaks of a deposit that it did not check")


def _registries(
    collection: Collection, findings: Sequence[Findings], refused: Mapping[int, str]
) -> dict[int, str]:
    """Whose tables enter: all who have checked a deposit say the same about it.

    Raises:
        ProtocolError: They do not, or one registry has two.
    """
    by_holder = {found.holder: found for found in findings}
    found = {place: name for each in findings for place, name in each.registries.items()}
    entering = {place: name for place, name in sorted(found.items()) if place not in refused}
    for place, name in entering.items():
        checkers = checkers_of(place, findings[0].present, collection.threshold)
        if any(by_holder[checker].registries.get(place) != name for checker in checkers):
            raise ProtocolError("the holders do not say the same about whose a deposit is")
    if len(set(entering.values())) != len(entering):
        raise ProtocolError("a registry deposits one table")
    return entering


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode("ascii")


def _read(received: bytes) -> dict[str, Any]:
    if len(received) > _MAX_BYTES:
        raise ProtocolError(f"findings have at most {_MAX_BYTES} bytes")
    try:
        content = json.loads(received)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("a holder's findings cannot be read") from error
    if not isinstance(content, dict) or content.get("version") != _VERSION:
        raise ProtocolError(f"findings of version {_VERSION} are spoken here")
    return content
