"""The ledger: never over a cap, never spent twice, and always the fold of its journal."""

from collections.abc import Callable
from datetime import UTC, datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from upcare_mpc.errors import BudgetExceeded, PrivacyError
from upcare_mpc.journal import GENESIS, Entry, Event, append
from upcare_mpc.privacy.accountant import Cap, Loss, Spent
from upcare_mpc.privacy.concentrated import delta_at
from upcare_mpc.privacy.ledger import Caps, Charge, Key, Ledger, State

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
RESEARCH, CARE = "DUO:0000007", "DUO:0000043"
DELTA = Fraction(1, 10**6)
TINY = Fraction(1, 10**9)
CAPS = Caps(
    everything=Cap.of_epsilon(Fraction(5), DELTA),
    purposes={RESEARCH: Cap.of_epsilon(Fraction(3), DELTA)},
)


def key(study: int, session: int = 0) -> Key:
    return Key(study=bytes([study] * 32), session=bytes([session] * 32))


def charge(epsilon: Fraction | int = 1, purpose: str = RESEARCH, delta: int = 0) -> Charge:
    """A Laplace study; ``delta`` is in units of 1e-9, of which 500 fit under the caps."""
    return Charge(loss=Loss.pure(Fraction(epsilon), delta * TINY), purpose=purpose)


def gaussian(rho: Fraction, purpose: str = RESEARCH) -> Charge:
    return Charge(loss=Loss.concentrated(rho, TINY), purpose=purpose)


class Journal:
    """A journal in memory; every look at the ledger is a replay of it."""

    def __init__(self, caps: Caps = CAPS) -> None:
        self.caps = caps
        self.entries: list[Entry] = []

    @property
    def ledger(self) -> Ledger:
        return Ledger.replay(self.caps, self.entries)

    def write(self, event: Event) -> None:
        head = self.entries[-1].head if self.entries else GENESIS
        self.entries.append(append(head, event, time=NOON))

    def take(self, *steps: str, at: Key | None = None, cost: Charge | None = None) -> "Journal":
        at = at or key(1)
        for step in steps:
            ledger = self.ledger
            if step == "reserve":
                self.write(ledger.reserve(at, cost or charge()))
            else:
                self.write(getattr(ledger, step)(at))
        return self


def test_a_reservation_already_counts() -> None:
    journal = Journal().take("reserve", cost=charge(2))

    balance = journal.ledger.balance()

    assert (balance.reserved.epsilon, balance.spent.epsilon, balance.epsilon_left) == (2, 0, 3)


def test_spending_moves_the_charge_and_settling_keeps_it() -> None:
    journal = Journal().take("reserve", "spend", "settle", cost=charge(2, delta=3))

    balance = journal.ledger.balance()

    assert (balance.reserved.epsilon, balance.spent.epsilon, balance.epsilon_left) == (0, 2, 3)
    assert balance.delta_left == 497 * TINY
    assert journal.ledger.accounts[key(1)].state is State.SETTLED


@pytest.mark.parametrize("steps", [["reserve"], ["reserve", "spend"]])
def test_a_release_refunds_everything(steps: list[str]) -> None:
    journal = Journal().take(*steps, "release", cost=charge(2))

    assert journal.ledger.balance() == Journal().ledger.balance()


def test_the_cap_over_everything_binds_across_purposes() -> None:
    journal = (
        Journal().take("reserve", cost=charge(3)).take("reserve", at=key(2), cost=charge(1, CARE))
    )

    with pytest.raises(BudgetExceeded, match="2 asked, 1 left under the cap for all studies"):
        journal.ledger.reserve(key(3), charge(2, CARE))


def test_the_cap_of_a_purpose_binds_before_the_cap_over_everything() -> None:
    journal = Journal().take("reserve", cost=charge(2))

    with pytest.raises(BudgetExceeded, match="2 asked, 1 left under the cap for purpose DUO"):
        journal.ledger.reserve(key(2), charge(2))


