"""Checking answers: every kind of wrong one is found, and nothing but the verdict is to be seen."""

import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from scipy import stats

from upcare_mpc.errors import OpeningError, ProtocolError
from upcare_mpc.link.memory import MemoryChannel
from upcare_mpc.mpc import field
from upcare_mpc.mpc.channel import KEYS
from upcare_mpc.mpc.engine import Engine
from upcare_mpc.mpc.field import PRIME, Words
from upcare_mpc.mpc.programs import answers
from upcare_mpc.mpc.programs.answers import AnswerTable, agree_on_answers, check_answers
from upcare_mpc.mpc.programs.deposit import reshare
from upcare_mpc.mpc.programs.inputs import Signatures
from upcare_mpc.mpc.prss import LocalRandom

COMMITTEES = [(3, 1), (5, 2), (7, 3), (5, 1)]
TABLES: list[AnswerTable] = [(0, 3, 1), (3, 4, 5), (7, 1, 2)]
CELLS = 8
Together = Callable[[int, int, Callable[[Engine], Awaitable[Any]]], list[Any]]
Vectors = list[list[int]]

RIGHT = [
    [0, 0, 0, 0, 0, 0, 0, 0],
    [1, 0, 0, 0, 0, 0, 0, 0],
    [0, 0, 1, 0, 0, 0, 5, 2],
    [0, 1, 0, 5, 0, 0, 0, 0],
]
WRONG = {
    "two cells of a table": [1, 1, 0, 0, 0, 0, 0, 0],
    "all cells of a table": [0, 0, 0, 5, 5, 5, 5, 0],
    "a thousand": [1000, 0, 0, 0, 0, 0, 0, 0],
    "minus one": [PRIME - 1, 0, 0, 0, 0, 0, 0, 0],
    "one and minus one": [1, PRIME - 1, 0, 0, 0, 0, 0, 0],
    "half": [(PRIME + 1) // 2, (PRIME + 1) // 2, 0, 0, 0, 0, 0, 0],
    "the weight of another table": [0, 0, 0, 1, 0, 0, 0, 0],
    "the weight in parts": [0, 0, 0, 2, 3, 0, 0, 0],
    "twice the weight": [0, 0, 0, 0, 0, 0, 0, 4],
    "a multiple that is the weight mod 2^61": [0, 0, 0, 0, 0, 0, 0, 3],
    "uniform": [int(word) for word in field.uniform(LocalRandom().words, CELLS)],
}


def shared(vectors: Vectors, m: int, t: int) -> Words:
    """``(m, K, n)``."""
    flat = np.array(vectors, np.uint64).reshape(-1)
    shares = field.share(flat, parties=m, threshold=t, random=LocalRandom().words)
    return shares.reshape(m, len(vectors), -1)


def verdicts(
    together: Together,
    vectors: Vectors,
    m: int = 3,
    t: int = 1,
    tables: list[AnswerTable] | None = None,
) -> list[bool]:
    """What all parties find."""
    shares = shared(vectors, m, t)

    async def work(engine: Engine) -> list[bool]:
        return await check_answers(engine, shares[engine.index], tables or TABLES)

    first, *others = together(m, t, work)
    assert all(other == first for other in others)
    return list(first)


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_answers_pass_and_all_else_does_not(together: Together, m: int, t: int) -> None:
    assert verdicts(together, [*RIGHT, *WRONG.values()], m, t) == [
        *[True] * len(RIGHT),
        *[False] * len(WRONG),
    ]


@pytest.mark.parametrize("name", WRONG)
def test_each_kind_of_wrong_answer_is_found_on_its_own(together: Together, name: str) -> None:
    assert verdicts(together, [WRONG[name]]) == [False]


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_every_cell_of_every_table_may_be_the_answer(together: Together, m: int, t: int) -> None:
    places = itertools.product(range(-1, 3), range(2, 7), range(6, 8))
    vectors = [
        [
            weight if start <= cell == chosen else 0
            for chosen, (start, size, weight) in zip(choice, TABLES, strict=True)
            for cell in range(start, start + size)
        ]
        for choice in places
    ]

    assert verdicts(together, vectors, m, t) == [True] * 40


def test_many_deposits_keep_their_order(
    together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "BLOCK_CELLS", 20)  # two deposits at once
    wrong = list(WRONG.values())
    vectors = [wrong[i % len(wrong)] if i % 3 == 1 else RIGHT[i % 4] for i in range(101)]

    assert verdicts(together, vectors) == [i % 3 != 1 for i in range(101)]


def test_no_deposits_have_no_verdicts(together: Together) -> None:
    async def work(engine: Engine) -> list[bool]:
        return await check_answers(engine, np.zeros((0, CELLS), np.uint64), TABLES)

    assert together(3, 1, work) == [[], [], []]


@pytest.mark.parametrize(
    "tables",
    [
        [],
        [(0, 7, 1)],
        [(0, 9, 1)],
        [(1, 7, 1)],
        [(0, 4, 1), (3, 5, 1)],
        [(0, 4, 1), (5, 3, 1)],
        [(4, 4, 1), (0, 4, 1)],
        [(0, 8, 0)],
        [(0, 8, -1)],
        [(0, 8, PRIME)],
        [(0, 0, 1), (0, 8, 1)],
    ],
    ids=str,
)
def test_tables_that_are_not_those_of_the_vector_are_refused(
    together: Together, tables: list[AnswerTable]
) -> None:
    async def work(engine: Engine) -> str:
        with pytest.raises(ProtocolError) as caught:
            await check_answers(engine, np.zeros((2, CELLS), np.uint64), tables)
        return str(caught.value)

    texts = ["wanted tables that follow each other over 8 cells"] * 3
    assert together(3, 1, work) == texts


# -- messages -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
@pytest.mark.parametrize("vector", [RIGHT[2], WRONG["uniform"]], ids=["right", "wrong"])
def test_rounds_and_bytes_are_as_stated(
    together: Together, m: int, t: int, vector: list[int]
) -> None:
    shares = shared([vector] * 50, m, t)

    async def work(engine: Engine) -> tuple[int, int]:
        rounds, sent = engine.rounds, engine.bytes_sent
        await check_answers(engine, shares[engine.index], TABLES)
        return engine.rounds - rounds, engine.bytes_sent - sent

    assert together(m, t, work) == [(3, (m - 1) * (32 + 16 * 50))] * m


@pytest.mark.parametrize(
    ("order", "change", "text"),
    [
        (0, lambda frame: frame[:-1], "31 bytes where 32 were due"),
        (0, lambda frame: frame * 2, "64 bytes where 32 were due"),
        (1, lambda frame: frame[:-8], "32 bytes where 40 were due"),
        (1, lambda frame: b"\xff" * len(frame), "below 2\\^61"),
        (2, lambda frame: frame + bytes(8), "has 40 bytes, got 48"),
        (2, lambda frame: PRIME.to_bytes(8, "little") + frame[8:], "below 2\\^61"),
    ],
)
def test_a_frame_that_is_not_what_was_due_ends_the_session(
    together: Together,
    monkeypatch: pytest.MonkeyPatch,
    order: int,
    change: Callable[[bytes], bytes],
    text: str,
) -> None:
    """The three frames from party 1 to party 2, one story each."""
    shares, original, sent = shared([*RIGHT, RIGHT[0]], 3, 1), MemoryChannel.send, []

    def send(self: MemoryChannel, peer: int, label: int, payload: bytes) -> None:
        if (self.index, peer) == (1, 2) and label != KEYS:
            sent.append(label)
            if len(sent) == order + 1:
                payload = change(bytes(payload))
        original(self, peer, label, payload)

    async def work(engine: Engine) -> list[bool]:
        return await check_answers(engine, shares[engine.index], TABLES)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MemoryChannel, "send", send)
        with pytest.raises(ExceptionGroup) as caught:
            together(3, 1, work)

    assert caught.group_contains(ProtocolError, match=text)


