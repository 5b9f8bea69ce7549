"""Privacy-loss distributions: the whole curve delta(epsilon) of a release, and of many together.

The *privacy loss* of an outcome is ``L = ln(P / P')``, with ``P`` and ``P'`` its probabilities on
two neighbouring data sets. With the outcome drawn from ``P``, the distribution of L tells all:

    delta(epsilon) = E[max(0, 1 - e^(epsilon - L))],

and the losses of independent releases add up, so that distributions are composed by convolution
(Koskela, Jalko and Honkela, AISTATS 2020; Sommer, Meiser and Mohammadi, PoPETs 2019). A
distribution whose curve is nowhere below that of a release, negative epsilons included, may stand
for it in a composition (a *dominating pair*; Zhu, Dong and Wang, AISTATS 2022): the composed curve
is ``sum over j of m_j delta_1(epsilon - loss_j)``, so raising one curve raises it.

**On a grid, never below the truth.** A distribution here has masses at multiples of ``step`` and
one at infinity. It is built from upper bounds ``h_0 .. h_N`` on the curve at ``epsilon = 0, step,
.., N step``, which hold for both directions (one patient more, one patient less; the same where
the noise is symmetric), as the distribution whose own curve goes through these points ("connect
the dots"; Doroshenko, Ghazi, Kamath, Kumar and Manurangsi, PoPETs 2022). With ``a = e^epsilon``:

* *Between the points* the true curve is convex in ``a`` and the curve of a distribution on the
  grid is linear in ``a``, a chord. After the last point it is constant; the true curve falls.
* *Below 0*, ``delta(-epsilon)`` of one direction is ``1 - e^-epsilon + e^-epsilon delta(epsilon)``
  of the other, so the points determine it, and the distribution is its own mirror image:
  ``m_-i = e^(-i step) m_i``. Before the first point the chord starts at ``(a, delta) = (0, 1)``.
* *The masses* are the bends of the chords. With ``d = 1 / (e^step - 1)``

      m_i = (h_(i-1) - h_i) + d (h_(i-1) - 2 h_i + h_(i+1)),       m_0 = 1 - h_0 - 2d (h_0 - h_1),

  ``h_(N+1) = h_N``, and ``h_N`` is the mass at infinity. Where the bounds are not convex a mass
  would be negative; it is set to 0.

**Roundings.** All arithmetic is in integers; there is no float. A curve is a sum of masses times
nonnegative functions that rise with the loss. So a mass may be rounded up, and moved to a higher
loss or to infinity, and neither lowers the curve, alone or composed. This is what is done: masses
are rounded up to multiples of 2^-96; after a convolution the outermost masses of at most 2^-80 in
all are moved inwards on the negative side and to infinity on the positive side. Convolution is one
multiplication of long integers (Kronecker substitution), hence exact before that rounding.

**What it may be used for.** A convolution bounds releases whose dominating pairs were fixed
beforehand. Questions may be chosen after seeing earlier answers, prices may not. So these figures
report on the past and decide nothing; what decides is the filter in ``accountant``.
"""

from bisect import insort
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from upcare_mpc.errors import PrivacyError
from upcare_mpc.privacy.exponential import exp_above, exp_below, exp_minus
from upcare_mpc.privacy.logarithm import ln

__all__ = ["CURVE_BITS", "LossDistribution", "compose", "of_curve"]

CURVE_BITS = 160  # points of a curve are integers in units of 2^-160
_MASS_BITS = 96
_GUARD_BITS = CURVE_BITS - _MASS_BITS
_TAIL = 1 << 16  # 2^-80, in units of 2^-96
_EPSILON_UNITS = 1 << 32


