"""The key that deposits are encrypted to, dealt by its holders among themselves.

    s = s_1 + .. + s_h        e = e_1 + .. + e_h        b = e - a s mod (q, X^N + 1)

Holder j of h draws ``s_j`` ternary and ``e_j`` centred binomial and shares both, as vectors over
F_q, in one MPyC input; the sums and ``a s`` are local, because the product by a public polynomial
is linear; ``b`` is opened by all to all. So b belongs to the shared s by construction.
What holder j keeps is its share ``sigma_j`` of s, of degree t on the points 1 to h. Any t + 1
holders can decrypt, in a later session, whatever its own number of parties is.

Public: ``a``, from a seed that all know before, and ``b``. Secret: all else.

Adversary: up to t honest-but-curious holders, and anybody who sees b. t shares of an honest ``s_j``
and ``e_j`` are uniform, whatever they are; b and t shares determine the shares of b that are sent.
To whoever knows all other ``s_k`` and ``e_k`` the key is that of one honest holder: an RLWE sample
with ternary secret (``he.parameters``).

Up to t holders who DEVIATE can stop the dealing, and can spoil the key: choose what they share
instead of ``s_j`` and ``e_j``, before they know anything of b. They cannot choose b: of h >= 2t + 1
shares, those of the t + 1 honest holders fix the polynomial, and one share that is not on it ends
the dealing. (Opened from t + 1 shares without that, t = 2 liars who wait for the others' shares
give everybody a b of their own, and read every deposit.) That all have the same b shows when each
signs it.

Cost: 2 rounds; ``2 N`` elements of 22 bytes from each holder to each, then N elements more.

Source: additive key generation as in Asharov et al., "Multiparty computation with low
communication, computation and interaction via threshold FHE", EUROCRYPT 2012; Shamir-shared
instead, so that a holder may be missing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import mul
from typing import Any

import numpy as np

from upcare_mpc.errors import ProtocolError
from upcare_mpc.he import ring
from upcare_mpc.he.parameters import N, Q
from upcare_mpc.he.sampling import binomial, expand, ternary
from upcare_mpc.he.scheme import PublicKey, lagrange
from upcare_mpc.mpc.engine import Engine

__all__ = ["DealtKey", "deal_key", "recombined"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DealtKey:
    """What one holder has of the key that was dealt.

    Attributes:
        public: The public key, the same at all holders.
        sigma: ``(N,)`` this holder's share of s, at the point ``index + 1``. Secret.
    """

    public: PublicKey
    sigma: list[int] = field(repr=False)


async def deal_key(engine: Engine, *, seed: bytes, random: Callable[[int], bytes]) -> DealtKey:
    """Make a fresh key together; every holder calls it, in a session of all h of them.

    Args:
        engine: This holder's runtime, installed as the process's MPyC runtime; its threshold t may
            be less than ``(h - 1) // 2``.
        seed: 32 public bytes that nobody could choose, the digest of the collection.
        random: ``random(k)`` gives k uniform bytes, known to this holder alone.

    Raises:
        ProtocolError: A peer sent something else than elements of F_q; or the shares of b are not
            those of one polynomial of degree t.
        LinkError: A peer is lost.
    """
    secure = engine.SecFld(modulus=Q)

    def array(elements: Sequence[int]) -> Any:
        return secure.array(secure.field.array(np.array(elements, dtype=object), check=False))

    drawn = [*ternary(random).tolist(), *binomial(random).tolist()]
    first, *others = engine.input(array([value % Q for value in drawn]))
    gathered = await engine.gather(sum(others, first))
    shares = [int(value) for value in gathered.value]
    sigma, error = shares[:N], shares[N:]
    a, secret = ring.of_integers(expand(seed)), ring.of_integers(sigma)
    masked = ring.dense_product(ring.of_elements(a), ring.of_digits(secret))
    product = ring.integers(ring.reduced(masked))
    own = ring.to_bytes([(e - x) % Q for e, x in zip(error, product, strict=True)])
    opened = recombined(await engine.transfer(own), degree=engine.threshold)
    return DealtKey(public=PublicKey(seed=seed, b=tuple(opened)), sigma=sigma)


def recombined(frames: Sequence[bytes], *, degree: int) -> list[int]:
    """What the holders' shares interpolate to, if all of them are of one polynomial."""
    shares = []
    for holder, frame in enumerate(frames):
        try:
            shares.append(ring.from_bytes(frame))
        except ProtocolError as error:
            raise ProtocolError(f"holder {holder} sent no share of a key: {error}") from error
    known = range(1, degree + 2)

    def carried(at: int) -> list[int]:
        weights = lagrange(known, at=at)
        columns = zip(*shares[: len(known)], strict=True)
        return [sum(map(mul, weights, column)) % Q for column in columns]

    if any(carried(place + 1) != shares[place] for place in range(len(known), len(shares))):
        raise ProtocolError("the holders' shares of a key do not belong together")
    return carried(0)