def test_a_charge_that_fits_exactly_is_taken() -> None:
    journal = Journal().take("reserve", cost=charge(3))

    journal.take("reserve", at=key(2), cost=charge(2, CARE))

    assert journal.ledger.balance().epsilon_left == 0


def test_the_cap_on_delta_binds() -> None:
    journal = Journal().take("reserve", cost=charge(delta=499))

    with pytest.raises(BudgetExceeded, match=r"delta 2e-09 asked, 1e-09 left under"):
        journal.ledger.reserve(key(2), charge(delta=2))


def test_a_refusal_changes_nothing() -> None:
    journal = Journal().take("reserve", cost=charge(3))
    ledger = journal.ledger

    with pytest.raises(BudgetExceeded):
        ledger.reserve(key(2), charge(1))

    assert ledger == journal.ledger
    assert len(journal.entries) == 1


def test_deciding_changes_nothing_until_it_is_written() -> None:
    ledger = Ledger(caps=CAPS)

    ledger.reserve(key(1), charge())

    assert ledger.balance().epsilon_left == 5


@pytest.mark.parametrize(
    ("before", "step", "problem"),
    [
        ([], "spend", "spend without a reservation"),
        ([], "release", "release without a reservation"),
        (["reserve"], "reserve", "already reserved; a key is used once"),
        (["reserve"], "settle", "settle wants a charge spent, it is reserved"),
        (["reserve", "spend"], "spend", "spend wants a charge reserved, it is spent"),
        (["reserve", "spend", "settle"], "release", "reserved or spent, it is settled"),
        (["reserve", "spend", "settle"], "spend", "it is settled"),
        (["reserve", "spend", "release"], "release", "it is released"),
        (["reserve", "release"], "reserve", "already released; a key is used once"),
        (["reserve", "release"], "spend", "it is released"),
    ],
)
def test_every_step_is_taken_once_and_in_order(before: list[str], step: str, problem: str) -> None:
    journal = Journal().take(*before)

    with pytest.raises(PrivacyError, match=problem):
        journal.take(step)


def test_another_attempt_at_the_same_study_is_another_charge() -> None:
    journal = Journal().take("reserve", "spend", at=key(1, 0))

    journal.take("reserve", "spend", at=key(1, 1))

    assert journal.ledger.balance().spent.epsilon == 2


@pytest.mark.parametrize("step", ["spend", "release"])
def test_a_journal_that_plays_a_step_twice_is_refused(step: str) -> None:
    journal = Journal().take("reserve", step)
    last = journal.entries[-1]
    journal.write(Event(kind=last.kind, body=last.fields()))

    with pytest.raises(PrivacyError, match="journal entry 3: study 0101"):
        journal.ledger  # noqa: B018 - the replay is what is tested


def test_a_journal_that_releases_more_than_was_reserved_is_refused() -> None:
    journal = Journal().take("reserve")
    journal.write(Event(kind="ledger.release", body=journal.entries[0].fields() | {"epsilon": "5"}))

    with pytest.raises(PrivacyError, match=r"entry 2: .* another charge than the one reserved"):
        journal.ledger  # noqa: B018 - the replay is what is tested


@pytest.mark.parametrize(
    "damage", [{"epsilon": "1/0"}, {"epsilon": "x"}, {"study": "00"}, {"epsilon": "-1"}], ids=str
)
def test_a_journal_entry_that_makes_no_sense_is_refused(damage: dict[str, str]) -> None:
    journal = Journal().take("reserve")
    journal.entries[0] = append(
        GENESIS,
        Event(kind="ledger.reserve", body=journal.entries[0].fields() | damage),
        time=NOON,
    )

    with pytest.raises(PrivacyError, match="journal entry 1"):
        journal.ledger  # noqa: B018 - the replay is what is tested


