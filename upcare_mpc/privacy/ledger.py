"""One registry's privacy ledger: what its population has been charged, and what is left.

A *charge* is the full (epsilon, delta) of a pooled release, whatever the registry contributed to
it (a registry with no matching patient pays the same; otherwise the balance would tell). The cap
is on the registry's POPULATION over all studies, requesters, purposes and snapshots; a purpose
may have a smaller cap of its own under it.

Life of a charge, one per key (study digest, session digest):

    reserve ──> spend ──> settle       output left; final
       └───────────┴────> release      nothing left, on the signed word of the others; refunded

* ``reserve`` when the registry agrees; already then it counts against the caps.
* ``spend`` before the registry's input shares leave: a crash costs budget, never privacy.
* ``release`` only after the caller has verified the signed words that no output left.
* A key is used once. A retry is a new session with a new key, so that neither a replayed
  message nor a double click can spend, or refund, twice.

**Why plain sums are right.** Basic composition adds epsilons and deltas, and stays valid when
each study, and its epsilon, is chosen after seeing all earlier answers, provided that a study is
refused before it would pass the cap (Rogers, Roth, Ullman and Vadhan, NeurIPS 2016: the sums are
a *filter*). Reserved and unsettled charges are counted as spent, so studies that run at the same
time are covered too.

The state is a fold over journal entries; other kinds of entries in the chain are passed over.
Every rule here checks first and then returns the event to be written; nothing is changed in
place, so a refusal changes nothing. Pure: no clock, no storage.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from fractions import Fraction
from types import MappingProxyType

from upcare_mpc.errors import BudgetExceeded, PrivacyError
from upcare_mpc.journal import Entry, Event

__all__ = ["Account", "Balance", "Caps", "Charge", "Key", "Ledger", "State"]

_DIGEST_BYTES = 32
_PREFIX = "ledger."


class State(Enum):
    """Where a charge stands."""

    RESERVED = "reserved"
    SPENT = "spent"
    SETTLED = "settled"
    RELEASED = "released"


_STEPS = {  # event: (states it may start from, state it leads to)
    "spend": ((State.RESERVED,), State.SPENT),
    "settle": ((State.SPENT,), State.SETTLED),
    "release": ((State.RESERVED, State.SPENT), State.RELEASED),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """Names one charge: a study and one attempt to run it.

    Attributes:
        study: Digest of the study.
        session: Digest of the session descriptor; a new attempt has a new one.
    """

    study: bytes
    session: bytes

    def __post_init__(self) -> None:
        """Check the lengths."""
        for name, digest in (("study", self.study), ("session", self.session)):
            if len(digest) != _DIGEST_BYTES:
                raise ValueError(f"{name} digest has {_DIGEST_BYTES} bytes, got {len(digest)}")

    def __str__(self) -> str:
        """Short form for texts."""
        return f"study {self.study.hex()[:12]}, session {self.session.hex()[:12]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What one release costs, in full."""

    epsilon: Fraction
    delta: Fraction
    purpose: str

    def __post_init__(self) -> None:
        """Check the ranges; a charge that costs nothing is a mistake."""
        if self.epsilon <= 0 or not 0 <= self.delta < 1:
            raise PrivacyError(
                f"a charge has epsilon > 0 and delta in [0, 1), "
                f"got {float(self.epsilon):g} and {float(self.delta):g}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """The most that may ever be charged; set by the registry.

    Attributes:
        epsilon: Cap over everything.
        delta: Cap over everything.
        purposes: Smaller epsilon caps for single purposes. A purpose that is not listed is
            bounded by ``epsilon`` alone; whether it is accepted at all is for the policy.
    """

    epsilon: Fraction
    delta: Fraction
    purposes: Mapping[str, Fraction] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Freeze the sub-caps."""
        object.__setattr__(self, "purposes", MappingProxyType(dict(self.purposes)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One charge and where it stands, for showing.

    Attributes:
        reserved_at: Time of the reservation, ISO 8601, UTC.
        changed_at: Time of the latest step.
    """

    key: Key
    charge: Charge
    state: State
    reserved_at: str
    changed_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """Sums over the accounts.

    Attributes:
        reserved: Epsilon of studies agreed to and not yet begun.
        spent: Epsilon of studies begun, whether or not their output has left.
        delta: Delta of both.
        left: Epsilon left under the cap over everything; never negative unless the registry
            lowered its cap afterwards.
        delta_left: Delta left.
        purposes: Epsilon reserved or spent by purpose.
    """

    reserved: Fraction
    spent: Fraction
    delta: Fraction
    left: Fraction
    delta_left: Fraction
    purposes: Mapping[str, Fraction]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """The state of a registry's budget after some journal entries.

    Attributes:
        caps: The registry's caps as they are now.
        accounts: One per key ever reserved, in order of reservation.
    """

    caps: Caps
    accounts: Mapping[Key, Account] = field(default_factory=lambda: MappingProxyType({}))

    @classmethod
    def replay(cls, caps: Caps, entries: Iterable[Entry]) -> "Ledger":
        """Fold verified journal entries into the present state.

        Raises:
            PrivacyError: An entry could not have been written by these rules.
        """
        accounts: dict[Key, Account] = {}
        for entry in entries:
            if entry.kind.startswith(_PREFIX):
                account = _after(accounts, entry)
                accounts[account.key] = account
        return cls(caps=caps, accounts=MappingProxyType(accounts))

    def balance(self) -> Balance:
        """Add up everything that was reserved or spent and not released."""
        held = [a for a in self.accounts.values() if a.state is not State.RELEASED]
        reserved = sum((a.charge.epsilon for a in held if a.state is State.RESERVED), Fraction(0))
        epsilon = sum((a.charge.epsilon for a in held), Fraction(0))
        delta = sum((a.charge.delta for a in held), Fraction(0))
        purposes: dict[str, Fraction] = {}
        for a in held:
            purposes[a.charge.purpose] = purposes.get(a.charge.purpose, Fraction(0)) + (
                a.charge.epsilon
            )
        return Balance(
            reserved=reserved,
            spent=epsilon - reserved,
            delta=delta,
            left=self.caps.epsilon - epsilon,
            delta_left=self.caps.delta - delta,
            purposes=MappingProxyType(purposes),
        )

    def reserve(self, key: Key, charge: Charge) -> Event:
        """Hold ``charge`` under all caps.

        Raises:
            BudgetExceeded: A cap would be passed.
            PrivacyError: The key was used before.
        """
        _check_unused(self.accounts, key)
        self.check(charge)
        return _event("reserve", key, charge)

    def check(self, charge: Charge) -> None:
        """Raise what ``reserve`` would raise for a fresh key; for previews."""
        balance = self.balance()
        if charge.epsilon > balance.left:
            raise BudgetExceeded("all studies", asked=charge.epsilon, left=balance.left)
        if charge.delta > balance.delta_left:
            raise PrivacyError(
                f"privacy budget exceeded: delta {float(charge.delta):.3g} asked, "
                f"{float(balance.delta_left):.3g} left under the cap for all studies"
            )
        if charge.purpose in self.caps.purposes:
            used = balance.purposes.get(charge.purpose, Fraction(0))
            left = self.caps.purposes[charge.purpose] - used
            if charge.epsilon > left:
                raise BudgetExceeded(f"purpose {charge.purpose}", asked=charge.epsilon, left=left)

    def spend(self, key: Key) -> Event:
        """Turn a reservation into an expense, before any input share leaves."""
        return self._step("spend", key)

    def settle(self, key: Key) -> Event:
        """Note that output left: the expense is final."""
        return self._step("settle", key)

    def release(self, key: Key) -> Event:
        """Refund a charge; the caller has verified that no output left and shares are erased."""
        return self._step("release", key)

    def _step(self, step: str, key: Key) -> Event:
        return _event(step, key, _account_for(self.accounts, step, key).charge)


def _after(accounts: Mapping[Key, Account], entry: Entry) -> Account:
    """Return the account that ``entry`` writes, checked as strictly as when it was decided."""
    try:
        return _written(accounts, entry)
    except PrivacyError as problem:
        raise PrivacyError(f"journal entry {entry.sequence}: {problem}") from None


def _written(accounts: Mapping[Key, Account], entry: Entry) -> Account:
    step = entry.kind.removeprefix(_PREFIX)
    key, charge = _parse(entry)
    if step == "reserve":
        _check_unused(accounts, key)
        return Account(
            key=key,
            charge=charge,
            state=State.RESERVED,
            reserved_at=entry.time,
            changed_at=entry.time,
        )
    account = _account_for(accounts, step, key)
    if charge != account.charge:
        raise PrivacyError(f"{key}: {step} of another charge than the one reserved")
    return replace(account, state=_STEPS[step][1], changed_at=entry.time)


def _check_unused(accounts: Mapping[Key, Account], key: Key) -> None:
    if key in accounts:
        raise PrivacyError(f"{key}: already {accounts[key].state.value}; a key is used once")


def _account_for(accounts: Mapping[Key, Account], step: str, key: Key) -> Account:
    """Return the account of ``key`` if ``step`` is allowed on it."""
    if step not in _STEPS:
        raise PrivacyError(f"{key}: the ledger has no step {step!r}")
    if key not in accounts:
        raise PrivacyError(f"{key}: {step} without a reservation")
    account, (sources, _) = accounts[key], _STEPS[step]
    if account.state not in sources:
        wanted = " or ".join(state.value for state in sources)
        raise PrivacyError(f"{key}: {step} wants a charge {wanted}, it is {account.state.value}")
    return account


def _event(step: str, key: Key, charge: Charge) -> Event:
    return Event(
        kind=_PREFIX + step,
        body={
            "study": key.study.hex(),
            "session": key.session.hex(),
            "epsilon": str(charge.epsilon),
            "delta": str(charge.delta),
            "purpose": charge.purpose,
        },
    )


def _parse(entry: Entry) -> tuple[Key, Charge]:
    """Read what ``_event`` wrote."""
    body = {name: str(value) for name, value in entry.fields().items()}
    try:
        key = Key(study=bytes.fromhex(body["study"]), session=bytes.fromhex(body["session"]))
        charge = Charge(
            epsilon=Fraction(body["epsilon"]),
            delta=Fraction(body["delta"]),
            purpose=body["purpose"],
        )
    except (KeyError, ValueError, ZeroDivisionError):
        raise PrivacyError("not a ledger entry of this version") from None
    return key, charge
