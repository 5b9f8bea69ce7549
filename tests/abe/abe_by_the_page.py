"""A second program, from the specification in docs/abe.md alone.

Seals and opens under any policy, deals, adds up, issues and combines. Uses ``py_ecc`` and the
standard library, nothing of the package; readers' checks are left out.
"""

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import count, islice
from typing import Any

from py_ecc import optimized_bls12_381 as curve
from py_ecc.bls.hash_to_curve import hash_to_G1
from py_ecc.bls.point_compression import compress_G1, compress_G2

P = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
SUITE = "-with-BLS12381G1_XMD:SHA-256_SSWU_RO_"


# Groups and hashes


def g1(point: Any) -> bytes:
    return int(compress_G1(point)).to_bytes(48)


def g2(point: Any) -> bytes:
    return b"".join(int(half).to_bytes(48) for half in compress_G2(point))


def gt(value: Any) -> bytes:
    c = [int(x) for x in value.coeffs]
    pairs = [(c[i] + c[i + 6], c[i + 6]) for i in (0, 2, 4, 1, 3, 5)]
    return b"".join(
        (x % curve.field_modulus).to_bytes(48, "little") for pair in pairs for x in pair
    )


def pairing(left: Any, right: Any) -> Any:
    return curve.pairing(right, power(left, -3))


def power(base: Any, k: int) -> Any:
    return curve.multiply(base, k % P)


def product(*points: Any) -> Any:
    total, *rest = points
    for point in rest:
        total = curve.add(total, point)
    return total


@cache
def hashed(use: str, message: bytes) -> Any:
    return hash_to_G1(message, f"UPCARE-V01-ABE-{use}{SUITE}".encode(), hashlib.sha256)


def common() -> Any:
    return hashed("common", b"")


def of_attribute(name: str) -> Any:
    return hashed("attribute", name.encode())


def wide(key: bytes, message: bytes) -> int:
    return 1 + int.from_bytes(hmac.new(key, message, "sha512").digest()) % (P - 1)


def hkdf(secret: bytes, salt: str, info: bytes) -> bytes:
    extracted = hmac.new(salt.encode(), secret, "sha256").digest()
    return hmac.new(extracted, info + b"\x01", "sha256").digest()


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


# Policies, from their canonical text


@dataclass
class Gate:
    threshold: int
    children: list["Gate | str"]

    @property
    def is_and(self) -> bool:
        return self.threshold == len(self.children)


def read_policy(text: str) -> Gate | str:
    if "(" not in text:
        return text
    word, inside = text[:-1].split("(", 1)
    parts, depth, start = [], 0, 0
    for at, letter in enumerate(inside + ","):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append(inside[start:at])
            start = at + 1
    threshold = int(parts.pop(0)) if word == "atleast" else {"or": 1, "and": len(parts)}[word]
    return Gate(threshold, [read_policy(part) for part in parts])


def rows(node: Gate | str) -> list[str]:
    return (
        [node] if isinstance(node, str) else [row for each in node.children for row in rows(each)]
    )


def uses(names: list[str]) -> list[int]:
    return [names[:i].count(name) for i, name in enumerate(names)]


def share(node: Gate | str, secret: int, coins: Iterator[int]) -> list[int]:
    if isinstance(node, str):
        return [secret]
    drawn = [next(coins) for _ in range(node.threshold - 1)]
    if node.is_and:
        parts = [secret - sum(drawn), *drawn]
    else:
        places = range(1, len(node.children) + 1)
        parts = [sum(c * x**k for k, c in enumerate([secret, *drawn])) for x in places]
    return [
        each
        for child, part in zip(node.children, parts, strict=True)
        for each in share(child, part % P, coins)
    ]


def solve(node: Gate | str, held: set[str], first: int = 0) -> tuple[dict[int, int] | None, int]:
    """Rows and coefficients that give the secret back; the first k children that hold."""
    if isinstance(node, str):
        return ({first: 1} if node in held else None), first + 1
    found: list[tuple[int, dict[int, int]]] = []
    for place, child in enumerate(node.children, 1):
        below, first = solve(child, held, first)
        if below is not None and len(found) < node.threshold:
            found.append((place, below))
    if len(found) < node.threshold:
        return None, first
    places = [place for place, _ in found]
    weights = [1] * len(places) if node.is_and else lagrange(places)
    chosen = {
        i: c * w % P for (_, below), w in zip(found, weights, strict=True) for i, c in below.items()
    }
    return chosen, first


def lagrange(places: list[int]) -> list[int]:
    weights = []
    for i in places:
        weight = 1
        for j in places:
            if j != i:
                weight = weight * j * pow(j - i, -1, P) % P
        weights.append(weight)
    return weights


