"""A registry's vault and its copy at the platform: one edition a day, whole or not in force.

    state/vault/            keys of the records (`vault.keeper`); secret
    state/vault/objects/    the registry's own store

A run does, in this order:

1. if the run before was cut, the edition in force is handed over;
2. the edition of today is sealed, and comes into force in the registry's own store;
3. it is handed over: journalled (``vault.publish``), copied to the platform, where the old objects
   are deleted last; then receipts for what left are written and journalled (``vault.withdraw``).

Cut anywhere, the next run goes on there; on a day that has its edition it only hands that over. The
journal names an edition before any of it can be at the platform. Receipts are written once, when
the platform lists nothing any more that the edition does not need.

A platform may cut a run wherever it likes, say that it holds what it does not, or go on listing
what it was told to delete. What it is asked for then does not depend on whether anybody withdrew:
an edition without withdrawals is handed over like any other, with an entry of no receipts, and no
object is ever deleted by name because a record has left it.

The platform is trusted with nothing. If it shows a later edition of this registry than the registry
has, the registry's folder is lost or was put back from an old copy: nothing is sealed, as two
editions of one number would contradict each other, until the operator has all sealed anew, behind
the number that the platform shows and the registry has signed. The old list of data keys is not
missed, but withdrawals since then have no receipt.

What the platform learns: ``docs/vault.md``. What a run reports are exact counts of patients.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias

from cryptography import x509

from upcare_mpc.abe.groups import RandomBytes
from upcare_mpc.abe.keys import PublicKey
from upcare_mpc.errors import ConfigError, DataError, ProtocolError
from upcare_mpc.journal import Event, Json
from upcare_mpc.link.certificates import Identity, verify_signature
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.journal_store import SqlJournal
from upcare_mpc.storage.receipts import PatientReceipt, Receipts
from upcare_mpc.vault.changes import Change, differences
from upcare_mpc.vault.edition import HEAD, MAX_HEAD_BYTES, Edition, epoch_of, open_head
from upcare_mpc.vault.keeper import Keeper
from upcare_mpc.vault.opening import check_head
from upcare_mpc.vault.receipts import receipts, token_of
from upcare_mpc.vault.state import State
from upcare_mpc.vault.store import Folder, Store, copy, named_by_head

__all__ = ["Held", "RegistryVault", "Sealed", "Wanted"]

Wanted: TypeAlias = Callable[[State, date], Iterator[Change]]
"""Every record that is to be in the edition of a day, after what is sealed (`sealing.Records`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """What a run came to. Secret but for registry, edition and day.

    Attributes:
        registry: Whose vault it is.
        edition: Number of the edition in force.
        day: Of that edition.
        fresh: Whether this run has sealed it.
        patients: Records in it.
        policies: Groups in it.
        departed: Records that left with it.
        uploaded_bytes: Of objects that this run has brought to the platform.
    """

    registry: str
    edition: int
    day: date
    fresh: bool
    patients: int
    policies: int
    departed: int
    uploaded_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """How what the platform holds differs from the edition in force.

    Attributes:
        edition: Number of the edition in force.
        day: Of that edition.
        objects: How many it needs, beside the head.
        same_head: Whether the platform shows this edition.
        missing: Objects that the platform has not.
        left_over: Objects that it has and should not have any more.
    """

    edition: int
    day: date
    objects: int
    same_head: bool
    missing: int
    left_over: int

    @property
    def whole(self) -> bool:
        """Whether there is no difference."""
        return self.same_head and not self.missing and not self.left_over


class RegistryVault:
    """The vault of one registry; one process at a time works on it."""

    def __init__(
        self,
        folder: Path,
        platform: Store,
        database: Database,
        identity: Identity,
        *,
        now: Callable[[], datetime],
    ) -> None:
        """Open the folder, or make it.

        Args:
            folder: The registry's alone.
            platform: Its vault at the platform.
            database: Of the node.
            identity: Of the registry; signs editions and receipts.
            now: The clock, in UTC.
        """
        self._own = Folder(folder / "objects")
        self._keeper = Keeper(folder, self._own, registry=identity.party.name)
        self._platform = _Counted(platform)
        self._receipts = Receipts(database)
        self._journal = SqlJournal(database)
        self._identity = identity
        self._now = now

    def seal(
        self, wanted: Wanted, *, public: PublicKey, random: RandomBytes, anew: bool = False
    ) -> Sealed:
        """Seal the edition of today, and bring it to the platform.

        Args:
            wanted: All records that are to be in it.
            public: Key of the network's committee.
            random: Source of keys and ids, and of what fills free slots.
            anew: Seal everything from the beginning, after a loss.

        Raises:
            ConfigError: Another process works on the vault; or the registry's folder is behind the
                platform's.
            DataError: Objects or keys are lost or damaged.
            LinkError: The platform is lost; the next run goes on.
            UpcareError: As ``vault.keeper.Keeper.publish``; the old edition stays in force.
        """
        with self._keeper.writing():
            today = self._now().date()
            if anew:
                self._take_number()
                state = State.empty(self._identity.party.name)
            else:
                state = self._finished(today)
            fresh = anew or state.day is None or state.day < today
            if fresh:
                changes = wanted(state, today)
                state = self._keeper.publish(
                    changes if anew else differences(state, changes, epoch=epoch_of(today)),
                    day=today,
                    public=public,
                    sign=self._identity.sign,
                    random=random,
                    anew=anew,
                )
                self._hand_over(state)
        assert state.day is not None  # an edition is in force
        return Sealed(
            registry=state.registry,
            edition=state.sequence,
            day=state.day,
            fresh=fresh,
            patients=len(state.records),
            policies=len(state.groups),
            departed=len(state.departures),
            uploaded_bytes=self._platform.uploaded_bytes,
        )

    def check(self) -> Held:
        """Compare what the platform says it holds with the edition in force.

        Raises:
            ConfigError: Another process works on the vault.
            DataError: Nothing is sealed yet, or the registry's own store is damaged.
            LinkError: The platform is lost.
        """
        with self._keeper.writing():
            return self._held()

    def _finished(self, today: date) -> State:
        """What is sealed, after the end of what a run before has begun."""
        self._keeper.finish()
        state = self._keeper.state()
        theirs = _sequence(self._platform.get(HEAD, at_most=MAX_HEAD_BYTES))
        if theirs > state.sequence:
            raise ConfigError(
                f"the platform holds edition {theirs} of this registry's vault, and the folder of "
                f"its keys knows {state.sequence}: put the latest folder back, or seal all records "
                "anew (--anew)"
            )
        if state.day is not None and (state.day >= today or not self._is_finished(state)):
            self._hand_over(state)
        return state

    def _take_number(self) -> None:
        """Go on behind the edition that the platform shows, if it is later than one's own."""
        head = self._platform.get(HEAD, at_most=MAX_HEAD_BYTES)
        own = self._own.get(HEAD, at_most=MAX_HEAD_BYTES)
        if head is not None and _sequence(head) > _sequence(own):
            name = self._identity.party.name
            check_head(head, registry=name, verify=self._verify, earliest=date.min, seen=None)
            self._own.put(HEAD, head)

    def _hand_over(self, state: State) -> None:
        """Journal the edition in force, copy it, and give receipts; what was done stays."""
        head = self._own.get(HEAD, at_most=MAX_HEAD_BYTES)
        assert head is not None  # the state is of an edition in force
        named: dict[str, Json] = {
            "edition": state.sequence,
            "day": str(state.day),
            "head": sha256(head).hexdigest(),
        }
        if not self._has_noted("vault.publish", named):
            event = Event(kind="vault.publish", body=named)
            self._journal.record(lambda _: event, time=self._now())
        copy(self._own, self._platform)
        held = self._held()
        if not held.whole:
            raise DataError(
                f"edition {state.sequence} is uploaded, and the platform does not hold it as it "
                "should; run `upcare records check`"
            )
        if not self._is_finished(state):
            now = self._now()
            texts = receipts(state, deleted=now, sign=self._identity.sign)
            given = [
                PatientReceipt(patient=patient, token=token, text=text)
                for (patient, token), text in zip(_tokens(state), texts, strict=True)
            ]
            self._receipts.record(state.sequence, given, time=now)

    def _is_finished(self, state: State) -> bool:
        """Whether the edition was handed over to the end."""
        tokens = sorted(token for _, token in _tokens(state))
        return self._has_noted("vault.withdraw", {"edition": state.sequence, "tokens": tokens})

    def _has_noted(self, kind: str, body: dict[str, Json]) -> bool:
        entries = self._journal.entries()
        return any(entry.kind == kind and entry.fields() == body for entry in entries)

    def _held(self) -> Held:
        head = self._own.get(HEAD, at_most=MAX_HEAD_BYTES)
        if head is None:
            raise DataError("nothing is sealed yet; run `upcare records seal`")
        needed = named_by_head(self._own).keys()
        edition = Edition.from_bytes(open_head(head)[0])
        held = set(self._platform.names()) - {HEAD}
        return Held(
            edition=edition.sequence,
            day=edition.day,
            objects=len(needed),
            same_head=self._platform.get(HEAD, at_most=MAX_HEAD_BYTES) == head,
            missing=len(needed - held),
            left_over=len(held - needed),
        )

    def _verify(self, said: bytes, signature: bytes) -> None:
        certificate = x509.load_pem_x509_certificate(self._identity.certificate_pem)
        verify_signature(certificate, said, signature)


class _Counted:
    """A store that counts what is put into it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.uploaded_bytes = 0

    def put(self, name: str, content: bytes) -> None:
        """As ``Store`` says."""
        self._store.put(name, content)
        self.uploaded_bytes += len(content)

    def get(self, name: str, *, at_most: int) -> bytes | None:
        """As ``Store`` says."""
        return self._store.get(name, at_most=at_most)

    def delete(self, name: str) -> None:
        """As ``Store`` says."""
        self._store.delete(name)

    def names(self) -> Iterable[str]:
        """As ``Store`` says."""
        return self._store.names()

    def settle(self) -> None:
        """As ``Store`` says."""
        self._store.settle()


def _tokens(state: State) -> list[tuple[bytes, str]]:
    """Pseudonym and token of each patient whose record left with the edition."""
    patients = [bytes.fromhex(departure.pseudonym) for departure in state.departures]
    return [(patient, token_of(patient, state.sequence)) for patient in patients]


def _sequence(head: bytes | None) -> int:
    """The number that a head states, by nobody's word; 0 if it is none."""
    try:
        return Edition.from_bytes(open_head(head)[0]).sequence if head else 0
    except ProtocolError:
        return 0
