"""What is to change in the vault, and what each change costs.

A record keeps its data key only if its payload stays the same and its policy stays or widens
(``policies.widens``): then nothing but rows is written. A payload that changed, a policy that
narrowed, or both, take the next version: new id, new data key, new nonce, and the old block goes. A
withdrawn record goes, and its block with it.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt

from upcare_mpc.abe.groups import RandomBytes
from upcare_mpc.errors import InputError
from upcare_mpc.vault.policies import terms_of, widens
from upcare_mpc.vault.sealing import ID_BYTES, KEY_BYTES, seal_slot
from upcare_mpc.vault.sizes import MAX_PAYLOAD, size_for
from upcare_mpc.vault.state import PSEUDONYM_BYTES, RECORD, Records, State, pseudonym_order

__all__ = ["Change", "Collected", "Newcomers", "collect", "content_digest", "differences"]

_CONTENT_BYTES: Final = 16
_TWICE: Final = "vault: a batch has one change for each pseudonym"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Change:
    """What is wanted of one patient's record. Secret.

    Attributes:
        pseudonym: Of the patient, 16 bytes.
        policy: Under which the record is sealed, with registry and month of the edition; None: it
            is withdrawn.
        payload: Of the record; None: as it is.
    """

    pseudonym: bytes
    policy: str | None
    payload: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Newcomers:
    """Payloads that were sealed and have no slot yet. Secret.

    Attributes:
        records: ``(k,)`` of ``state.RECORD``, without their slots.
        places: ``(k,)``, of each record in the state; -1 if it is new.
        sizes: ``(k,)``, of the slot that each needs.
        offsets: ``(k,)``, where the sealed bytes of each begin in the spool.
    """

    records: Records
    places: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Collected:
    """What a batch of changes comes to. Secret.

    Attributes:
        terms: Of all groups, old ones first.
        groups: ``(n,)``, of each record of the state.
        leaving: ``(n,)``, whether it is withdrawn.
        replaced: ``(n,)``, whether its payload is among the newcomers.
        narrowed: ``(n,)``, whether it gets a new version with the old payload.
        newcomers: Payloads that are new.
    """

    terms: list[str]
    groups: npt.NDArray[np.uint32]
    leaving: npt.NDArray[np.bool_]
    replaced: npt.NDArray[np.bool_]
    narrowed: npt.NDArray[np.bool_]
    newcomers: Newcomers


def content_digest(payload: bytes) -> bytes:
    """By which the registry sees that a payload has changed; 16 bytes, secret."""
    return sha256(payload).digest()[:_CONTENT_BYTES]


def differences(state: State, wanted: Iterable[Change], *, epoch: str) -> Iterator[Change]:
    """Return the changes that lead from what is sealed to what is wanted.

    Args:
        state: What is sealed.
        wanted: Every record that is to be in the vault, with policy and payload. Records of the
            state that are not among them, or have no policy, are withdrawn; so this must be all.
        epoch: The month of the edition.

    Raises:
        InputError: A record with a policy has no payload, or its policy is none for this registry
            and month.
    """
    terms = _Terms(state, epoch)
    kept = np.zeros(len(state.records), bool)
    for one in wanted:
        if one.policy is None:
            continue
        if one.payload is None:
            raise InputError("vault: a record that is wanted has a payload")
        at = state.find(one.pseudonym)
        if at is None:
            yield one
            continue
        kept[at] = True
        record = state.records[at]
        if record["content"].tobytes() != content_digest(one.payload):
            yield one
        elif state.groups[record["group"]].terms != terms(one.policy):
            yield Change(pseudonym=one.pseudonym, policy=one.policy, payload=None)
    for pseudonym in state.records["pseudonym"][~kept]:
        gone = pseudonym.tobytes()
        yield Change(pseudonym=gone, policy=None, payload=None)


def collect(
    state: State, changes: Iterable[Change], *, epoch: str, spool: IO[bytes], random: RandomBytes
) -> Collected:
    """Decide what each change takes, and seal new payloads.

    Args:
        state: What is sealed.
        changes: At most one for each patient. Read once.
        epoch: The month of the edition.
        spool: An empty file; takes sealed payloads, so nothing that is secret.
        random: Source of keys and ids.

    Raises:
        InputError: A pseudonym is none, or comes twice; a payload is too long; a policy is none
            for this registry and month; a record that is not there is to stay as it is.
    """
    terms, wider = _Terms(state, epoch), _Remembered(widens)
    numbers = {group.terms: number for number, group in enumerate(state.groups)}
    groups = state.records["group"].copy()
    seen, leaving, narrowed = np.zeros((3, len(state.records)), bool)
    sealed = _Sealed(state.registry, spool, random)
    for change in changes:
        if len(change.pseudonym) != PSEUDONYM_BYTES:
            raise InputError(f"vault: a pseudonym has {PSEUDONYM_BYTES} bytes")
        at = state.find(change.pseudonym)
        if at is not None:
            if seen[at]:
                raise InputError(_TWICE)
            seen[at] = True
        if change.policy is None:
            if at is not None:
                leaving[at] = True
            continue
        new_terms = terms(change.policy)
        group = numbers.setdefault(new_terms, len(numbers))
        old = None if at is None else state.records[at]
        same = change.payload is None or (
            old is not None and old["content"].tobytes() == content_digest(change.payload)
        )
        if not same:
            assert change.payload is not None  # it would be the same
            sealed.add(change.pseudonym, change.payload, group, at, old)
        elif old is None:
            raise InputError("vault: a record that is not there cannot stay as it is")
        else:
            groups[at] = group
            narrowed[at] = not wider(state.groups[old["group"]].terms, new_terms)
    newcomers = sealed.newcomers()
    replaced = np.zeros(len(state.records), bool)
    replaced[newcomers.places[newcomers.places >= 0]] = True
    return Collected(
        terms=list(numbers),
        groups=groups,
        leaving=leaving,
        replaced=replaced,
        narrowed=narrowed,
        newcomers=newcomers,
    )


class _Sealed:
    """New payloads, sealed into the spool one by one; memory holds 101 bytes for each."""

    def __init__(self, registry: str, spool: IO[bytes], random: RandomBytes) -> None:
        self._registry = registry
        self._spool = spool
        self._random = random
        self._records = bytearray()
        self._places = array("q")
        self._sizes = array("B")

    def add(self, pseudonym: bytes, payload: bytes, group: int, at: int | None, old: Any) -> None:
        """Seal the next version of a record."""
        if len(payload) > MAX_PAYLOAD:
            raise InputError(f"vault: a payload has at most {MAX_PAYLOAD} bytes")
        version = 1 if old is None else int(old["version"]) + 1
        size = size_for(len(payload))
        fresh = self._random(ID_BYTES + KEY_BYTES)
        self._spool.write(
            seal_slot(
                payload,
                size=size,
                registry=self._registry,
                identity=fresh[:ID_BYTES],
                version=version,
                key=fresh[ID_BYTES:],
            )
        )
        self._records += b"".join(
            [
                pseudonym,
                fresh,
                content_digest(payload),
                version.to_bytes(4, "little"),
                bytes(4),
                group.to_bytes(4, "little"),
            ]
        )
        self._places.append(-1 if at is None else at)
        self._sizes.append(size)

    def newcomers(self) -> Newcomers:
        """Return all of them.

        Raises:
            InputError: A pseudonym comes twice.
        """
        records = np.frombuffer(self._records, RECORD)
        order = pseudonym_order(records["pseudonym"])
        halves = records["pseudonym"][order].view(np.uint64).reshape(-1, 2)
        if (halves[1:] == halves[:-1]).all(axis=1).any():
            raise InputError(_TWICE)
        sizes = np.array(self._sizes, np.uint8)
        lengths = np.left_shift(1, sizes, dtype=np.int64)
        return Newcomers(
            records=records,
            places=np.array(self._places, np.int64),
            sizes=sizes,
            offsets=np.cumsum(lengths) - lengths,
        )


class _Terms:
    """The terms of policies, each worked out once."""

    def __init__(self, state: State, epoch: str) -> None:
        self._registry, self._epoch = state.registry, epoch
        self._known: dict[str, str] = {}

    def __call__(self, policy: str) -> str:
        if policy not in self._known:
            self._known[policy] = terms_of(policy, registry=self._registry, epoch=self._epoch)
        return self._known[policy]


class _Remembered:
    """A function of two texts, each pair worked out once."""

    def __init__(self, function: Callable[[str, str], bool]) -> None:
        self._function = function
        self._known: dict[tuple[str, str], bool] = {}

    def __call__(self, old: str, new: str) -> bool:
        if (old, new) not in self._known:
            self._known[old, new] = self._function(old, new)
        return self._known[old, new]
