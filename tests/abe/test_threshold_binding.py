"""In the symbolic generic group fragments open just if t + 1 members let them out for ONE request.

Members that the adversary holds are counted for every request. See ``generic_group`` for what the
symbols say and what they do not.
"""

from collections.abc import Sequence
from itertools import product

import pytest
from generic_group import Polynomial, opens, plus, scaled, times, variable

from upcare_mpc.abe.groups import ORDER
from upcare_mpc.abe.lsss import lagrange
from upcare_mpc.abe.policy import parse

Release = tuple[int, str, frozenset[str]]  # place of the member, request, its attributes
X, XY = frozenset({"a:x"}), frozenset({"a:x", "a:y"})


def evaluated(
    name: str, at_zero: Polynomial, threshold: int, held: Sequence[int], place: int
) -> Polynomial:
    """A polynomial at a place. At the places held its values are numbers, since they are known."""
    free = [other for other in range(1, 16) if other not in held][: threshold - len(held)]
    nodes = [0, *held, *free]
    numbers = [{(): ord(name) ** 5 + node**3} for node in held]
    values: list[Polynomial] = [at_zero, *numbers, *(variable(f"{name}{node}") for node in free)]
    if place in nodes:
        return values[nodes.index(place)]
    weights = lagrange([(node - place) % ORDER for node in nodes])
    return plus(*(scaled(value, w) for value, w in zip(values, weights, strict=True)))


def opened(
    policy: str,
    threshold: int,
    releases: Sequence[Release],
    *,
    held: Sequence[int] = (),
    bound: bool = True,
) -> bool:
    """Whether what is let out opens the policy; ``bound`` is how ``issuance`` makes fragments."""
    in_g1, in_g2 = [], []
    for place in range(1, 2 * threshold + 2):
        in_g2.append(evaluated("a", variable("alpha"), threshold, held, place))
        in_g2.append(evaluated("b", {}, threshold, held, place))
    in_g1 += [variable(f"q{request}") for request in {request for _, request, _ in releases}]
    for place, request, attributes in releases:
        r = variable(f"r{place}.{request}")
        blind = times(variable(f"q{request}"), evaluated("b", {}, threshold, held, place))
        share = evaluated("a", variable("alpha"), threshold, held, place)
        in_g1.append(plus(share, times(variable("*"), r), *([blind] if bound else [])))
        in_g1 += [times(variable(f"h{name}"), r) for name in attributes]
        in_g2.append(r)
    return opens(parse(policy), [], known_g1=in_g1, known_g2=in_g2)


def let_out(counts: Sequence[int], attributes: Sequence[frozenset[str]]) -> list[Release]:
    """So many members for the first request, the next so many for the second, and so on."""
    places = iter(range(1, 16))
    return [
        (next(places), str(i), attributes[i])
        for i, count in enumerate(counts)
        for _ in range(count)
    ]


def test_a_quorum_for_one_request_opens_what_its_attributes_satisfy() -> None:
    for threshold in (1, 2):
        quorum = let_out([threshold + 1], [XY])
        assert opened("and(a:x,a:y)", threshold, quorum)
        assert not opened("and(a:x,a:z)", threshold, quorum)
        assert not opened("and(a:x,a:y)", threshold, quorum[1:])


def test_without_the_binding_a_quorum_of_requests_opens_as_well() -> None:
    # What ``issuance`` is for: one member for each of t + 1 people.
    for threshold in (1, 2):
        mixed = let_out([1] * (threshold + 1), [XY] * 3)
        assert opened("and(a:x,a:y)", threshold, mixed, bound=False)
        assert not opened("and(a:x,a:y)", threshold, mixed)


def cases(
    members: int, held: Sequence[tuple[int, ...]], counts: Sequence[tuple[int, ...]]
) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Those in which the members not held are enough for the counts."""
    return [(h, c) for h, c in product(held, counts) if sum(c) + len(h) <= members]


@pytest.mark.parametrize(("held", "counts"), cases(3, [(), (3,)], [*product(range(3), repeat=2)]))
def test_of_three_members_two_for_one_request_open_it(
    held: tuple[int, ...], counts: tuple[int, ...]
) -> None:
    expected = any(count and count + len(held) > 1 for count in counts)

    assert opened("a:x", 1, let_out(counts, [X, XY]), held=held) == expected


FIVE = [(1, 0), (2, 0), (1, 1), (2, 1), (2, 2), (3, 1), (1, 1, 1), (2, 1, 1), (1, 1, 1, 1)]


@pytest.mark.parametrize(("held", "counts"), cases(5, [(), (5,), (4, 5)], FIVE))
def test_of_five_members_three_for_one_request_open_it(
    held: tuple[int, ...], counts: tuple[int, ...]
) -> None:
    expected = any(count and count + len(held) > 2 for count in counts)

    assert opened("a:x", 2, let_out(counts, [X] * 4), held=held) == expected


def test_one_member_for_several_requests_counts_once_for_each() -> None:
    twice: list[Release] = [(1, "0", X), (1, "1", X), (2, "2", X)]

    assert not opened("a:x", 1, twice)
    assert opened("a:x", 1, [*twice, (2, "1", X)])


def test_an_issued_request_lends_nothing_to_one_that_is_not() -> None:
    # a:x was issued; one member let out a:x and a:y.
    releases: list[Release] = [(1, "0", X), (2, "0", X), (3, "1", XY)]

    assert opened("a:x", 1, releases)
    assert not opened("and(a:x,a:y)", 1, releases)
    assert opened("and(a:x,a:y)", 1, [*releases, (1, "1", XY)])


def test_two_issued_requests_do_not_pool_their_attributes() -> None:
    x, y = frozenset({"a:x"}), frozenset({"a:y"})
    releases: list[Release] = [(1, "0", x), (2, "0", x), (1, "1", y), (2, "1", y)]

    assert not opened("and(a:x,a:y)", 1, releases)
    assert opened("or(a:x,a:y)", 1, releases)
