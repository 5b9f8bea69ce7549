"""What t members see together says nothing of the master secret: all of it can be computed without.

Exact, for every coalition of t members of a committee of 3, 5 or 7 in which one dealer is honest.
Each test shows that t + 1 members, or one more thing seen, would make the difference.
"""

import secrets
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

import pytest
from ceremonies import NAMES, generation, requested, run
from generic_group import Polynomial, plus, scaled, spans, variable

from upcare_mpc.abe.dealing import Dealing, SubShare, deal
from upcare_mpc.abe.groups import G2, ORDER, default_group, random_scalar
from upcare_mpc.abe.issuance import Fragment, issue, verify_fragment
from upcare_mpc.abe.keys import AttributeKey, attribute_point, common_point, request_point
from upcare_mpc.abe.lsss import lagrange
from upcare_mpc.abe.scheme import keygen
from upcare_mpc.errors import ProtocolError

GROUP = default_group()
COMMITTEES = [(3, 1), (5, 2), (7, 3)]


def scalar() -> int:
    return random_scalar(secrets.token_bytes)


def dealt(
    polynomial: list[int], binding: list[int], members: int
) -> tuple[Dealing, list[SubShare]]:
    """A dealing of given polynomials: ``deal`` draws them in this order, then one for its proof."""
    drawn = iter([*polynomial, *binding, scalar()])
    dealing, sub_shares = deal(
        GROUP,
        ceremony=bytes(32),
        dealer="de-a",
        members=members,
        threshold=len(polynomial) - 1,
        constant=None,
        coin=lambda: next(drawn),
    )
    return dealing, list(sub_shares)


def vanishing(places: tuple[int, ...], degree: int, at_zero: int) -> list[int]:
    """Coefficients of the polynomial that is 0 at ``places``, ``at_zero`` at 0, of this degree."""
    polynomial = [1]
    for place in places:
        shifted = [0, *polynomial]
        polynomial = [
            (a - place * b) % ORDER for a, b in zip(shifted, [*polynomial, 0], strict=True)
        ]
    assert len(polynomial) == degree + 1
    factor = at_zero * pow(polynomial[0], -1, ORDER)
    return [coefficient * factor % ORDER for coefficient in polynomial]


def coalitions(members: int, size: int) -> Iterator[tuple[int, ...]]:
    return combinations(range(1, members + 1), size)


@pytest.mark.parametrize(("members", "threshold"), COMMITTEES)
def test_for_every_other_secret_there_is_a_dealing_with_the_same_sub_shares(
    members: int, threshold: int
) -> None:
    polynomial = [scalar() for _ in range(threshold + 1)]
    binding = [scalar() for _ in range(threshold)]
    dealing, sub_shares = dealt(polynomial, binding, members)

    for coalition in coalitions(members, threshold):
        other = scalar()
        difference = vanishing(coalition, threshold, other - polynomial[0])
        also = [(a + b) % ORDER for a, b in zip(polynomial, difference, strict=True)]
        other_dealing, other_sub_shares = dealt(also, binding, members)
        assert other_dealing.commitments[0] == GROUP.g2 * other != dealing.commitments[0]
        for place, (mine, theirs) in enumerate(zip(sub_shares, other_sub_shares, strict=True), 1):
            assert (mine == theirs) == (place in coalition)


@pytest.mark.parametrize(("members", "threshold"), COMMITTEES)
def test_commitments_are_a_function_of_the_public_constant_and_of_t_sub_shares(
    members: int, threshold: int
) -> None:
    # So whoever chooses t sub-shares at random, given g2^constant, has a view like the real one;
    # the proof of possession is simulated as every proof of Schnorr's is.
    dealing, sub_shares = dealt(
        [scalar() for _ in range(threshold + 1)], [scalar() for _ in range(threshold)], members
    )

    for coalition in coalitions(members, threshold):
        seen = [sub_shares[place - 1] for place in coalition]
        master = [dealing.commitments[0], *(GROUP.g2 * each.master for each in seen)]
        binding = [GROUP.g2 * 0, *(GROUP.g2 * each.binding for each in seen)]
        assert interpolated(coalition, master) == dealing.commitments
        assert interpolated(coalition, binding)[1:] == dealing.bindings
        another = [*master[:-1], master[-1] + GROUP.g2]
        assert interpolated(coalition, another) != dealing.commitments


def interpolated(places: tuple[int, ...], points: list[G2]) -> tuple[G2, ...]:
    """Coefficients, in the exponent, of the polynomial through points at 0 and at ``places``."""
    nodes = [0, *places]
    columns = []
    for node in nodes:
        others = tuple(each for each in nodes if each != node)
        basis = [1]
        for each in others:
            shifted = [0, *basis]
            basis = [(a - each * b) % ORDER for a, b in zip(shifted, [*basis, 0], strict=True)]
        scale = 1
        for each in others:
            scale = scale * (node - each) % ORDER
        columns.append([c * pow(scale, -1, ORDER) % ORDER for c in basis])
    return tuple(GROUP.combine(points, weights) for weights in zip(*columns, strict=True))


