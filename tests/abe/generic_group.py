"""FABEO in the symbolic generic group: what an adversary can compute by group operations alone.

Every group element is a polynomial in the secrets, its exponent. An adversary adds what it has in
G1, in G2, and pairs: what it reaches in GT is the span, over the integers modulo ORDER, of all
products of an element of G1 with one of G2. The hidden element has the exponent alpha * s. If that
lies outside the span, no sequence of group operations gives it; if inside, linear algebra does.

Scalars that the adversary chooses are covered by the span, and hashes are fresh variables. It is
exact for the one policy and the keys it is given, and no proof for others.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import count, product
from typing import TypeAlias

from upcare_mpc.abe.groups import ORDER
from upcare_mpc.abe.policy import Gate, Node, Policy

Polynomial: TypeAlias = dict[tuple[str, ...], int]  # sorted variables -> coefficient
ONE: Polynomial = {(): 1}


def variable(name: str) -> Polynomial:
    return {(name,): 1}


def plus(*terms: Polynomial) -> Polynomial:
    total: Polynomial = {}
    for term in terms:
        for monomial, coefficient in term.items():
            total[monomial] = (total.get(monomial, 0) + coefficient) % ORDER
    return {monomial: coefficient for monomial, coefficient in total.items() if coefficient}


def times(a: Polynomial, b: Polynomial) -> Polynomial:
    return plus(
        *({tuple(sorted(m + n)): c * d} for (m, c), (n, d) in product(a.items(), b.items()))
    )


def scaled(a: Polynomial, k: int) -> Polynomial:
    return plus({monomial: coefficient * k for monomial, coefficient in a.items()})


def spans(vectors: Iterable[Polynomial], target: Polynomial) -> bool:
    """Whether the target is a linear combination of the vectors, by elimination."""
    pivots: dict[tuple[str, ...], Polynomial] = {}

    def reduced(vector: Polynomial) -> Polynomial:
        while found := next((monomial for monomial in vector if monomial in pivots), None):
            vector = plus(vector, scaled(pivots[found], -vector[found]))
        return vector

    for vector in vectors:
        vector = reduced(vector)
        if vector:
            leading = min(vector)
            vector = scaled(vector, pow(vector[leading], -1, ORDER))
            for other, pivot in pivots.items():
                if leading in pivot:
                    pivots[other] = plus(pivot, scaled(vector, -pivot[leading]))
            pivots[leading] = vector
    return not reduced(target)


def shares(node: Node, secret: Polynomial, fresh: Iterator[int], name: str) -> list[Polynomial]:
    """``lsss.share`` with variables for coins."""
    if not isinstance(node, Gate):
        return [secret]
    coins = [variable(f"{name}v{next(fresh)}") for _ in range(node.threshold - 1)]
    if node.word == "and":
        parts = [plus(secret, *(scaled(each, -1) for each in coins)), *coins]
    else:
        parts = [
            plus(*(scaled(each, place**power) for power, each in enumerate([secret, *coins])))
            for place in range(1, len(node.children) + 1)
        ]
    below = zip(node.children, parts, strict=True)
    return [share for child, part in below for share in shares(child, part, fresh, name)]


def opens(
    policy: Policy,
    keys: Sequence[frozenset[str]],
    *,
    ciphertexts: int = 1,
    one_prime: bool = False,
    one_r: bool = False,
    known_g1: Sequence[Polynomial] = (),
    known_g2: Sequence[Polynomial] = (),
) -> bool:
    """Whether holders of ``keys``, together, can compute what the first ciphertext hides.

    Args:
        policy: Of all the ciphertexts.
        keys: The attributes of each.
        ciphertexts: How many they see.
        one_prime: All rows share one s', against the scheme.
        one_r: All keys share one r, against the scheme.
        known_g1: More that they know; g2^alpha is always there.
        known_g2: The same for G2.
    """
    alpha, star = variable("alpha"), variable("*")
    names = {name for key in keys for name in key} | set(policy.rows)
    hashes = {name: variable(f"h{name}") for name in names}
    in_g1 = [ONE, star, *hashes.values(), *known_g1]
    in_g2 = [ONE, alpha, *known_g2]
    for i, attributes in enumerate(keys):
        r = variable("r" if one_r else f"r{i}")
        in_g1 += [plus(alpha, times(star, r)), *(times(hashes[name], r) for name in attributes)]
        in_g2.append(r)
    for i in range(ciphertexts):
        s = variable(f"s{i}")
        uses = [0] * len(policy.rows) if one_prime else policy.uses
        primes = [variable(f"p{i}.{use}") for use in range(1 + max(uses))]
        in_g2 += [s, *primes]
        for name, use, part in zip(
            policy.rows, uses, shares(policy.root, s, count(), f"{i}."), strict=True
        ):
            in_g1.append(plus(times(star, part), times(hashes[name], primes[use])))
    return spans((times(a, b) for a, b in product(in_g1, in_g2)), times(alpha, variable("s0")))