@dataclass(frozen=True, slots=True, kw_only=True)
class LossDistribution:
    """Bounds the privacy loss of one or more releases, in both directions.

    Attributes:
        step: Distance of the grid points, a loss.
        lowest: Number of the first grid point, at most 0; its loss is ``lowest * step``.
        masses: At the grid points from there on, in units of 2^-96.
        certain: Mass at infinity, in the same units: outcomes that give the patient away.
    """

    step: Fraction
    lowest: int
    masses: tuple[int, ...]
    certain: int

    def __post_init__(self) -> None:
        """Check the shape; the masses are whatever bounds the truth."""
        if self.step <= 0 or self.lowest > 0 or not self.masses:
            raise ValueError(
                f"wanted step > 0, lowest <= 0 and a mass, "
                f"got {self.step}, {self.lowest} and {len(self.masses)}"
            )

    def delta_at(self, epsilon: Fraction) -> Fraction:
        """Return the delta at ``epsilon``, at least 0; rounded up by less than 2^-80."""
        if epsilon < 0:
            raise ValueError(f"wanted epsilon >= 0, got {epsilon}")
        mass, discounted = self._tails()
        at = max(0, ceil(epsilon / self.step) - self.lowest)
        if at >= len(mass):
            return min(Fraction(1), self.leaks)
        above = (self.lowest + at) * self.step - epsilon
        discount = exp_minus(above, CURVE_BITS).low * discounted[at]
        return min(Fraction(1), (mass[at] - discount) / (1 << CURVE_BITS))

    @property
    def leaks(self) -> Fraction:
        """Delta at every epsilon: the mass at infinity."""
        return Fraction(self.certain, 1 << _MASS_BITS)

    def epsilon_at(self, delta: Fraction) -> Fraction:
        """Return the smallest epsilon, rounded up to a multiple of 2^-32, that holds at ``delta``.

        Raises:
            PrivacyError: The mass at infinity alone is more than ``delta``.
        """
        if self.leaks > delta:
            raise PrivacyError(
                f"these releases have delta {float(self.leaks):.3g} at every epsilon; "
                f"wanted at most {float(delta):.3g}"
            )
        allowed = delta * (1 << CURVE_BITS)
        for at, (mass, discounted) in enumerate(zip(*self._tails(), strict=True)):
            loss = (self.lowest + at) * self.step
            if loss < 0 or mass - discounted > allowed:
                continue
            if loss == 0:
                return loss
            # delta = mass - e^(epsilon - loss) discounted, for epsilons from the point before
            epsilon = loss + ln((mass - allowed) / discounted, _MASS_BITS).high
            return min(loss, Fraction(max(0, ceil(epsilon * _EPSILON_UNITS)), _EPSILON_UNITS))
        return Fraction(0)

    def curve(self, last: int) -> list[int]:
        """Return the deltas at ``0, step, .., last * step``, in units of 2^-160; rounded up."""
        mass, discounted = self._tails()
        deltas = [m - d for m, d in zip(mass, discounted, strict=True)][-self.lowest :]
        beyond = [self.certain << _GUARD_BITS] * (last + 1)
        return [*deltas, *beyond][: last + 1]

    def _tails(self) -> tuple[list[int], list[int]]:
        """Sum from each grid point on: ``m_j``, and ``m_j e^(-loss_j)`` relative to that point.

        In units of 2^-160; the first with the mass at infinity, the second rounded down.
        """
        fall = int(exp_minus(self.step, CURVE_BITS).low * (1 << CURVE_BITS))
        mass, discounted = self.certain << _GUARD_BITS, 0
        tails = []
        for m in reversed(self.masses):
            mass += m << _GUARD_BITS
            discounted = (m << _GUARD_BITS) + (discounted * fall >> CURVE_BITS)
            tails.append((mass, discounted))
        tails.reverse()
        return [m for m, _ in tails], [d for _, d in tails]


