"""What a study kind is: layout, measures, finish; and what they hand to each other.

A kind is one module a statistic. ``layout`` and ``measures`` are functions of the study text and
never look at records; an engine (``study.rows``) evaluates the measures at each registry; the
network adds the vectors and ONE noise draw; ``finish`` sees nothing but the noisy sum.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from upcare_mpc.errors import StudyError
from upcare_mpc.study.layout import Layout, Measures

if TYPE_CHECKING:  # nodes load kinds but never finish a study: spare them pandas and altair
    import altair as alt
    import pandas as pd

__all__ = ["Kind", "NoiseLaw", "Result", "Statistic"]

Statistic = Mapping[str, float | int | str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseLaw:
    """Discrete Laplace noise, as estimators need to know it: P(k) ~ q^|k|, q = exp(-1/scale).

    Attributes:
        scale: b = overlap * D1 / epsilon, exact.
    """

    scale: Fraction

    def __post_init__(self) -> None:
        if self.scale <= 0:
            raise StudyError(f"noise scale: wanted more than 0, got {self.scale}")

    @property
    def q(self) -> float:
        """Ratio of neighbouring probabilities; 0.0 where a float cannot hold it."""
        return math.exp(-1 / float(self.scale))

    @property
    def variance(self) -> float:
        """Variance of one draw, 2q / (1-q)^2."""
        return 2 * self.q / math.expm1(-1 / float(self.scale)) ** 2

    @property
    def quantile95(self) -> int:
        """Smallest k with P(|noise| <= k) >= 0.95."""
        q = self.q
        if q == 0.0:
            return 0
        # P(|noise| > k) = 2 q^(k+1) / (1+q); the estimate below is at most one off.
        k = max(0, math.floor(math.log(0.05 * (1 + q) / 2) / math.log(q)) - 2)
        while 2 * q ** (k + 1) / (1 + q) > 0.05:
            k += 1
        return k


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
        """Return the rows as JSON can hold them."""
        return [
            {str(name): _plain(value) for name, value in row.items()}
            for row in self.rows.to_dict(orient="records")
        ]


def _plain(value: object) -> float | int | str | None:
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, np.floating | float):
        return float(value) if math.isfinite(value) else None
    return value if isinstance(value, int | str) or value is None else str(value)


class Kind(Protocol):
    """A statistic that registries can answer jointly."""

    def layout(self) -> Layout:
        """Return the cells of the answer and how far one patient can move them."""
        ...

    def measures(self) -> Measures:
        """Return what each registry evaluates on its records."""
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
