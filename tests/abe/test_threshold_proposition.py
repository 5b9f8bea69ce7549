"""The proposition of docs/abe.md in the symbolic generic group, on random cases.

For whatever policy, committees, members held and fragments let out: a header opens just if a
request whose attributes satisfy its policy is issued. The page proves one half for all cases; here
both are computed, with two generations of committees behind one public key.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import pytest
from generic_group import Polynomial, opens, plus, scaled, spans, times, variable
from trees import ATTRIBUTES, tree

from upcare_mpc.abe.groups import ORDER
from upcare_mpc.abe.lsss import lagrange
from upcare_mpc.abe.policy import Policy, parse
from upcare_mpc.errors import InputError

MEMBERS, THRESHOLD = 5, 2
PLACES = range(1, MEMBERS + 1)
CASES = 100
Held = tuple[int, ...]


@dataclass(frozen=True)
class Request:
    """A request to a committee, and what the adversary has of it.

    Attributes:
        name: Its digest.
        generation: Of the committee that it is to, 0 or 1.
        attributes: Of the key.
        seen: Places of the members whose fragment the adversary has; none of them is held.
    """

    name: str
    generation: int
    attributes: frozenset[str]
    seen: Held


class Committees:
    """Two generations, all of the first dealing to the second; secrets are variables.

    Attributes:
        held: By generation, the members that the adversary holds.
        a: By generation and place, the share of the master secret.
        b: Likewise of the polynomial that vanishes at 0.
        public: Exponents of all that is published in G2.
    """

    def __init__(self, held: Sequence[Held], random: Random) -> None:
        self.held = held
        self._random = random
        alpha = variable("alpha")
        first = self._polynomial("a0", alpha, held[0])
        dealt = [
            self._known(first[place], held[1])
            if place in held[0]
            else self._polynomial(f"f{place}", first[place], held[1])
            for place in PLACES
        ]
        weights = lagrange(list(PLACES))
        second = {
            j: plus(*(scaled(each[j], w) for each, w in zip(dealt, weights, strict=True)))
            for j in PLACES
        }
        self.a = first, second
        self.b = tuple(self._polynomial(f"b{g}", {}, held[g]) for g in (0, 1))
        self.public = [
            each[j] for each in (*self.a, *self.b, *dealt) for j in range(1, THRESHOLD + 2)
        ]

    def _number(self) -> Polynomial:
        return {(): self._random.randrange(1, ORDER)}

    def _polynomial(self, name: str, at_zero: Polynomial, held: Held) -> dict[int, Polynomial]:
        """Its values: numbers at the places held, free as far as the degree allows elsewhere."""
        free = [place for place in PLACES if place not in held][: THRESHOLD - len(held)]
        nodes = [0, *held, *free]
        values = [
            at_zero,
            *(self._number() for _ in held),
            *(variable(f"{name}.{j}") for j in free),
        ]
        return {place: _interpolated(nodes, values, place) for place in PLACES}

    def _known(self, at_zero: Polynomial, held: Held) -> dict[int, Polynomial]:
        """A polynomial that the adversary deals: all its values are numbers."""
        nodes = list(range(THRESHOLD + 1))
        values = [at_zero, *(self._number() for _ in nodes[1:])]
        return {place: _interpolated(nodes, values, place) for place in PLACES}

    def issued(self, request: Request) -> bool:
        return bool(request.seen) and (
            len(request.seen) + len(self.held[request.generation]) > THRESHOLD
        )


def _interpolated(nodes: list[int], values: list[Polynomial], place: int) -> Polynomial:
    if place in nodes:
        return values[nodes.index(place)]
    weights = lagrange([(node - place) % ORDER for node in nodes])
    return plus(*(scaled(value, w) for value, w in zip(values, weights, strict=True)))


def opened(policy: Policy, committees: Committees, requests: Sequence[Request]) -> bool:
    in_g1, in_g2 = [], list(committees.public)
    for request in requests:
        point = variable(f"q{request.name}")
        in_g1.append(point)
        for place in request.seen:
            r = variable(f"r{place}.{request.name}")
            share = committees.a[request.generation][place]
            blind = times(point, committees.b[request.generation][place])
            in_g1.append(plus(share, blind, times(variable("*"), r)))
            in_g1 += [times(variable(f"h{name}"), r) for name in request.attributes]
            in_g2.append(r)
    return opens(policy, [], known_g1=in_g1, known_g2=in_g2)


def drawn(random: Random) -> tuple[Policy, Committees, list[Request]]:
    held = [tuple(sorted(random.sample(PLACES, random.randint(0, THRESHOLD)))) for _ in range(2)]
    requests = []
    for name in "wxyz"[: random.randint(2, 4)]:
        generation = random.randrange(2)
        honest = [place for place in PLACES if place not in held[generation]]
        # About what is needed, one less, or one more.
        count = THRESHOLD + 1 - len(held[generation]) + random.choice((-1, -1, -1, 0, 1))
        requests.append(
            Request(
                name=name,
                generation=generation,
                attributes=frozenset(random.sample(ATTRIBUTES, random.randint(2, 5))),
                seen=tuple(random.sample(honest, min(max(count, 0), len(honest)))),
            )
        )
    return parsed(random), Committees(held, random), requests


def parsed(random: Random) -> Policy:
    while True:
        try:
            return parse(tree(random, depth=2, leaves=4).text)
        except InputError:  # atleast() of the same child twice
            continue


def expected(policy: Policy, committees: Committees, requests: Sequence[Request]) -> bool:
    return any(committees.issued(each) and policy.holds_for(each.attributes) for each in requests)


@pytest.mark.parametrize("seed", range(CASES))
def test_a_header_opens_just_if_a_satisfying_request_is_issued(seed: int) -> None:
    policy, committees, requests = drawn(Random(seed))

    assert opened(policy, committees, requests) == expected(policy, committees, requests)


def test_the_cases_would_show_a_scheme_without_the_binding_and_without_policies() -> None:
    unbound = ignored = 0
    for seed in range(CASES):
        policy, committees, requests = drawn(Random(seed))
        right = expected(policy, committees, requests)
        ignored += any(map(committees.issued, requests)) != right
        nothing: dict[int, Polynomial] = {place: {} for place in PLACES}
        committees.b = (nothing, nothing)
        unbound += opened(policy, committees, requests) != right

    assert unbound > 0
    assert ignored > 0


def test_old_fragments_and_new_ones_do_not_make_up_a_quorum() -> None:
    committees = Committees([(), ()], Random(1))
    everything = frozenset({"a:x"})
    old = Request("old", 0, everything, (1, 2))
    new = Request("new", 1, everything, (3, 4))

    assert not opened(parse("a:x"), committees, [old, new])
    assert opened(parse("a:x"), committees, [Request("old", 0, everything, (1, 2, 5)), new])


def test_shares_of_two_generations_held_while_they_hand_over_open_nothing() -> None:
    # The adversary deals with what it holds; its shares of both generations are numbers.
    committees = Committees([(1, 2), (2, 3)], Random(2))
    shares = [
        each[place]
        for each, held in zip(committees.a, committees.held, strict=True)
        for place in held
    ]

    assert all(share.keys() <= {()} for share in shares)
    assert not spans([*shares, {(): 1}], variable("alpha"))
    assert not opened(parse("a:x"), committees, [])
    assert opened(parse("a:x"), committees, [Request("q", 1, frozenset({"a:x"}), (5,))])