@pytest.mark.parametrize(("members", "threshold"), COMMITTEES)
def test_the_fragments_of_the_others_are_computed_from_one_key_and_the_shares_of_t(
    members: int, threshold: int
) -> None:
    committee, shares = run(generation(GROUP, NAMES[:members]))
    request = requested(committee, "duo:hmb")
    places = {name: committee.place(name) for name in committee.members}
    quorum = committee.members[: threshold + 1]
    weights = lagrange([places[name] for name in quorum])
    alpha = sum(w * shares[name].master for w, name in zip(weights, quorum, strict=True)) % ORDER
    key = keygen(GROUP, alpha, request.attributes, scalar())  # what an oracle for keys gives

    for held in combinations(committee.members, threshold):
        for honest in set(committee.members) - set(held):
            nodes = [0, *(places[name] for name in held)]
            at_zero, *known = lagrange([node - places[honest] for node in nodes])
            shift = sum(w * shares[name].master for w, name in zip(known, held, strict=True))
            simulated = rerandomised(key, at_zero, shift, scalar())
            blind = request_point(GROUP, request.digest) * shares[honest].binding
            fragment = Fragment(
                author=honest,
                request=request.digest,
                part=replace(simulated, sk1=simulated.sk1 + blind),
            )
            verify_fragment(committee, request, fragment, secrets.token_bytes)
            wrong = replace(fragment, part=replace(fragment.part, sk1=simulated.sk1))
            with pytest.raises(ProtocolError, match=f"the fragment of {honest} does not fit"):
                verify_fragment(committee, request, wrong, secrets.token_bytes)


def rerandomised(key: AttributeKey, power: int, shift: int, r: int) -> AttributeKey:
    """The key for power * alpha + shift, with r added to power times its randomness."""
    names = key.attributes
    return AttributeKey(
        attributes=names,
        sk1=key.sk1 * power + GROUP.g1 * shift + common_point(GROUP) * r,
        sk2=tuple(
            part * power + attribute_point(GROUP, name) * r
            for name, part in zip(names, key.sk2, strict=True)
        ),
        sk3=key.sk3 * power + GROUP.g2 * r,
    )


def test_the_simulated_fragment_is_the_real_one_for_the_r_that_the_real_one_has() -> None:
    committee, shares = run(generation(GROUP))
    request = requested(committee)
    a, b = shares["de-a"], shares["de-b"]
    alpha = (2 * a.master - b.master) % ORDER
    zero, one = lagrange([0 - 2, 1 - 2])  # the value at place 2 from those at 0 and 1
    key = keygen(GROUP, alpha, request.attributes, 1)
    real = issue(b, committee, request)

    simulated = rerandomised(key, zero, one * a.master, 7)

    # sk3 = g2^(zero + 7): shift by the quotient, known in the exponent alone.
    quotient = real.part.sk3 + -(GROUP.g2 * (zero + 7))
    blind = request_point(GROUP, request.digest) * b.binding
    left = real.part.sk1 + -(simulated.sk1 + blind)
    assert GROUP.pair((left, GROUP.g2), (-common_point(GROUP), quotient)).is_one


# Exact counting of what is linear: secrets are variables, what is seen are linear forms in them.


def value(name: str, degree: int, place: int) -> Polynomial:
    return plus(*(scaled(variable(f"{name}.{k}"), place**k) for k in range(degree + 1)))


def handed_over(members: int, threshold: int) -> dict[tuple[str, int, int], Polynomial]:
    """A refresh in which all deal: old shares, sub-shares and new shares, as linear forms.

    The dealer at place i deals f_i with f_i(0) = a(i).
    """
    forms: dict[tuple[str, int, int], Polynomial] = {}
    places = range(1, members + 1)
    weights = dict(zip(places, lagrange(list(places)), strict=True))
    for j in places:
        forms["old", j, 0] = value("a", threshold, j)
        for i in places:
            random_part = plus(
                *(scaled(variable(f"f{i}.{k}"), j**k) for k in range(1, threshold + 1))
            )
            forms["sub", i, j] = plus(value("a", threshold, i), random_part)
        forms["new", j, 0] = plus(*(scaled(forms["sub", i, j], weights[i]) for i in places))
    return forms


def found(forms: dict[tuple[str, int, int], Polynomial], *seen: tuple[str, int, int]) -> bool:
    return spans([forms[each] for each in seen], variable("a.0"))


def old(held: tuple[int, ...]) -> list[tuple[str, int, int]]:
    return [("old", j, 0) for j in held]


def new(held: tuple[int, ...]) -> list[tuple[str, int, int]]:
    return [("new", j, 0) for j in held]


@pytest.mark.parametrize(("members", "threshold"), COMMITTEES[:2])
def test_t_old_shares_and_t_new_ones_do_not_determine_the_secret(
    members: int, threshold: int
) -> None:
    forms = handed_over(members, threshold)

    for before in coalitions(members, threshold):
        for after in coalitions(members, threshold):
            assert not found(forms, *old(before), *new(after))
    everybody = tuple(range(1, threshold + 2))
    assert found(forms, *old(everybody))
    assert found(forms, *new(everybody))


@pytest.mark.parametrize(("members", "threshold"), COMMITTEES[:2])
def test_t_registries_held_while_they_hand_over_do_not_determine_it_either(
    members: int, threshold: int
) -> None:
    # They see their old shares, all they deal, and every sub-share that they are dealt.
    forms = handed_over(members, threshold)
    places = range(1, members + 1)

    for held in coalitions(members, threshold):
        seen = [("sub", i, j) for i in places for j in places if i in held or j in held]
        assert not found(forms, *old(held), *seen, *new(held))
        one_more = next(j for j in places if j not in held)
        assert found(forms, *old(held), *seen, ("new", one_more, 0))


def test_registries_held_while_they_hand_over_count_before_and_after() -> None:
    # One held before and during, another after: the first knows a sub-share of every dealer.
    forms = handed_over(3, 1)

    received = [("sub", i, 1) for i in (1, 2, 3)]

    assert not found(forms, *old((1,)), *received)
    assert found(forms, *old((1,)), *received, *new((2,)))
