"""Relative survival from noisy counts: survival over what people like the patients would have.

Ederer II on the grid (Ederer and Heise 1959; Cutler and Ederer 1958): in each interval, the
expected survival is one less the mean chance to die, by the registries' life tables, of the
patients under observation in it. Relative survival is the product over intervals of observed over
expected survival. The life tables are taken as known.

Each registry adds up the chances of its patients, one table for each interval. A chance is counted
in thousandths and at most ``expected_at_most``. Expected deaths get their own noise, and the curve
moves with both: log R_k has the derivative 1 / (L - E) in the expected deaths E of an interval and
-E / (L (L - E)) in those at risk L, besides those of log survival (``lifetable``).

Standardised mortality ratio of an arm, over the whole grid: deaths over expected deaths, the latter
less for those who were exposed for half an interval. Its interval holds all ratios m for which
deaths - m * expected is within 1.96 standard errors of 0, with the variance m * expected of a
Poisson count and that of the noise.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from upcare_mpc.kinds.kind import Z95, Floats, NoiseLaw
from upcare_mpc.kinds.repair import risen
from upcare_mpc.kinds.sums import noise_reach
from upcare_mpc.kinds.survival.followup import Exits
from upcare_mpc.kinds.survival.lifetable import LEAST_EXPOSED, LifeTable, proportion_interval

__all__ = ["Expected", "MortalityRatio", "Relative"]

THOUSANDTHS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """Noisy expected deaths.

    Attributes:
        deaths: ``(..., n)`` as they came out of the noise.
        draws: How many draws of noise are behind each.
        noise: Of one draw, in the units of the vector: ``per(THOUSANDTHS)`` is in deaths.
        weight: Of the table of exits, in these units.
    """

    deaths: Floats
    draws: int
    noise: NoiseLaw
    weight: int

    def summed(self, axis: int) -> "Expected":
        """Add up along a leading axis, and the draws of noise behind each number."""
        return replace(
            self, deaths=self.deaths.sum(axis=axis), draws=self.draws * self.deaths.shape[axis]
        )

    def reach(self, of_exits: tuple[Floats, Floats], of_expected: tuple[Floats, Floats]) -> Floats:
        """Return how far both noises together reach, 19 times in 20.

        Args:
            of_exits: Sums of the squares and of the fourth powers of the slopes, over all draws of
                noise in the exits, in patients.
            of_expected: The same of the expected deaths, in deaths.
        """
        squares = of_exits[0] / self.weight**2 + of_expected[0] / THOUSANDTHS**2
        fourths = of_exits[1] / self.weight**4 + of_expected[1] / THOUSANDTHS**4
        return noise_reach(self.noise, squares, fourths)


@dataclass(frozen=True, slots=True, kw_only=True)
class Relative:
    """Relative survival; every array is ``(..., n)``.

    Attributes:
        expected: Expected survival.
        relative: Observed over expected survival; it can be above 1.
        dp, ci: Bounds, not below 0.
    """

    expected: Floats
    relative: Floats
    dp: tuple[Floats, Floats]
    ci: tuple[Floats, Floats]

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """Whether the noise leaves anything to tell: it moves the ratio by less than 1."""
        return self.dp[1] - self.relative < 1

    @classmethod
    def of(cls, exits: Exits, table: LifeTable, expected: Expected) -> "Relative":
        """Estimate from the exits, their life table, and the expected deaths."""
        present = np.maximum(table.at_risk, LEAST_EXPOSED)
        deaths = np.minimum(risen(expected.deaths), 0.99 * present)
        alive = present - deaths
        survival = np.cumprod(alive / present, axis=-1, dtype=np.float64)

        exposed = np.maximum(table.exposed, LEAST_EXPOSED)
        survivors = np.maximum(exposed - table.deaths, LEAST_EXPOSED)
        slopes = {
            "by_exposed": table.deaths / (exposed * survivors),
            "by_deaths": -1 / survivors,
            "by_at_risk": -deaths / (present * alive),
        }
        error = table.survival * expected.reach(
            (exits.curve_power_sums(2, **slopes), exits.curve_power_sums(4, **slopes)),
            (
                expected.draws * np.cumsum(alive**-2.0, axis=-1),
                expected.draws * np.cumsum(alive**-4.0, axis=-1),
            ),
        )
        low, high = proportion_interval(table.survival, table.effective, error)
        observed = table.survival
        return cls(
            expected=survival,
            relative=observed / survival,
            dp=(np.maximum(observed - error, 0) / survival, (observed + error) / survival),
            ci=(
                np.minimum(low, np.maximum(observed - error, 0)) / survival,
                np.maximum(high, observed + error) / survival,
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MortalityRatio:
    """Deaths over expected deaths, with Fieller's intervals; every array is ``(...)``.

    The noise in the expected deaths counts at every ratio that is tested, so where they do not
    stand out from it there is no upper limit: it is infinite.

    Attributes:
        observed, expected: Deaths, as noisy as they came; sums of them have no bias.
        ratio: Not below 0; NaN where nothing is expected.
        dp, ci: Bounds, not below 0.
    """

    observed: Floats
    expected: Floats
    ratio: Floats
    dp: tuple[Floats, Floats]
    ci: tuple[Floats, Floats]

    @classmethod
    def of(cls, exits: Exits, table: LifeTable, expected: Expected) -> "MortalityRatio":
        """Estimate from the exits, their life table, and the expected deaths."""
        present = np.maximum(table.at_risk, LEAST_EXPOSED)
        part = table.exposed / present
        observed = exits.noisy_deaths.sum(axis=-1)
        due = (expected.deaths * part).sum(axis=-1)
        deaths = np.maximum(expected.deaths, 0)

        def noise(ratio: float) -> Floats:
            """Square of the reach of the noise in ``observed - ratio * due``."""
            slopes = exits.slopes(
                by_exposed=-ratio * deaths / present,
                by_deaths=np.ones_like(deaths),
                by_at_risk=ratio * deaths * part / present,
            )
            far = expected.reach(
                (exits.power_sums(slopes, 2), exits.power_sums(slopes, 4)),
                (
                    expected.draws * ((ratio * part) ** 2).sum(axis=-1),
                    expected.draws * ((ratio * part) ** 4).sum(axis=-1),
                ),
            )
            squared: Floats = far**2
            return squared

        # Quadratic in the ratio, but for how concentrated the noise is, which changes little.
        none, once, twice = noise(0), noise(1), noise(2)
        curved = np.maximum((twice - 2 * once + none) / 2, 0)
        line = once - none - curved
        dp = _fieller(observed, due, (none, line, curved))
        ci = _fieller(observed, due, (none, line + Z95**2 * np.maximum(due, 0), curved))
        safe = np.where(due >= LEAST_EXPOSED, due, np.nan)
        return cls(
            observed=observed,
            expected=due,
            ratio=np.maximum(observed / safe, 0),
            dp=dp,
            ci=(np.minimum(ci[0], dp[0]), np.maximum(ci[1], dp[1])),
        )


def _fieller(
    observed: Floats, due: Floats, error: tuple[Floats, Floats, Floats]
) -> tuple[Floats, Floats]:
    """Bounds of all ratios ``r >= 0`` with ``(observed - r due)^2 <= e0 + e1 r + e2 r^2``."""
    square = due**2 - error[2]
    middle = 2 * observed * due + error[1]
    rest = observed**2 - error[0]
    root = np.sqrt(np.maximum(middle**2 - 4 * square * rest, 0))
    bounded = (square > 1e-12) & (due > 0)
    divisor = 2 * np.where(np.abs(square) > 1e-12, square, 1e-12)
    one, other = (middle - root) / divisor, (middle + root) / divisor
    low = np.where(rest <= 0, 0, np.where(bounded, np.minimum(one, other), 0))
    high = np.where(bounded, np.maximum(one, other), np.inf)
    return np.maximum(low, 0), np.maximum(high, 0)
