"""Who satisfies a policy gets the secret back; the shares of anybody else do not contain it."""

import secrets
from collections.abc import Iterator
from random import Random

import pytest
from trees import subsets, tree

from upcare_mpc.abe.groups import ORDER, random_scalar
from upcare_mpc.abe.lsss import lagrange, reconstruct, share
from upcare_mpc.abe.policy import Policy, parse
from upcare_mpc.errors import InputError


def coin() -> int:
    return random_scalar(secrets.token_bytes)


def policies(seed: int, count: int) -> Iterator[Policy]:
    random = Random(seed)
    for _ in range(count):
        try:
            yield parse(tree(random).text)
        except InputError:  # a child of atleast() twice
            continue


def matrix(policy: Policy) -> list[list[int]]:
    """M, with shares = M (s, coins): sharing is linear, so unit vectors give its columns."""
    drawn: list[int] = []

    def counted() -> int:
        drawn.append(0)
        return 0

    columns = [share(policy, 1, counted)]
    for unit in range(len(drawn)):
        coins = iter([int(i == unit) for i in range(len(drawn))])
        columns.append(share(policy, 0, lambda coins=coins: next(coins)))
    return [list(row) for row in zip(*columns, strict=True)]


def spans_the_secret(rows: list[list[int]]) -> bool:
    """Whether (1, 0, ..., 0) is a linear combination of rows, by elimination modulo ORDER."""
    rows = [row[1:] + row[:1] for row in rows]  # the secret's column last
    pivots: list[tuple[int, list[int]]] = []
    for row in rows:
        for column, pivot in pivots:
            factor = row[column]
            row = [(a - factor * b) % ORDER for a, b in zip(row, pivot, strict=True)]
        column = next((i for i, entry in enumerate(row) if entry), None)
        if column is None:
            continue
        inverse = pow(row[column], -1, ORDER)
        if column == len(row) - 1:
            return True  # all of the coins are gone, the secret is left
        pivots.append((column, [entry * inverse % ORDER for entry in row]))
    return False


def test_a_worked_example() -> None:
    policy = parse("and(a:x,or(a:y,atleast(2,b:1,b:x,b:y)))")
    shares = share(policy, 1234, coin)

    assert policy.rows == ("a:x", "a:y", "b:1", "b:x", "b:y")
    assert reconstruct(policy, frozenset({"a:x", "a:y"})) == {0: 1, 1: 1}
    assert reconstruct(policy, frozenset({"a:x", "b:1"})) is None
    assert reconstruct(policy, frozenset({"a:x", "b:1", "b:y"})) is not None
    assert (shares[0] + shares[1]) % ORDER == 1234


def test_coefficients_exist_and_give_the_secret_back_just_for_who_satisfies_the_policy() -> None:
    tried = 0
    for policy in policies(seed=1, count=4000):
        secret = coin()
        shares = share(policy, secret, coin)
        for held in subsets(frozenset(policy.rows)):
            chosen = reconstruct(policy, held)
            assert (chosen is not None) == policy.holds_for(held)
            if chosen is not None:
                assert {policy.rows[row] for row in chosen} <= held
                assert sum(shares[row] * k for row, k in chosen.items()) % ORDER == secret
            tried += 1
    assert tried > 20_000


def test_the_secret_is_outside_the_span_of_every_set_that_does_not_satisfy_the_policy() -> None:
    for policy in policies(seed=2, count=3000):
        rows = matrix(policy)
        for held in subsets(frozenset(policy.rows)):
            mine = [rows[row] for row, name in enumerate(policy.rows) if name in held]
            assert spans_the_secret(mine) == policy.holds_for(held), (str(policy), held)


def test_the_matrix_is_that_of_the_sharing() -> None:
    for policy in policies(seed=3, count=100):
        rows = matrix(policy)
        coins = [coin() for _ in rows[0]]

        drawn = iter(coins[1:])
        shares = share(policy, coins[0], lambda drawn=drawn: next(drawn))

        products = [sum(a * b for a, b in zip(row, coins, strict=True)) for row in rows]
        assert shares == [product % ORDER for product in products]


def test_a_sharing_that_repeats_a_secret_where_it_should_split_it_would_be_seen() -> None:
    rows = matrix(parse("and(a:x,a:y)"))
    assert not spans_the_secret(rows[:1])

    wrong = matrix(parse("or(a:x,a:y)"))

    assert spans_the_secret(wrong[:1])


def test_as_few_rows_are_chosen_as_there_can_be() -> None:
    for policy in policies(seed=4, count=200):
        rows = policy.rows
        for held in subsets(frozenset(rows)):
            chosen = reconstruct(policy, held)
            if chosen is None:
                continue
            every = matrix(policy)
            usable = [i for i, name in enumerate(rows) if name in held]
            fewer = (
                [every[row] for row in usable if mask >> usable.index(row) & 1]
                for mask in range(1 << len(usable))
                if mask.bit_count() == len(chosen) - 1
            )
            assert not any(spans_the_secret(some) for some in fewer)


def test_sixty_four_rows_of_a_threshold_reconstruct() -> None:
    policy = parse("atleast(40," + ",".join(f"a:{i}" for i in range(64)) + ")")
    shares = share(policy, 77, coin)

    chosen = reconstruct(policy, frozenset(policy.rows[20:]))

    assert chosen is not None
    assert len(chosen) == 40
    assert sum(shares[row] * k for row, k in chosen.items()) % ORDER == 77
    assert reconstruct(policy, frozenset(policy.rows[25:])) is None


@pytest.mark.parametrize("places", [[1], [1, 2], [2, 5, 3], list(range(1, 65))])
def test_lagrange_takes_a_polynomial_to_its_constant(places: list[int]) -> None:
    polynomial = [coin() for _ in places]
    values = [sum(c * x**e for e, c in enumerate(polynomial)) % ORDER for x in places]

    total = sum(a * b for a, b in zip(lagrange(places), values, strict=True)) % ORDER

    assert total == polynomial[0]