def test_with_more_than_2t_plus_1_parties_a_wrong_share_is_found(
    together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    zeros = answers._zeros

    def shifted(lane: Any, count: int) -> Words:
        return field.add(zeros(lane, count), np.full(count, lane.index == 2, np.uint64))

    monkeypatch.setattr(answers, "_zeros", shifted)

    with pytest.raises(ExceptionGroup) as caught:
        verdicts(together, RIGHT, 5, 1)

    assert caught.group_contains(OpeningError, match="do not belong together")


# -- what opens ---------------------------------------------------------------------------------

ALPHA = 1e-9  # false alarms a check; below 200 checks: 2e-7
MANY = 1 << 13


class Watched:
    """What opens, and the pieces that it is made of."""

    def __init__(self, together: Together, vectors: Vectors, m: int, t: int) -> None:
        self.opened: list[Words] = []  # one a party, the same
        self.sent: dict[int, Words] = {}  # shares of r T
        self.violations: dict[int, Words] = {}  # shares of T, of degree t
        self.random: dict[int, Words] = {}  # shares of r
        self.zeros: dict[int, Words] = {}
        open_shares = field.open_shares
        elements, zeros = answers._nobodys_elements, answers._zeros

        def watched_opening(shares: dict[int, Words], *, threshold: int) -> Words:
            self.sent = shares
            self.opened.append(open_shares(shares, threshold=threshold))
            return self.opened[-1]

        async def watched_resharing(engine: Engine, addends: Words) -> Words:
            self.violations[engine.index] = await reshare(engine, addends)
            return self.violations[engine.index]

        def watched_elements(lane: Any, count: int) -> Words:
            self.random[lane.index] = elements(lane, count)
            return self.random[lane.index]

        def watched_zeros(lane: Any, count: int) -> Words:
            self.zeros[lane.index] = zeros(lane, count)
            return self.zeros[lane.index]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(field, "open_shares", watched_opening)
            patch.setattr(answers, "reshare", watched_resharing)
            patch.setattr(answers, "_nobodys_elements", watched_elements)
            patch.setattr(answers, "_zeros", watched_zeros)
            self.verdicts = verdicts(together, vectors, m, t)


def looks_uniform(values: npt.NDArray[np.uint64]) -> bool:
    upper = np.bincount((values >> np.uint64(55)).astype(np.int64), minlength=64)
    lower = np.bincount((values & np.uint64(63)).astype(np.int64), minlength=64)
    return all(stats.chisquare(counts).pvalue >= ALPHA for counts in (upper, lower))


@pytest.mark.statistical
@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_what_opens_of_a_wrong_answer_is_uniform(together: Together, m: int, t: int) -> None:
    """All deposits are the same and so is their T: without r all would open to one value."""
    seen = Watched(together, [WRONG["a thousand"]] * MANY, m, t)

    assert not any(seen.verdicts)
    assert all(np.array_equal(seen.opened[0], other) for other in seen.opened)
    assert looks_uniform(seen.opened[0])


@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_what_opens_of_answers_is_zero(together: Together, m: int, t: int) -> None:
    seen = Watched(together, RIGHT, m, t)

    assert not np.array(seen.opened).any()


def test_without_the_random_factor_equal_deposits_open_alike(
    together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verdicts are right; who contributed a value can be told by comparing."""
    monkeypatch.setattr(answers, "_nobodys_elements", lambda lane, count: np.ones(count, np.uint64))
    seen = Watched(together, [WRONG["a thousand"]] * MANY, 3, 1)

    assert not any(seen.verdicts)
    assert not looks_uniform(seen.opened[0])


@pytest.mark.statistical
@pytest.mark.parametrize(("m", "t"), COMMITTEES)
def test_zeros_are_zeros_of_degree_2t_and_otherwise_uniform(
    together: Together, m: int, t: int
) -> None:
    """All t coefficients that a coalition does not know are: any t further shares are uniform."""
    seen = Watched(together, [RIGHT[2]] * MANY, m, t)
    zeros = [seen.zeros[party] for party in range(m)]

    points = range(1, 2 * t + 2)
    assert not field.combine(zeros[: 2 * t + 1], points).any()
    for extra in range(2 * t + 1, m):
        assert np.array_equal(field.combine(zeros[: 2 * t + 1], points, at=extra + 1), zeros[extra])
    if t > 0:
        assert field.combine(zeros[: 2 * t], range(1, 2 * t + 1)).any()  # the degree is not lower
    for party in range(m):
        assert looks_uniform(zeros[party])
        assert looks_uniform(seen.random[party])
        assert looks_uniform(seen.violations[party])


def square_root(value: int) -> int:
    return pow(value, (PRIME + 1) // 4, PRIME)  # p = 3 mod 4


def factors(seen: Watched) -> list[tuple[int, int]]:
    """For each deposit the two values of T that party 0 has left, from the quadratic r(X) T(X).

    All shares give the polynomial. Its roots are those of r and of T, so with its own share of T
    party 0 tells T(0) but for which root is whose.
    """
    left = []
    for i in range(len(seen.verdicts)):
        at = [int(seen.opened[0][i]), *(int(seen.sent[party][i]) for party in range(3))]
        half = pow(2, -1, PRIME)
        a = (at[2] - 2 * at[1] + at[0]) * half % PRIME
        b = (at[1] - at[0] - a) % PRIME
        root = square_root((b * b - 4 * a * at[0]) % PRIME)
        roots = [(sign * root - b) * half * pow(a, -1, PRIME) % PRIME for sign in (1, -1)]
        own = int(seen.violations[0][i])
        first, second = (own * -x * pow(1 - x, -1, PRIME) % PRIME for x in roots)
        left.append((first, second))
    return left


def truths(seen: Watched) -> list[int]:
    """T of each deposit."""
    return list(map(int, field.combine([seen.violations[party] for party in range(3)], (1, 2, 3))))


def test_without_the_zeros_the_opened_polynomial_falls_into_its_factors(
    together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Attack: of a product of two sharings, opened as it is, a party reads both factors."""
    monkeypatch.setattr(answers, "_zeros", lambda lane, count: np.zeros(count, np.uint64))

    seen = Watched(together, [*WRONG.values()], 3, 1)

    assert all(truth in pair for truth, pair in zip(truths(seen), factors(seen), strict=True))


def test_with_the_zeros_it_does_not(together: Together) -> None:
    seen = Watched(together, [*WRONG.values()], 3, 1)

    assert not any(truth in pair for truth, pair in zip(truths(seen), factors(seen), strict=True))


def test_coefficients_are_others_in_every_check_and_depend_on_every_party(
    together: Together, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[list[int]] = []
    violations = answers._violations

    def watched(shares: Words, tables: list[AnswerTable], coefficients: Words) -> Words:
        drawn.append(coefficients.tolist())
        return violations(shares, tables, coefficients)

    monkeypatch.setattr(answers, "_violations", watched)

    def repeating(parties: int) -> list[list[int]]:
        async def work(engine: Engine) -> None:
            if engine.index < parties:
                engine.local_random.words = lambda count: np.ones(count, np.uint64)  # type: ignore[method-assign]
            await check_answers(engine, shared(RIGHT, 3, 1)[engine.index], TABLES)

        drawn.clear()
        together(3, 1, work)
        return drawn.copy()

    runs = [repeating(2)[0], repeating(2)[0], repeating(3)[0], repeating(3)[0]]

    assert len(runs[0]) == CELLS + len(TABLES)
    assert not set(runs[0]) & set(runs[1])  # one fresh part is enough
    assert runs[2] == runs[3]  # and there is no other source


# -- agreement ----------------------------------------------------------------------------------


class Committee:
    """Three parties that sign; a test may give one of them other verdicts or another session."""

    def __init__(self) -> None:
        self.keys = [Ed25519PrivateKey.generate() for _ in range(3)]
        self.held = [[True, False, True]] * 3
        self.sessions = [bytes(32)] * 3

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
                await agree_on_answers(
                    engine, self.held[me], self.signatures(me), session=self.sessions[me]
                )
            except ProtocolError as error:
                return str(error)
            return ""

        return together(3, 1, work)


DISAGREE = ["the computing parties do not agree on which deposits are answers"] * 3


def test_parties_with_the_same_verdicts_go_on(together: Together) -> None:
    assert Committee().run(together) == ["", "", ""]


@pytest.mark.parametrize(
    "other", [[True, True, True], [True, False], [True, False, True, True], []], ids=str
)
def test_a_party_with_other_verdicts_ends_the_session(
    together: Together, other: list[bool]
) -> None:
    committee = Committee()
    committee.held[1] = other

    assert committee.run(together) == DISAGREE


def test_the_same_verdicts_in_another_session_are_no_agreement(together: Together) -> None:
    committee = Committee()
    committee.sessions[2] = bytes([1]) * 32

    assert committee.run(together) == DISAGREE


def test_verdicts_that_nobody_signed_stop_the_party_that_gets_them(together: Together) -> None:
    committee, original = Committee(), MemoryChannel.send

    def send(self: MemoryChannel, peer: int, label: int, payload: bytes) -> None:
        signed = self.index == 0 and len(payload) == 32 + 64  # digest and signature
        original(self, peer, label, payload[:32] + bytes(64) if signed else payload)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MemoryChannel, "send", send)
        texts = committee.run(together)

    assert texts[0] == ""
    assert all("not the named party's" in text for text in texts[1:])