def of_curve(step: Fraction, deltas: Sequence[int]) -> LossDistribution:
    """Build the distribution whose curve goes through the given points.

    Args:
        step: Above 0.
        deltas: Upper bounds on delta at ``0, step, 2 step, ..``, for both directions, in units of
            2^-160; at least two. What happens after the last one counts as certain.
    """
    if step <= 0 or len(deltas) < 2:
        raise ValueError(f"wanted step > 0 and two points or more, got {step} and {len(deltas)}")
    low, high = 1 / (exp_above(step) - 1), 1 / (exp_below(step) - 1)

    def bent(bend: int) -> int:
        """Multiply by ``d``, rounded up."""
        d = high if bend > 0 else low
        return -(-bend * d.numerator // d.denominator)

    points = [*deltas, deltas[-1]]
    bends = [(1 << CURVE_BITS) - points[0] + bent(2 * (points[1] - points[0]))]
    for before, here, after in zip(points, points[1:], points[2:], strict=False):
        bends.append(before - here + bent(before - 2 * here + after))
    above = [max(0, -(-bend >> _GUARD_BITS)) for bend in bends]
    below, mirror, fall = [], 1 << CURVE_BITS, exp_minus(step, CURVE_BITS).high
    for mass in above[1:]:
        mirror = -(-mirror * fall.numerator // fall.denominator)
        below.append(-(-mass * mirror >> CURVE_BITS))
    return _trimmed(
        LossDistribution(
            step=step,
            lowest=-len(below),
            masses=(*reversed(below), *above),
            certain=-(-deltas[-1] >> _GUARD_BITS),
        )
    )


def compose(parts: Iterable[LossDistribution]) -> LossDistribution:
    """Convolve the distributions of independent releases, short ones first.

    Raises:
        ValueError: There are none, or their grids differ.
    """
    queue: list[LossDistribution] = []
    for part, times in Counter(parts).items():
        insort(queue, _power(part, times), key=_size)
    if len({part.step for part in queue}) != 1:
        raise ValueError(f"wanted one grid, got {len({part.step for part in queue})}")
    while len(queue) > 1:
        first, second = queue.pop(0), queue.pop(0)
        insort(queue, _convolved(first, second), key=_size)
    return queue[0]


def _size(part: LossDistribution) -> int:
    return len(part.masses)


def _power(base: LossDistribution, times: int) -> LossDistribution:
    """Convolve ``base`` with itself, by repeated squaring."""
    if times == 1:
        return base
    half = _power(base, times // 2)
    square = _convolved(half, half)
    return _convolved(square, base) if times % 2 else square


def _convolved(a: LossDistribution, b: LossDistribution) -> LossDistribution:
    """Add two independent losses."""
    finite_a, finite_b = sum(a.masses), sum(b.masses)
    width = (max(1, finite_a) * max(1, finite_b)).bit_length() // 8 + 1  # none is larger
    product = _packed(a.masses, width) * _packed(b.masses, width)
    raw = product.to_bytes((len(a.masses) + len(b.masses)) * width, "little")
    certain = a.certain * (finite_b + b.certain) + finite_a * b.certain
    return _trimmed(
        LossDistribution(
            step=a.step,
            lowest=a.lowest + b.lowest,
            masses=tuple(
                -(-int.from_bytes(raw[at : at + width], "little") >> _MASS_BITS)
                for at in range(0, len(raw) - width, width)
            ),
            certain=-(-certain >> _MASS_BITS),
        )
    )


def _packed(masses: Sequence[int], width: int) -> int:
    return int.from_bytes(b"".join(mass.to_bytes(width, "little") for mass in masses), "little")


def _trimmed(wide: LossDistribution) -> LossDistribution:
    """Move the outermost masses upwards: to infinity, and to the first grid point that is kept."""
    masses = wide.masses
    start, stop, below, above = 0, len(masses), 0, 0
    while stop > 1 and above + masses[stop - 1] <= _TAIL:
        stop -= 1
        above += masses[stop]
    while start < min(stop - 1, -wide.lowest) and below + masses[start] <= _TAIL:
        below += masses[start]
        start += 1
    return LossDistribution(
        step=wide.step,
        lowest=wide.lowest + start,
        masses=(masses[start] + below, *masses[start + 1 : stop]),
        certain=wide.certain + above,
    )
