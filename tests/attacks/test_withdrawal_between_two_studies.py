"""A researcher who asks the same question before and after a patient withdraws.

The two true counts differ by exactly that patient. Subtracting two answers would tell what she has
if both came under one draw of noise, or if the second were free. It is neither: from the next
freeze on the registry answers from a snapshot of another name, so the second question is another
session, which draws its own noise, and which is charged in full. What the two answers tell together
is bounded by the sum of the charges, like any two questions; and nothing is given back because
somebody has left. The price is that who asks again after each freeze pays each time.
"""

import asyncio
import datetime
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from registries import NAMES, Registries, counts, registries

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc.node import server

WEEK = datetime.timedelta(days=7)
DELIVERY = Path(__file__).parents[2] / "parties" / "fr-b" / "data" / "FR-B_encr_incidence.csv"


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registries]:
    monkeypatch.setattr(server, "renewal_time", lambda _: 0.0)
    made = registries(tmp_path)
    yield made
    made.close()


def ask(network: Registries) -> tuple[bytes, bytes]:
    """Ask de-a; the session's digest, and the vector it gave to its worker."""
    study = counts(epsilon="2")
    descriptor, proposal = network.proposal(study)
    (answer,) = network["de-a"].hears(proposal=proposal)
    assert answer.HasField("approval"), answer
    network["de-a"].node.books.spend(network.question(study), descriptor.digest)
    vector = network["de-a"].workers[-1].vector
    assert vector is not None
    return descriptor.digest, vector


def withdraw(network: Registries) -> None:
    """Somebody objects, and the next freeze comes."""
    somebody = DELIVERY.read_text("utf-8").splitlines()[1].split(";")[0].strip('"')
    network["de-a"].objects(somebody)
    for name in NAMES:
        network[name].clock.today += WEEK
        asyncio.run(network[name].node.renew_data())


def test_the_second_answer_is_another_session_and_another_charge(network: Registries) -> None:
    before, counted = ask(network)
    withdraw(network)
    after, counted_then = ask(network)

    assert counted != counted_then
    assert before != after  # noise belongs to a session, and never to two
    assert network["de-a"].charges == ["spent", "spent"]
    charged = network["de-a"].node.books.ledger().balance()
    assert charged.epsilon_left == Fraction(10 - 2 * 2)


def test_the_session_from_before_cannot_be_run_on_the_new_snapshot(network: Registries) -> None:
    """A platform that keeps the old descriptor would get both vectors under one draw of noise."""
    _, proposal = network.proposal(counts())
    withdraw(network)

    (answer,) = network["de-a"].hears(proposal=proposal)

    assert "names another certificate or snapshot" in answer.failure.text
    assert network["de-a"].charges == []
    assert network["de-a"].workers == []


def test_a_withdrawal_gives_nothing_back(network: Registries) -> None:
    ask(network)
    left = network["de-a"].node.books.ledger().balance()

    withdraw(network)

    assert network["de-a"].node.books.ledger().balance() == left


def test_when_the_budget_is_gone_nobody_can_ask_what_has_changed(network: Registries) -> None:
    ask(network)
    books = network["de-a"].node.books
    for number in range(4):
        other = counts(f"other {number}", epsilon="2")
        books.agree(network.question(other), bytes([number] * 32), network.request(other))
    withdraw(network)
    request = network.request(counts(epsilon="2"))

    (answer,) = network["de-a"].hears(offer=coordinator_pb2.Offer(request=request, submitted=True))

    assert answer.quote.verdict == coordinator_pb2.Quote.VERDICT_NO
    assert "epsilon 2 asked, 0 left" in answer.quote.reason