def test_an_unknown_step_of_the_ledger_is_not_passed_over() -> None:
    journal = Journal().take("reserve")
    journal.write(Event(kind="ledger.refund", body=journal.entries[0].fields()))

    with pytest.raises(PrivacyError, match="no step 'refund'"):
        journal.ledger  # noqa: B018 - the replay is what is tested


def test_entries_of_other_kinds_are_passed_over() -> None:
    journal = Journal()
    journal.write(Event(kind="approval.granted", body={"study": "00"}))

    assert journal.take("reserve").ledger.balance().reserved.epsilon == 1


def test_under_a_cap_that_was_lowered_nothing_is_left() -> None:
    journal = Journal().take("reserve", cost=charge(3))
    journal.caps = Caps(everything=Cap.of_epsilon(Fraction(2), DELTA))

    assert journal.ledger.balance().epsilon_left == 0
    with pytest.raises(BudgetExceeded):
        journal.ledger.check(charge(Fraction(1, 1000), CARE))


@given(st.fractions(min_value=Fraction(1, 10**9), max_value=Fraction(1, 10)), st.booleans())
def test_amounts_survive_the_journal_exactly(amount: Fraction, is_rho: bool) -> None:
    cost = gaussian(amount) if is_rho else charge(amount, CARE, delta=1)

    journal = Journal().take("reserve", "spend", cost=cost)

    assert journal.ledger.accounts[key(1)].charge == cost
    assert ("rho" in journal.entries[1].fields()) == is_rho
    assert ("epsilon" in journal.entries[1].fields()) != is_rho


@pytest.mark.parametrize("damage", [{"rho": "1/2"}, {"epsilon": "1", "rho": "1/1000"}], ids=str)
def test_an_entry_that_states_its_loss_twice_is_refused(damage: dict[str, str]) -> None:
    journal = Journal()
    event = journal.ledger.reserve(key(1), charge())
    journal.write(Event(kind=event.kind, body={**event.body, **damage}))

    with pytest.raises(PrivacyError, match="not a ledger entry of this version"):
        journal.ledger  # noqa: B018 - the replay is what is tested


def test_a_journal_that_claims_a_smaller_rho_when_it_spends_is_refused() -> None:
    journal = Journal().take("reserve", cost=gaussian(Fraction(1, 10)))
    body = {**journal.entries[0].fields(), "rho": "1/1000"}
    journal.write(Event(kind="ledger.spend", body=body))

    with pytest.raises(PrivacyError, match=r"entry 2: .* another charge than the one reserved"):
        journal.ledger  # noqa: B018 - the replay is what is tested


def test_gaussian_studies_are_charged_in_rho_and_have_no_sum_of_epsilons() -> None:
    journal = Journal().take("reserve", "spend", cost=gaussian(Fraction(1, 10)))

    balance = journal.ledger.balance()

    assert balance.spent == Spent(epsilon=None, rho=Fraction(1, 10), delta=TINY)
    assert balance.reserved == Spent()
    assert balance.rho_left == CAPS.everything.rho - Fraction(1, 10)
    assert balance.epsilon_left**2 / 2 <= balance.rho_left


def test_after_a_gaussian_study_laplace_studies_count_in_rho_too() -> None:
    """Alone, a study of epsilon 1 fits five times under the cap of 5; now not once."""
    journal = Journal().take("reserve", cost=gaussian(Fraction(1, 1000), CARE))
    assert Fraction(1, 4) < CAPS.everything.rho < Fraction(1, 2)

    with pytest.raises(BudgetExceeded, match=r"epsilon 1 asked, 0\.\d+ left under the cap for all"):
        journal.ledger.reserve(key(2), charge(1, CARE))
    journal.take("reserve", at=key(2), cost=charge(Fraction(1, 2), CARE))

    rho = Fraction(1, 1000) + Fraction(1, 8)
    assert journal.ledger.balance().together.rho == rho


