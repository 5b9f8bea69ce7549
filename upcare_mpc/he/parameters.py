"""The one parameter set, ``upcare-rlwe/1``, and what follows from it.

    ring         Z[X] / (X^N + 1),  N = 8192
    ciphertexts  modulo q, a prime of 176 bits, equal to 1 modulo t and to 5 modulo 8
    plaintexts   modulo t = p = 2^61 - 1, the field of the studies;  Delta = (q - 1) / t
    key          s = s_1 + .. + s_h, each s_j ternary;  b = e - a s
    errors       centred binomial, 21 coins each way: standard deviation 3.24, at most 21

``Delta t = -1 mod q``: a plaintext that wraps around t costs one unit of error. As q is 5 modulo 8,
``X^N + 1`` has two irreducible factors modulo q, so every polynomial that is not zero and whose
coefficients are below ``sqrt(q / 2)`` can be inverted (Lyubashevsky and Seiler, EUROCRYPT 2018,
Corollary 1.2).

Security: HomomorphicEncryption.org standard (2018), Table 1, ternary secret, N = 8192: 128 bits for
q up to 218 bits, and against quantum computers up to 202. The secret of ONE honest holder suffices.
"""

from fractions import Fraction
from typing import Final

__all__ = [
    "CHALLENGE_BITS",
    "DELTA",
    "ERROR_BOUND",
    "FLOOD_BITS",
    "MAX_DEPOSITS",
    "PARAMETERS",
    "Q_BYTES",
    "N",
    "Q",
    "T",
    "flooding_distance",
    "fresh_error",
]

PARAMETERS: Final = "upcare-rlwe/1"
N: Final = 8192
Q: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFF1D7FC0000000000715
Q_BYTES: Final = 22
T: Final = (1 << 61) - 1
DELTA: Final = (Q - 1) // T
ERROR_BOUND: Final = 21
CHALLENGE_BITS: Final = 160
FLOOD_BITS: Final = 110
MAX_DEPOSITS: Final = 1 << 16


def fresh_error(holders: int) -> int:
    """Largest ``|e|`` of ``c0 + c1 s = Delta m + e`` of one honest ciphertext.

    ``e = e_pk u + e_0 + e_1 s``: coefficients of ``e_pk`` are at most ``21 h``, of s at most h,
    of u and ``e_1`` at most 1 and 21; a product adds N of them.

    Args:
        holders: h, of whose ternary secrets the key is the sum.
    """
    return ERROR_BOUND * (2 * N * holders + 1)


def flooding_distance(*, cells: int, deposits: int, holders: int) -> Fraction:
    """Bound how much what opens in a conversion tells beyond uniform values; exact arithmetic.

    One honest party's flood is uniform over ``2^(FLOOD_BITS + 1)`` values. Errors shift it, and so
    does one unit for each wrap around t of the sum of the deposits and of the parties' masks:
    by at most ``deposits * (fresh_error + 1) + holders``. Statistical distance, for all cells, of
    deposits that were encrypted as ``scheme`` does; docs/deposits/proof.md says what others add.

    Args:
        cells: Of the vector that is converted.
        deposits: That were added up in it.
        holders: h.
    """
    shift = deposits * (fresh_error(holders) + 1) + holders
    return Fraction(cells * shift, 1 << (FLOOD_BITS + 1))
