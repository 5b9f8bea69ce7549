"""What a study kind is: layout, measures, finish; and what they hand to each other.

A kind is one folder: ``kind`` says what is asked and measured, ``preview`` how exact the answer can
be, ``result`` what it is, ``chart`` how it looks. ``layout`` and ``measures`` are functions of the
study text and never look at records; an engine (``study.rows``) evaluates the measures at each
registry; the network adds the vectors and ONE noise draw; ``finish`` sees the noisy sum alone.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from upcare_mpc.privacy.guarantee import Guarantee
from upcare_mpc.study.layout import Layout, Measures

if TYPE_CHECKING:  # nodes load kinds but never finish a study: spare them pandas and altair
    import altair as alt
    import pandas as pd

__all__ = [
    "COHORTS",
    "Z95",
    "Expected",
    "Floats",
    "Kind",
    "NoiseLaw",
    "Preview",
    "Result",
    "Statistic",
]

Floats: TypeAlias = npt.NDArray[np.float64]
Statistic: TypeAlias = Mapping[str, float | int | str | None]

Z95: Final = 1.959963984540054  # 97.5 % point of the normal law
_RARE: Final = 0.05  # below this variance, a whole number is 0 more than 19 times in 20


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseLaw:
    """The noise in a cell, as estimators need to know it, whatever mechanism draws it.

    Attributes:
        variance: Of one draw.
        quantile95: Smallest k with P(|noise| <= k) >= 0.95.
        scale: Of the law: b of Laplace, sigma of Gaussian noise; 0 if there is no noise.
        gaussian: Which of the two it is.
        weight: What a draw is divided by, in a table whose units count that often.
    """

    variance: float
    quantile95: float
    scale: float
    gaussian: bool = False
    weight: int = 1

    @classmethod
    def of(cls, guarantee: Guarantee) -> "NoiseLaw":
        """The noise of a release, from the exact law behind its privacy label."""
        return cls(
            variance=float(guarantee.variance),
            quantile95=float(guarantee.error95),
            scale=float(guarantee.scale),
            gaussian=guarantee.rho is not None,
        )

    @property
    def sd(self) -> float:
        """Standard deviation of one draw."""
        return float(self.variance**0.5)

    def per(self, weight: int) -> "NoiseLaw":
        """The noise in a table of this weight, in the unit of the table."""
        return replace(
            self,
            variance=self.variance / weight**2,
            quantile95=self.quantile95 / weight,
            weight=self.weight * weight,
        )

    def draws(self, size: tuple[int, ...], generator: np.random.Generator) -> Floats:
        """Simulate the ideal law; for simulations alone, floats decide."""
        if self.scale == 0:
            return np.zeros(size)
        if self.gaussian:
            reach = math.ceil(10 * self.scale)
            values = np.arange(-reach, reach + 1)
            below = np.cumsum(np.exp(-0.5 * (values / self.scale) ** 2))
            drawn = np.searchsorted(below, generator.uniform(0, below[-1], size)) - reach
        else:  # a difference of two geometric draws is discrete Laplace
            success = -np.expm1(-1 / self.scale)
            drawn = generator.geometric(success, size) - generator.geometric(success, size)
        noise: Floats = drawn / self.weight
        return noise

    def reach(self, concentration: npt.ArrayLike) -> Floats:
        """How far 95 % of a weighted sum of draws reach, over the root of the squared weights.

        Args:
            concentration: ``sum w^4 / (sum w^2)^2``: 1 for one draw, 1/n for n alike.

        One draw alone: its exact quantile. Many alike: the normal quantile. Between: in proportion
        to the concentration, which is that of the excess kurtosis.
        """
        normal = Z95 * self.variance**0.5
        alone = max(float(self.quantile95), normal)
        reach: Floats = normal + (alone - normal) * np.asarray(concentration, dtype=np.float64)
        return reach

    def farthest(self, concentration: npt.ArrayLike) -> Floats:
        """How far 95 % of the noise alone moves a weighted sum, as ``reach`` is measured.

        Draws are whole numbers, so a sum of few of them jumps, and passes the normal law by up to
        half a jump (the continuity correction): half of a typical weight is added, none if there is
        one draw. Where noise is rare (epsilon above 4 or so), a sum of it is mostly 0, else a whole
        unit in one cell. If that is more likely than 1 in 20, this is at least such a unit: the
        fourth root of the concentration is no less than the largest weight. If it is less likely,
        less of the half is added.
        """
        concentrated = np.asarray(concentration, dtype=np.float64)
        common = np.minimum(self.variance * self.weight**2 / (_RARE * concentrated), 1)
        jump = common * np.sqrt(concentrated * np.maximum(1 - concentrated, 0)) / self.weight
        unit = np.where(common < 1, 0, concentrated**0.25 / self.weight)
        farthest: Floats = np.maximum(self.reach(concentrated) + jump / 2, unit)
        return farthest


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What the researcher gets.

    Attributes:
        rows: The table; columns are part of the interface.
        statistics: Further statistics by name, for example ``logrank``. A value that cannot be
            computed is None and a note says why; it is never a bare NaN.
        notes: Sentences that belong beside the numbers.
    """

    rows: "pd.DataFrame"
    statistics: dict[str, Statistic]
    notes: tuple[str, ...]

    def records(self) -> list[dict[str, float | int | str | None]]:
        """Return the rows as JSON can hold them; a value that is missing is None."""
        import pandas as pd  # noqa: PLC0415  nodes load kinds but never finish

        return [
            {str(name): None if value is pd.NA else _plain(value) for name, value in row.items()}
            for row in self.rows.to_dict(orient="records")
        ]


