"""The small-cell rule and the minimum cohort: what is shown, what opens, and that all agree."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from upcare_mpc.errors import ProtocolError
from upcare_mpc.link.memory import MemoryChannel
from upcare_mpc.mpc import field
from upcare_mpc.mpc.bits import Bits, Boolean
from upcare_mpc.mpc.engine import Engine
from upcare_mpc.mpc.field import Words
from upcare_mpc.mpc.opening import Passing
from upcare_mpc.mpc.programs.contract import Rules
from upcare_mpc.mpc.programs.inputs import Signatures
from upcare_mpc.mpc.programs.suppress import CHUNK_CELLS, agree_on_passing, passing_cells
from upcare_mpc.mpc.prss import LocalRandom
from upcare_mpc.study.expression import Integer, Truth
from upcare_mpc.study.layout import Dimension, Layout, Measure, Measures, Table
from upcare_mpc.study.spec import Release

COMMITTEES = [(3, 1), (5, 2), (7, 3)]
Together = Callable[[int, int, Callable[[Engine], Awaitable[Any]]], list[Any]]


def decide(
    together: Together,
    values: list[int],
    m: int = 3,
    t: int = 1,
    cohort: int | None = None,
    **rules: int,
) -> tuple[Passing, list[tuple[int, int]]]:
    """What all parties find, and rounds and bytes of each."""
    asked = Rules(cohort=len(values) if cohort is None else cohort, **rules)
    vector = field.encode(np.array(values, np.int64))
    shares = field.share(vector, parties=m, threshold=t, random=LocalRandom().words)

    async def work(engine: Engine) -> tuple[Passing, int, int]:
        rounds, sent = engine.rounds, engine.bytes_sent
        passing = await passing_cells(engine, shares[engine.index], asked)
        return passing, engine.rounds - rounds, engine.bytes_sent - sent

    results = together(m, t, work)
    first = results[0][0]
    assert {passing.to_bytes() for passing, _, _ in results} == {first.to_bytes()}
    return first, [(rounds, sent) for _, rounds, sent in results]


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_cells_from_the_bound_on_are_shown(together: Together, m: int, t: int) -> None:
    values = [4, 5, 6, 0, -1, -5, 10**6, 5]

    passing, _ = decide(together, values, suppress_below=5, m=m, t=t)

    assert passing.cohort_met
    assert passing.shown.tolist() == [value >= 5 for value in values]


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
@pytest.mark.parametrize(("last", "met"), [(39, False), (40, True), (41, True)])
def test_the_total_is_held_against_the_minimum_cohort(
    together: Together, m: int, t: int, last: int, met: bool
) -> None:
    passing, _ = decide(together, [100, -40, last], minimum_cohort=100, m=m, t=t)

    assert passing.cohort_met == met
    assert passing.shown.tolist() == [met] * 3


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_both_rules(together: Together, m: int, t: int) -> None:
    values = [100, 3, 40]

    met, _ = decide(together, values, minimum_cohort=143, suppress_below=5, m=m, t=t)
    below, _ = decide(together, values, minimum_cohort=144, suppress_below=5, m=m, t=t)

    assert met.cohort_met
    assert met.shown.tolist() == [True, False, True]
    assert not below.cohort_met
    assert not below.shown.any()


@pytest.mark.parametrize(("least", "met"), [(59, True), (60, True), (61, False)])
def test_only_the_first_table_counts_towards_the_minimum(
    together: Together, least: int, met: bool
) -> None:
    passing, _ = decide(together, [100, -40, 7_000, -9_000], minimum_cohort=least, cohort=2)

    assert passing.cohort_met == met
    assert passing.shown.tolist() == [met] * 4


def test_the_minimum_is_in_the_unit_of_the_first_table() -> None:
    """A tumour counts ``weight`` times in it, and the other tables not at all."""
    dimension = Dimension("d", ("a", "b"))
    measures = Measures(where=Truth(value=True), tables=(Measure((Integer(0),)),) * 2)
    tables = (Table("patients", (dimension,), weight=3), Table("more", (dimension,), weight=5))

    rules = Rules.of(Release(minimum_cohort=50), Layout.of(tables, measures))

    assert rules == Rules(minimum_cohort=150, suppress_below=None, cohort=2)


def test_the_total_of_many_cells_does_not_overflow(together: Together) -> None:
    passing, _ = decide(together, [1] * 70_000, minimum_cohort=70_000)
    below, _ = decide(together, [1] * 70_000, minimum_cohort=70_001)

    assert passing.cohort_met
    assert not below.cohort_met


def test_chunks_join_to_the_whole_table(
    together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("upcare_mpc.mpc.programs.suppress.CHUNK_CELLS", 64)
    values = np.random.default_rng(1).integers(0, 10, 150).tolist()

    passing, _ = decide(together, values, minimum_cohort=1, suppress_below=5)

    assert CHUNK_CELLS % 64 == 0
    assert passing.shown.tolist() == [value >= 5 for value in values]


def test_below_the_minimum_cohort_nothing_opens_but_its_bit(together: Together) -> None:
    """The cells' bits are opened as zeros, whatever the cells are."""
    opened: list[Words] = []
    original = Boolean.open

    async def watched(self: Boolean, bits: Bits) -> Words:
        opened.append(await original(self, bits))
        return opened[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Boolean, "open", watched)
        decide(together, [9, 9, 1], minimum_cohort=20, suppress_below=5)
        decide(together, [1, 9, 8], minimum_cohort=20, suppress_below=5)
        decide(together, [9, 9, 2], minimum_cohort=20, suppress_below=5)

    assert len(opened) == 9  # one opening a party
    assert [words.tolist() for words in opened[:6]] == [[[0, 0]]] * 6
    assert [words.tolist() for words in opened[6:]] == [[[1, 0b011]]] * 3