# The scheme, and encapsulation


@dataclass
class Key:
    names: list[str]
    sk1: Any
    sk2: list[Any]
    sk3: Any

    def __bytes__(self) -> bytes:
        parts = [b"UAK1", bytes([len(self.names)]), g1(self.sk1), g2(self.sk3)]
        for name, point in zip(self.names, self.sk2, strict=True):
            parts += [bytes([len(name)]), name.encode(), g1(point)]
        return b"".join(parts)


def key(alpha: int, names: list[str], r: int) -> Key:
    names = sorted(names)
    sk1 = product(power(curve.G1, alpha), power(common(), r))
    return Key(names, sk1, [power(of_attribute(name), r) for name in names], power(curve.G2, r))


def public_bytes(public: Any) -> bytes:
    return b"UAP1" + g2(public)


@dataclass
class Sealed:
    header: bytes
    wrapping_key: bytes
    ct1: Any
    ct2: list[Any]
    ct3: list[Any]


def seal(public: Any, policy: str, context: bytes, m: bytes) -> Sealed:
    node, text = read_policy(policy), policy.encode()
    bound = sha256(
        b"upcare/abe/v1/bound",
        public_bytes(public),
        len(text).to_bytes(4),
        text,
        len(context).to_bytes(4),
        context,
    )
    coins = (wide(m, b"upcare/abe/v1/coin" + bound + i.to_bytes(2)) for i in count(1))
    names = rows(node)
    s, *primes = islice(coins, 2 + max(uses(names)))
    ct1, ct2 = power(curve.G2, s), [power(curve.G2, prime) for prime in primes]
    ct3 = [
        product(power(common(), part), power(of_attribute(name), primes[use]))
        for name, use, part in zip(names, uses(names), share(node, s, coins), strict=True)
    ]
    body = b"UAH1" + len(text).to_bytes(2) + text
    body += b"".join([g2(ct1), *map(g2, ct2), *map(g1, ct3)])
    mask = hkdf(gt(pairing(power(curve.G1, s), public)), "upcare/abe/v1/mask", sha256(body))
    header = body + bytes(a ^ b for a, b in zip(m, mask, strict=True))
    return Sealed(header, hkdf(m, "upcare/abe/v1/key", bound + sha256(header)), ct1, ct2, ct3)


def open_sealed(public: Any, mine: Key, policy: str, context: bytes, sealed: Sealed) -> bytes:
    """As it is opened, but for the reading of points."""
    node = read_policy(policy)
    chosen, _ = solve(node, set(mine.names))
    assert chosen is not None
    names = rows(node)
    held = dict(zip(mine.names, mine.sk2, strict=True))
    d = pairing(mine.sk1, sealed.ct1)
    for i, c in chosen.items():
        d *= pairing(power(held[names[i]], c), sealed.ct2[uses(names)[i]])
        d *= pairing(power(sealed.ct3[i], -c), mine.sk3)
    body, masked = sealed.header[:-32], sealed.header[-32:]
    mask = hkdf(gt(d), "upcare/abe/v1/mask", sha256(body))
    again = seal(public, policy, context, bytes(a ^ b for a, b in zip(masked, mask, strict=True)))
    assert again.header == sealed.header
    return again.wrapping_key


# Committees, ceremonies, requests, fragments


def framed(*fields: bytes) -> bytes:
    return b"".join(len(each).to_bytes(4) + each for each in fields)


def statement(use: str, *fields: bytes) -> bytes:
    return f"upcare/v1/abe-{use}|".encode() + framed(*fields)


def scalar(k: int) -> bytes:
    return (k % P).to_bytes(32)


def at(coefficients: list[int], place: int) -> int:
    value: int = sum(c * place**k for k, c in enumerate(coefficients))
    return value % P


@dataclass
class Committee:
    network: str
    generation: int
    threshold: int
    ceremony: bytes
    commitments: list[Any]
    bindings: list[Any]
    members: list[str]

    def __bytes__(self) -> bytes:
        return b"UAC1" + framed(
            self.network.encode(),
            self.generation.to_bytes(8),
            bytes([self.threshold]),
            self.ceremony,
            b"".join(map(g2, self.commitments)),
            b"".join(map(g2, self.bindings)),
            *(name.encode() for name in self.members),
        )

    @property
    def digest(self) -> bytes:
        return sha256(statement("committee", bytes(self)))


