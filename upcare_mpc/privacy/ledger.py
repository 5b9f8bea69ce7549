"""One registry's privacy ledger: what its population has been charged, and what is left.

A *charge* is the full loss of a pooled release, whatever the registry contributed to it (a registry
with no matching patient pays the same; otherwise the balance would tell): (epsilon, delta) with
Laplace noise, (rho, delta) with Gaussian noise. The cap is on the registry's POPULATION over all
studies, requesters, purposes and snapshots; a purpose may have a smaller cap of its own under it,
which bounds what the releases for that purpose add.

Life of a charge, one per key (study digest, session digest):

    reserve ──> spend ──> settle       output left, or a bit of it opened; final
       └───────────┴────> release      nothing left, on the signed word of the others; refunded

* ``reserve`` when the registry agrees; already then it counts against the caps.
* ``spend`` before the registry's input shares leave: a crash costs budget, never privacy.
* ``release`` only after the caller has verified the signed words that no output left.
* A key is used once. A retry is a new session with a new key, so that neither a replayed
  message nor a double click can spend, or refund, twice.

Whether a charge fits is decided by a fully adaptive filter (``accountant``): the promise holds
though each study, its mechanism and its price are chosen after seeing all earlier answers. Reserved
and unsettled charges are counted as spent, so studies that run at the same time are covered too. A
refund takes a release out of the sums that did not happen, and so leaves the proof as it is.

The state is a fold over journal entries; other kinds of entries in the chain are passed over.
Every rule here checks first and then returns the event to be written; nothing is changed in
place, so a refusal changes nothing. Pure: no clock, no storage.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from fractions import Fraction
from types import MappingProxyType

from upcare_mpc.errors import PrivacyError
from upcare_mpc.journal import Entry, Event
from upcare_mpc.privacy.accountant import Cap, Loss, Spent

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
    """What one release costs, in full, and what it was for."""

    loss: Loss
    purpose: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """The most that may ever be charged; set by the registry.

    Attributes:
        everything: Over all studies.
        purposes: For the studies of single purposes. A purpose that is not listed is bounded by
            ``everything`` alone; whether it is accepted at all is for the policy.
    """

    everything: Cap
    purposes: Mapping[str, Cap] = field(default_factory=dict)

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
    """Sums over the accounts, and what is left under the cap over everything.

    Attributes:
        reserved: Of studies agreed to and not yet begun.
        spent: Of studies begun, whether or not their output has left.
        together: Of both; what counts against the cap.
        purposes: Of both, by purpose.
        epsilon_left: Most epsilon that one more study may ask with Laplace noise.
        rho_left: Most rho that one more study may cost with Gaussian noise.
        delta_left: Most delta that the sampler of one more study may have.
    """

    reserved: Spent
    spent: Spent
    together: Spent
    purposes: Mapping[str, Spent]
    epsilon_left: Fraction
    rho_left: Fraction
    delta_left: Fraction


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
        reserved = Spent.on(a.charge.loss for a in held if a.state is State.RESERVED)
        spent = Spent.on(a.charge.loss for a in held if a.state is not State.RESERVED)
        together = Spent.on(a.charge.loss for a in held)
        purposes: dict[str, Spent] = {}
        for a in held:
            so_far = purposes.get(a.charge.purpose, Spent())
            purposes[a.charge.purpose] = so_far.plus(a.charge.loss)
        cap = self.caps.everything
        return Balance(
            reserved=reserved,
            spent=spent,
            together=together,
            purposes=MappingProxyType(purposes),
            epsilon_left=cap.epsilon_left(together),
            rho_left=cap.rho_left(together),
            delta_left=cap.delta_left(together),
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
        self.caps.everything.check(balance.together, charge.loss, account="all studies")
        if charge.purpose in self.caps.purposes:
            used = balance.purposes.get(charge.purpose, Spent())
            cap = self.caps.purposes[charge.purpose]
            cap.check(used, charge.loss, account=f"purpose {charge.purpose}")

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
    """Write the loss in the terms it is charged in: epsilon, from which rho follows, or rho."""
    loss = charge.loss
    own = {"rho": str(loss.rho)} if loss.epsilon is None else {"epsilon": str(loss.epsilon)}
    return Event(
        kind=_PREFIX + step,
        body={
            "study": key.study.hex(),
            "session": key.session.hex(),
            "delta": str(loss.delta),
            "purpose": charge.purpose,
            **own,
        },
    )


def _parse(entry: Entry) -> tuple[Key, Charge]:
    """Read what ``_event`` wrote."""
    body = {name: str(value) for name, value in entry.fields().items()}
    try:
        key = Key(study=bytes.fromhex(body["study"]), session=bytes.fromhex(body["session"]))
        delta = Fraction(body["delta"])
        if ("epsilon" in body) == ("rho" in body):
            raise KeyError
        if "epsilon" in body:
            loss = Loss.pure(Fraction(body["epsilon"]), delta)
        else:
            loss = Loss.concentrated(Fraction(body["rho"]), delta)
        charge = Charge(loss=loss, purpose=body["purpose"])
    except (KeyError, ValueError, ZeroDivisionError):
        raise PrivacyError("not a ledger entry of this version") from None
    return key, charge
