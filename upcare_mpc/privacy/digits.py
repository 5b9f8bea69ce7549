"""One summand of discrete Gaussian noise: a magnitude drawn digit by digit, and a sign.

    |Y| = sum over i < K of 2^i d_i,       d_i = [u_i < T_i(d_{K-1} .. d_{i+1})],

from the top digit down, with a fresh uniform word ``u_i`` of ``lam`` bits (``precision``) that
nobody knows, and a public table of thresholds for each digit, chosen by the digits above it. The
coins are those of the FOLDED curve ``g(k) = e^(-k^2/(2 sigma^2))`` (0 counts once, ``k`` and ``-k``
together), so that a uniform sign makes ``Y`` symmetric and the sign of 0 does not matter. This law
differs from the ideal one (Canonne, Kamath and Steinke, NeurIPS 2020) in two ways, and this module
computes with the law that results:

* ``|Y| <= R = 2^K - 1``;
* each coin is rounded UP to a multiple of ``2^-lam``. Every step away from 0 passes through coins
  that are 1, and these are never too rare. A coin that is 0 has ideal probability 1/3 or more (the
  worst: ``|Y| = 0`` against ``|Y| = 1`` at large sigma) and loses at most ``3 * 2^-lam`` of it.
  Rounded down, the outermost coins would become 0, and with them every value beyond.

No float is used, so that all hosts get the same tables.

Limits: tables of at most 4095 thresholds, so ``K <= 12``; coins of at most 63 bits.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import accumulate

from upcare_mpc.errors import PrivacyError
from upcare_mpc.privacy.bell import bell, bits_for, digit_coins

__all__ = ["MAX_DIGITS", "MAX_PRECISION", "Part", "rounded_part"]

MAX_DIGITS = 12
MAX_PRECISION = 63
MAX_PLACES = 24  # a shift of more would leave the range of sigma

_GUARD_BITS = 64


@dataclass(frozen=True, kw_only=True)
class Part:
    """The law of ``2^shift * Y``; everything about it is public.

    Attributes:
        shift: Binary places by which ``Y`` is moved up.
        sigma_squared: Variance parameter of the ideal law of ``Y``, before the shift.
        precision: Bits ``lam`` of the uniform word behind each coin.
        magnitude_bits: Binary digits ``K`` of ``|Y|``.
        tables: Thresholds in the order of drawing: ``tables[j]`` is for the digit of weight
            ``2^(K-1-j)``, and ``tables[j][h]`` for higher digits that read ``h`` in binary, so it
            has ``2^j`` entries. A coin is 1 with probability ``T / 2^precision``.
    """

    shift: int
    sigma_squared: Fraction
    precision: int
    magnitude_bits: int
    tables: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        """Check the parameters against each other."""
        if not 0 <= self.shift <= MAX_PLACES:
            raise PrivacyError(f"a part moves by 0 to {MAX_PLACES} places, got {self.shift}")
        if self.sigma_squared <= 0:
            raise PrivacyError(f"a part needs sigma^2 > 0, got {float(self.sigma_squared):g}")
        if not 1 <= self.precision <= MAX_PRECISION:
            raise PrivacyError(f"coins have 1 to {MAX_PRECISION} bits, got {self.precision}")
        if not 1 <= self.magnitude_bits <= MAX_DIGITS:
            raise PrivacyError(f"tables are for 1 to {MAX_DIGITS} digits: {self.magnitude_bits}")
        sizes = [len(table) for table in self.tables]
        if sizes != [1 << j for j in range(self.magnitude_bits)]:
            raise PrivacyError(f"{self.magnitude_bits} digits need tables of 1, 2, 4, ..: {sizes}")
        if not all(0 <= t < 2**self.precision for table in self.tables for t in table):
            raise PrivacyError(f"thresholds lie in [0, 2^{self.precision})")

    @property
    def top(self) -> int:
        """Largest ``|Y|``, ``R = 2^K - 1``."""
        return (1 << self.magnitude_bits) - 1

    @property
    def canonical(self) -> str:
        """The parameters as text, for the digest of the whole law."""
        tables = ";".join(",".join(map(str, table)) for table in self.tables)
        return (
            f"shift={self.shift}\n"
            f"sigma_squared={self.sigma_squared.numerator}/{self.sigma_squared.denominator}\n"
            f"precision={self.precision}\n"
            f"magnitude_bits={self.magnitude_bits}\n"
            f"tables={tables}\n"
        )

    @property
    def mass_unit(self) -> int:
        """What ``masses`` sum to: ``2^(lam K + 1)``."""
        return 2 << (self.precision * self.magnitude_bits)

    @cached_property
    def masses(self) -> tuple[int, ...]:
        """Probabilities of ``Y = -R .. R`` in units of ``1 / mass_unit``."""
        zero, *outward = self._folded
        return (*reversed(outward), 2 * zero, *outward)

    @cached_property
    def below(self) -> tuple[int, ...]:
        """Probabilities of ``Y < -R``, .., ``Y < R + 1``, in the same units."""
        return (0, *accumulate(self.masses))

    @cached_property
    def variance(self) -> Fraction:
        """Variance of ``Y``, exactly."""
        second = sum(k * k * mass for k, mass in enumerate(self.masses, -self.top))
        return Fraction(second, self.mass_unit)

    def kept(self, shift: int) -> Fraction:
        """Return ``G min P(k)/g(k)``, ``G`` the sum of g over ``I = [shift - R, R]``, rounded down.

        The largest weight with which the law of ``Y`` contains the ideal one conditioned on ``I``;
        with ``shift = 0``, on its own support. Too small by less than ``2^-100``.
        """
        mass, ratio, unit = self._contained
        if shift <= self.top:
            common = mass[self.top + 1] + mass[self.top + 1 - shift]
        else:
            common = max(0, mass[self.top + 1] - mass[min(shift - self.top, self.top + 1)])
        return Fraction(min(common * ratio, 2 * unit), 2 * unit)

    @cached_property
    def _folded(self) -> tuple[int, ...]:
        """Probabilities of ``|Y| = 0 .. R`` in units of ``2^-(lam K)``."""
        one = 1 << self.precision
        masses = [1]
        for table in self.tables:
            masses = [
                part
                for mass, threshold in zip(masses, table, strict=True)
                for part in (mass * (one - threshold), mass * threshold)
            ]
        return tuple(masses)

    @cached_property
    def _contained(self) -> tuple[tuple[int, ...], int, int]:
        """Lower sums of ``g`` by magnitude, the least ``P/g`` rounded down, and their unit.

        ``mass[m]`` is the sum of ``g`` over ``|k| < m`` in some unit and ``ratio`` is ``P/g`` in
        another; the unit returned is the product of the two.
        """
        bits = bits_for(self.sigma_squared, self.top, 2 * _GUARD_BITS)
        curve = bell(self.sigma_squared, self.top, bits)
        extra = bits + 2 * _GUARD_BITS
        weights = (1, *(2 for _ in range(self.top)))
        ratio = min(
            (mass << extra) // (weight * high)
            for mass, weight, high in zip(self._folded, weights, curve.high, strict=True)
        )
        sums = accumulate(weight * low for weight, low in zip(weights, curve.low, strict=True))
        return (0, *sums), ratio, 1 << (extra + self.precision * self.magnitude_bits)


def rounded_part(
    sigma_squared: Fraction, precision: int, magnitude_bits: int, *, shift: int = 0
) -> Part:
    """Build the law of a given size, each threshold rounded up.

    The curve is enclosed until both ends of the enclosure have the same thresholds, which are
    therefore the same integers on every host.
    """
    top = (1 << magnitude_bits) - 1
    bits = bits_for(sigma_squared, top, precision + _GUARD_BITS)
    while True:
        curve = bell(sigma_squared, top, bits)
        coins = list(digit_coins(curve, magnitude_bits, precision))
        if all(lows == highs for lows, highs in coins):
            return Part(
                shift=shift,
                sigma_squared=sigma_squared,
                precision=precision,
                magnitude_bits=magnitude_bits,
                tables=tuple(tuple(highs) for _, highs in coins),
            )
        bits *= 2