def test_after_a_large_laplace_study_no_gaussian_one_fits() -> None:
    journal = Journal().take("reserve", cost=charge(1, CARE))

    with pytest.raises(BudgetExceeded, match=r"rho 1e-06 asked, 0 left under the cap for all"):
        journal.ledger.reserve(key(2), gaussian(Fraction(1, 10**6), CARE))


def test_the_cap_of_a_purpose_binds_gaussian_studies_too() -> None:
    smaller = CAPS.purposes[RESEARCH].rho
    journal = Journal().take("reserve", cost=gaussian(smaller))

    with pytest.raises(BudgetExceeded, match=r"rho 0\.01 asked, 0 left under the cap for purpose"):
        journal.ledger.reserve(key(2), gaussian(Fraction(1, 100)))
    assert journal.ledger.reserve(key(2), gaussian(Fraction(1, 100), CARE))


def test_a_refunded_gaussian_study_leaves_the_sum_of_epsilons_whole() -> None:
    journal = Journal().take("reserve", "release", cost=gaussian(Fraction(1, 10)))

    journal.take("reserve", at=key(2), cost=charge(3))

    assert journal.ledger.balance().together.epsilon == 3


class AnyOrder(RuleBasedStateMachine):
    """Steps in any order, as a confused or hostile caller would ask for them."""

    @initialize()
    def start(self) -> None:
        self.journal = Journal()
        self.left_the_node: dict[Key, Loss] = {}

    def attempt(self, decide: Callable[[], Event]) -> bool:
        try:
            event = decide()
        except PrivacyError:
            return False
        self.journal.write(event)
        return True

    @rule(
        study=st.integers(1, 6),
        amount=st.integers(1, 12),
        is_rho=st.booleans(),
        purpose=st.sampled_from([RESEARCH, CARE]),
        delta=st.integers(0, 250),
    )
    def reserve(self, study: int, amount: int, is_rho: bool, purpose: str, delta: int) -> None:
        cost = charge(Fraction(amount, 4), purpose, delta)
        if is_rho:
            cost = gaussian(Fraction(amount, 50), purpose)
        self.attempt(lambda: self.journal.ledger.reserve(key(study), cost))

    @rule(study=st.integers(1, 6))
    def spend(self, study: int) -> None:
        if self.attempt(lambda: self.journal.ledger.spend(key(study))):
            assert key(study) not in self.left_the_node

    @rule(study=st.integers(1, 6))
    def settle(self, study: int) -> None:
        if self.attempt(lambda: self.journal.ledger.settle(key(study))):
            account = self.journal.ledger.accounts[key(study)]
            self.left_the_node[key(study)] = account.charge.loss

    @rule(study=st.integers(1, 6))
    def release(self, study: int) -> None:
        if self.attempt(lambda: self.journal.ledger.release(key(study))):
            assert key(study) not in self.left_the_node

    @invariant()
    def no_cap_is_passed(self) -> None:
        balance = self.journal.ledger.balance()
        assert _within(CAPS.everything, balance.together)
        assert _within(CAPS.purposes[RESEARCH], balance.purposes.get(RESEARCH, Spent()))

    @invariant()
    def what_left_is_paid_for(self) -> None:
        balance = self.journal.ledger.balance()
        left = Spent.on(self.left_the_node.values())
        assert left.rho <= balance.spent.rho
        assert left.delta <= balance.spent.delta
        assert balance.reserved.rho + balance.spent.rho == balance.together.rho
        assert _within(CAPS.everything, left)


def _within(cap: Cap, spent: Spent) -> bool:
    """The promise, written down a second time: by one of the two sums."""
    assert cap.epsilon is not None
    plain = spent.epsilon is not None and spent.epsilon <= cap.epsilon
    if plain:
        return spent.delta <= cap.promised_delta / 2
    tail = delta_at(spent.rho, cap.epsilon)
    return spent.delta <= cap.promised_delta / 2 and spent.delta + tail <= cap.promised_delta


TestAnyOrder = AnyOrder.TestCase