@dataclass
class Ceremony:
    network: str
    identifier: bytes
    roster: bytes
    generation: int
    previous: bytes
    threshold: int
    members: list[str]
    dealers: list[str]
    polynomials: dict[str, tuple[list[int], list[int]]] = field(default_factory=dict)
    dealings: dict[str, bytes] = field(default_factory=dict)

    @property
    def digest(self) -> bytes:
        return sha256(
            statement(
                "ceremony",
                self.network.encode(),
                self.identifier,
                self.roster,
                self.generation.to_bytes(8),
                self.previous,
                bytes([self.threshold]),
                bytes([len(self.members)]),
                *(name.encode() for name in [*self.members, *self.dealers]),
            )
        )

    def deal(self, dealer: str, random: bytes, held: int | None) -> bytes:
        old = b"" if held is None else scalar(held)
        coins = (
            wide(random, statement("draw", self.digest, dealer.encode(), old, i.to_bytes(2)))
            for i in count(1)
        )
        f = [next(coins) if held is None else held]
        f += [next(coins) for _ in range(self.threshold)]
        h = [0] + [next(coins) for _ in range(self.threshold)]
        k = next(coins)
        points = b"".join(g2(power(curve.G2, each)) for each in f)
        nonce = g2(power(curve.G2, k))
        proved = statement("possession", self.digest, dealer.encode(), points, nonce)
        c = int.from_bytes(hashlib.sha512(proved).digest()) % P
        bindings = b"".join(g2(power(curve.G2, each)) for each in h[1:])
        self.polynomials[dealer] = f, h
        self.dealings[dealer] = b"UAD1" + points + bindings + scalar(c) + scalar(k + c * f[0])
        return self.dealings[dealer]

    def sub_share(self, dealer: str, member: str) -> bytes:
        f, h = self.polynomials[dealer]
        place = 1 + self.members.index(member)
        return b"UAS1" + scalar(at(f, place)) + scalar(at(h, place))

    def report(self) -> bytes:
        return b"UAR1" + framed(b"".join(sha256(self.dealings[each]) for each in self.dealers))

    def to_sign(self, kind: str, sender: str, recipient: str, body: bytes) -> bytes:
        names = kind.encode(), sender.encode(), recipient.encode()
        return statement("ceremony-message", self.digest, *names, sha256(body))

    def confirmation(self, committee: Committee) -> bytes:
        dealings = [sha256(self.dealings[each]) for each in self.dealers]
        reports = [sha256(self.report())] * len(self.members)
        transcript = sha256(statement("transcript", self.digest, *dealings, *reports))
        return b"UAO1" + framed(transcript, committee.digest)

    def sums(self, weights: dict[str, int]) -> tuple[list[int], list[int]]:
        """Coefficients of a and b, which nobody knows outside a test."""
        degrees = range(self.threshold + 1)
        a, b = (
            [
                sum(w * self.polynomials[name][which][k] for name, w in weights.items()) % P
                for k in degrees
            ]
            for which in (0, 1)
        )
        return a, b

    def outcome(self, a: list[int], b: list[int]) -> Committee:
        return Committee(
            self.network,
            self.generation,
            self.threshold,
            self.digest,
            [power(curve.G2, each) for each in a],
            [power(curve.G2, each) for each in b[1:]],
            self.members,
        )


def share_bytes(committee: Committee, member: str, a: int, b: int, seed: bytes) -> bytes:
    return b"UAZ1" + framed(committee.digest, member.encode(), scalar(a), scalar(b), seed)


def request_bytes(*texts: str, committee: bytes, key: bytes, nonce: bytes, end: int) -> bytes:
    """``texts``: network, epoch, project, requester, and the attributes."""
    network, epoch, project, requester, *names = (text.encode() for text in texts)
    fixed = network, committee, epoch, project, requester, key, nonce, end.to_bytes(8)
    return b"UAQ1" + framed(*fixed, *names)


def request_digest(request: bytes) -> bytes:
    return sha256(statement("request", request))


def fragment(a: int, b: int, seed: bytes, q: bytes, names: list[str]) -> Key:
    part = key(a, names, wide(seed, statement("fragment", q)))
    part.sk1 = product(part.sk1, power(hashed("request", q), b))
    return part


def fragment_bytes(author: str, q: bytes, part: Key) -> bytes:
    return b"UAF1" + framed(author.encode(), q, bytes(part))


def randomness(part: Key) -> bytes:
    return sha256(statement("randomness", g2(part.sk3)))


def combine(parts: dict[int, Key]) -> Key:
    weights = lagrange(list(parts))

    def joined(column: list[Any]) -> Any:
        return product(*(power(each, w) for each, w in zip(column, weights, strict=True)))

    each = list(parts.values())
    return Key(
        each[0].names,
        joined([part.sk1 for part in each]),
        [joined([part.sk2[i] for part in each]) for i in range(len(each[0].names))],
        joined([part.sk3 for part in each]),
    )