def test_rounds_and_sizes_do_not_depend_on_the_values(together: Together) -> None:
    rules = {"minimum_cohort": 20, "suppress_below": 5}

    _, all_pass = decide(together, [50] * 100, **rules)
    _, none_pass = decide(together, [-50] * 100, **rules)

    assert all_pass == none_pass


@pytest.mark.parametrize(
    ("rules", "rounds"),
    [
        ({"suppress_below": 5}, 10 + 1),
        ({"minimum_cohort": 5}, 10 + 1),
        ({"suppress_below": 5, "minimum_cohort": 5}, 2 * 10 + 2),  # the comparisons run together
    ],
)
def test_rounds_are_as_stated(together: Together, rules: dict[str, int], rounds: int) -> None:
    _, costs = decide(together, [7] * 10, **rules)

    assert [cost[0] for cost in costs] == [rounds] * 3


# -- agreement ----------------------------------------------------------------------------------


class Committee:
    """Three parties that sign; a test may give one of them other bits or another key."""

    def __init__(self) -> None:
        self.keys = [Ed25519PrivateKey.generate() for _ in range(3)]
        passing = Passing(cohort_met=True, shown=np.array([True, False, True]))
        self.held = [passing] * 3
        self.agreements = [bytes(32)] * 3

    def signatures(self, index: int) -> Signatures:
        def verify(signer: int, statement: bytes, signature: bytes) -> None:
            try:
                self.keys[signer].public_key().verify(signature, statement)
            except InvalidSignature:
                raise ProtocolError("a signature is not the named party's") from None

        return Signatures(sign=self.keys[index].sign, verify=verify)

    def run(self, together: Together) -> list[str]:
        """Every party's error text, or nothing."""

        async def work(engine: Engine) -> str:
            me = engine.index
            try:
                await agree_on_passing(
                    engine, self.held[me], self.signatures(me), agreement=self.agreements[me]
                )
            except ProtocolError as error:
                return str(error)
            return ""

        return together(3, 1, work)


def test_parties_with_the_same_bits_go_on(together: Together) -> None:
    assert Committee().run(together) == ["", "", ""]


@pytest.mark.parametrize(
    "other",
    [
        {"shown": np.array([True, True, True])},
        {"shown": np.array([False, False, False]), "cohort_met": False},
    ],
    ids=["another cell", "another word about the cohort"],
)
def test_a_party_with_other_bits_ends_the_session_with_one_line(
    together: Together, other: dict[str, Any]
) -> None:
    committee = Committee()
    committee.held[1] = replace(committee.held[1], **other)

    assert (
        committee.run(together)
        == ["the computing parties do not agree on which cells may open"] * 3
    )


def test_the_same_bits_about_another_sum_are_no_agreement(together: Together) -> None:
    committee = Committee()
    committee.agreements[2] = bytes([1]) * 32

    assert all("do not agree on which cells" in text for text in committee.run(together))


def test_bits_that_nobody_signed_stop_the_party_that_gets_them(together: Together) -> None:
    committee = Committee()
    original = MemoryChannel.send

    def send(self: MemoryChannel, peer: int, label: int, payload: bytes) -> None:
        words = self.index == 0 and len(payload) == 32 + 64  # digest and signature
        original(self, peer, label, payload[:32] + bytes(64) if words else payload)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MemoryChannel, "send", send)
        texts = committee.run(together)

    assert texts[0] == ""  # it sent the forgery; the other two refuse
    assert all("not the named party's" in text for text in texts[1:])
