"""FABEO: ciphertext-policy attribute-based encryption (Riepel and Wee, CCS 2022).

    public key   g2^alpha
    key for S    sk1 = g1^alpha H(*)^r,   sk2_u = H(u)^r for u in S,   sk3 = g2^r
    ciphertext   ct1 = g2^s,   ct2_j = g2^(s'_j),   ct3_i = H(*)^(share i of s) H(u_i)^(s'_j(i))
    hidden       d = e(g1, g2)^(alpha s)

u_i is the attribute of row i of the policy, and j(i) counts its uses before row i. EACH USE of an
attribute has an s' of its own: with one s' for all rows, and(or(a, b), or(a, c)) opens to a key
for b alone, because the two H(a)^(s') cancel (``tests/attacks/test_abe_one_attribute_twice.py``).

What is claimed: whoever holds the public key and any number of keys, none of which satisfies the
policy, learns nothing of d. Nor do holders together know more than each alone, as every key has
an r of its own. The paper proves it in the generic group model with a random oracle, for adaptive
adversaries and many ciphertexts, and for a public key e(g1, g2)^alpha. That g2^alpha
gives nothing more away is proved in ``docs/abe.md``, in the same model.

What is not claimed: this layer is malleable, and what others call is ``kem``. The policy is not
hidden. Nothing revokes a key or what it has opened, a holder can make weaker copies of a key and
nothing traces them. A quantum computer breaks it. The running time depends on secrets.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from upcare_mpc.abe.groups import (
    G1,
    G1_BYTES,
    G2,
    G2_BYTES,
    GT,
    ORDER,
    Group,
    RandomBytes,
)
from upcare_mpc.abe.keys import (
    AttributeKey,
    PublicKey,
    attribute_point,
    check_attributes,
    common_point,
)
from upcare_mpc.abe.lsss import reconstruct, share
from upcare_mpc.abe.policy import MAX_CHARACTERS, MAX_ROWS, MAX_USES, Policy, parse
from upcare_mpc.errors import InputError, ProtocolError

__all__ = [
    "MAX_CIPHERTEXT_BYTES",
    "Ciphertext",
    "decrypt",
    "encrypt",
    "keygen",
    "setup",
    "verify_key",
]

_LENGTH_BYTES = 2
_WEIGHT_BYTES = 16

MAX_CIPHERTEXT_BYTES: Final = (
    _LENGTH_BYTES + MAX_CHARACTERS + (1 + MAX_USES) * G2_BYTES + MAX_ROWS * G1_BYTES
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ciphertext:
    """A hidden element of GT, and for whom.

    Bytes: length of the policy (2, big-endian) | canonical policy | ct1 | ct2_0, ct2_1, ... |
    ct3_0, ct3_1, ... The policy says how many of each: n rows and tau uses of the attribute used
    most take 98 + 96 tau + 48 n bytes beside the policy.
    """

    policy: Policy
    ct1: G2
    ct2: tuple[G2, ...]
    ct3: tuple[G1, ...]

    def __bytes__(self) -> bytes:
        text = str(self.policy).encode()
        points = b"".join(map(bytes, (self.ct1, *self.ct2, *self.ct3)))
        return len(text).to_bytes(_LENGTH_BYTES) + text + points

    @classmethod
    def from_bytes(cls, group: Group, encoded: bytes) -> "Ciphertext":
        """Decode what ``__bytes__`` gives, nothing else; checks every point.

        Raises:
            ProtocolError: The bytes are anything else.
        """
        refusal = ProtocolError("these are not the bytes of an ABE ciphertext")
        at = _LENGTH_BYTES + int.from_bytes(encoded[:_LENGTH_BYTES])
        try:
            text = encoded[_LENGTH_BYTES:at].decode("ascii")
            policy = parse(text)
        except (UnicodeDecodeError, InputError):
            raise refusal from None
        in_g2, in_g1 = 2 + max(policy.uses), len(policy.rows)
        middle = at + in_g2 * G2_BYTES
        if str(policy) != text or len(encoded) != middle + in_g1 * G1_BYTES:
            raise refusal
        ct1, *ct2 = (
            group.g2_from_bytes(encoded[i : i + G2_BYTES]) for i in range(at, middle, G2_BYTES)
        )
        ct3 = (
            group.g1_from_bytes(encoded[i : i + G1_BYTES])
            for i in range(middle, len(encoded), G1_BYTES)
        )
        return cls(policy=policy, ct1=ct1, ct2=tuple(ct2), ct3=tuple(ct3))


def setup(group: Group, alpha: int) -> PublicKey:
    """Return the public key of a master secret.

    Args:
        group: Where to compute.
        alpha: From 1 to ``ORDER - 1``. Secret: it opens everything.
    """
    assert 1 <= alpha < ORDER
    return PublicKey(group, group.g2 * alpha)


def keygen(group: Group, alpha: int, attributes: tuple[str, ...], r: int) -> AttributeKey:
    """Make a key, or an authority's fragment of one.

    sk1 is linear in (alpha, r); sk2 and sk3 are linear in r alone. So with ``alpha`` a Shamir share
    of the master secret and an r of each authority's own, the fragments of t + 1 authorities for
    the SAME attributes combine to the key for the master secret, and for the same combination of
    the r: each component on its own, with the coefficients of ``lsss.lagrange``. Nobody has to
    agree on r. For ``verify_key`` a fragment is a key under its author's g2^alpha.

    These carry no name: t + 1 of them given to different people combine as well, for the attributes
    that they share (``tests/attacks/test_abe_collusion.py``). ``issuance`` ties them to a request.

    Args:
        group: Where to compute.
        alpha: The master secret, or a share of it. Secret.
        attributes: 1 to 128 different ones, in any order. Public.
        r: Uniform from 1 to ``ORDER - 1``, never used for another key: two keys with one r pool
            their attributes. Secret.

    Raises:
        InputError: The attributes are not attributes of a key.

    Cost: n + 2 multiplications in G1 for n attributes, one in G2.
    """
    assert 0 <= alpha < ORDER
    assert 1 <= r < ORDER
    ordered = check_attributes(attributes)
    return AttributeKey(
        attributes=ordered,
        sk1=group.g1 * alpha + common_point(group) * r,
        sk2=tuple(attribute_point(group, attribute) * r for attribute in ordered),
        sk3=group.g2 * r,
    )


def verify_key(
    group: Group, key: AttributeKey, element: G2, random: RandomBytes, *blinds: tuple[G1, G2]
) -> None:
    """Check that a key, or a fragment, is one that ``keygen`` could have made.

    e(sk1, g2) = e(g1, element) e(H(*), sk3) and e(sk2_u, g2) = e(H(u), sk3) for all u, the latter
    under random weights of 128 bits. A wrong key passes with probability 2^-128.

    Args:
        group: Where to compute.
        key: Its points are of the right order: decoded, or made here.
        element: g2^alpha of the public key, or of the fragment's author.
        random: For the weights, which the key's maker must not foresee.
        blinds: What sk1 carries more, each (P, Q) a factor e(P, Q) on the right.

    Raises:
        ProtocolError: It is not.

    Cost: 3 pairings, one for each blind, and 2 n short multiplications in G1 for n attributes.
    """
    weights = [1, *(int.from_bytes(random(_WEIGHT_BYTES)) for _ in key.attributes)]
    hashes = [attribute_point(group, attribute) for attribute in key.attributes]
    made = group.combine([key.sk1, *key.sk2], weights)
    bases = group.combine([common_point(group), *hashes], weights)
    right = (group.g1, element), (bases, key.sk3), *blinds
    if not group.pair((-made, group.g2), *right).is_one:
        raise ProtocolError("the attribute key does not belong to the public key")


def encrypt(public: PublicKey, policy: Policy, coin: Callable[[], int]) -> tuple[Ciphertext, GT]:
    """Hide a random element of GT under a policy.

    Args:
        public: Of the network.
        policy: n rows.
        coin: Draws uniform scalars from 1 to ``ORDER - 1``: s, then s'_0, s'_1, ..., then those of
            ``lsss.share``. Secret.

    Returns:
        The ciphertext, public; and the element d, secret.

    Cost: 2 n multiplications in G1, 1 + tau in G2 for tau uses of the attribute used most, and a
    pairing; less where ``PublicKey.prepare`` has made tables.
    """
    s = coin()
    primes = [coin() for _ in range(1 + max(policy.uses))]
    shares = share(policy, s, coin)
    rows = zip(policy.rows, policy.uses, shares, strict=True)
    ciphertext = Ciphertext(
        policy=policy,
        ct1=public.power(s),
        ct2=tuple(public.power(prime) for prime in primes),
        ct3=tuple(public.row(attribute, part, primes[use]) for attribute, use, part in rows),
    )
    return ciphertext, public.blind(s)


def decrypt(group: Group, ciphertext: Ciphertext, key: AttributeKey) -> GT:
    """Recover the hidden element: e(sk1, ct1) prod_j e(sk2's, ct2_j) / e(ct3's, sk3).

    Nothing tells a right element from a wrong one here: a ciphertext that was made differently, or
    another network's key, gives some other element. ``kem.decapsulate`` finds out.

    Raises:
        ProtocolError: The key's attributes do not satisfy the policy.

    Cost: one product of 2 + tau pairings at most.
    """
    policy = ciphertext.policy
    chosen = reconstruct(policy, frozenset(key.attributes))
    if chosen is None:
        raise ProtocolError("the attributes of the key do not satisfy the policy")
    parts = dict(zip(key.attributes, key.sk2, strict=True))
    pairs = [(key.sk1, ciphertext.ct1)]
    for use, point in enumerate(ciphertext.ct2):
        rows = [row for row in chosen if policy.uses[row] == use]
        if rows:
            mine = [parts[policy.rows[row]] for row in rows]
            pairs.append((group.combine(mine, [chosen[row] for row in rows]), point))
    masked = group.combine([ciphertext.ct3[row] for row in chosen], list(chosen.values()))
    return group.pair(*pairs, (-masked, key.sk3))