def _plain(value: object) -> float | int | str | None:
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, np.floating | float):
        return float(value) if math.isfinite(value) else None
    return value if isinstance(value, int | str) or value is None else str(value)


COHORTS: Final = (100, 1_000, 10_000)
"""Sizes of cohorts for which a preview states what to expect."""


@dataclass(frozen=True, slots=True)
class Expected:
    """How far the noise alone will move a figure, 19 times in 20, before anything is known.

    Attributes:
        figure: Which one, for example ``survival at day 1826``.
        unit: Of the figure: ``patients``, ``probability``, ``per 100,000``, ``ratio``, ...
        error95: For a cohort of 100, 1,000 and 10,000 patients (``COHORTS``), spread evenly over
            the categories. None: the noise would drown the figure.
    """

    figure: str
    unit: str
    error95: tuple[float | None, float | None, float | None]


@dataclass(frozen=True, slots=True)
class Preview:
    """What to expect of a study; a function of its text alone.

    Attributes:
        figures: The main figures it asks for.
        advice: Sentences that say what to make coarser, if the noise would drown something.
    """

    figures: tuple[Expected, ...]
    advice: tuple[str, ...] = ()


class Kind(Protocol):
    """A statistic that registries can answer jointly."""

    def layout(self) -> Layout:
        """Return the cells of the answer and how far one patient can move them."""
        ...

    def measures(self) -> Measures:
        """Return what each registry evaluates on its records."""
        ...

    def preview(self, noise: NoiseLaw) -> Preview:
        """Say how exact the answer can be; looks at no record."""
        ...

    def finish(self, noisy: npt.NDArray[np.int64], noise: NoiseLaw) -> Result:
        """Turn the noisy sum into estimates with intervals that know the noise.

        Args:
            noisy: ``(cells,)`` sum over the registries plus one draw of noise a cell; public.
            noise: The law of that draw.
        """
        ...

    def chart(self, result: Result, *, title: str) -> "alt.TopLevelMixin":
        """Draw the result, for PNG, SVG or a notebook; works offline.

        Raises:
            StudyError: The result has no sensible picture.
        """
        ...
