"""Counts and shares of a questionnaire, with intervals.

A share s = a / n of a table with k cells moves with the noise as
``((1 - s) noise_a - s (other noise)) / n``, to first order; ``dp`` is where that carries it, 19
times in 20. ``ci`` goes further by Wilson's limits of the share (1927), as the root of the sum of
the squares (the variance estimates recovered, Zou and Donner 2008): those who answered stand for
patients like them.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.kind import Z95, Floats, NoiseLaw, Result, Statistic
from upcare_mpc.study.layout import Layout, Table

__all__ = ["of"]

_DROWNED: Final = "the noise could have made this share"
_SHARE: Final = ("share", "share_dp_low", "share_dp_high", "share_ci_low", "share_ci_high")


def of(layout: Layout, noisy: npt.NDArray[np.int64], noise: NoiseLaw) -> Result:
    """Return one row an answer; ``noisy`` may be masked where a cell is not shown."""
    import pandas as pd  # noqa: PLC0415  nodes load kinds but never finish

    hidden = np.ma.getmaskarray(noisy)
    tables = zip(
        layout.tables, _pieces(layout, np.ma.getdata(noisy)), _pieces(layout, hidden), strict=True
    )
    reach = round(noise.quantile95)
    rows: list[dict[str, object]] = []
    statistics: dict[str, Statistic] = {}
    for table, counts, masked in tables:
        shares = None if masked.any() else _shares(counts.astype(np.float64), noise)
        for number, option in enumerate(_options(table)):
            shown = not masked[number]
            count = int(counts[number])
            rows.append(
                {
                    "question": table.name,
                    "answer": option,
                    "count": count if shown else None,
                    "dp_low": max(count - reach, 0) if shown else None,
                    "dp_high": max(count + reach, 0) if shown else None,
                    **dict.fromkeys(_SHARE),
                    **({} if shares is None else shares[number]),
                    "remark": None if shares is not None else _why(masked),
                }
            )
        if not masked.any():
            statistics[table.name] = _answered(counts, noise)
    frame = pd.DataFrame(rows)
    for column in ("count", "dp_low", "dp_high"):
        frame[column] = frame[column].astype("Int64")
    return Result(
        rows=frame,
        statistics=statistics,
        notes=(
            "Counts carry noise and can be negative; leave them so when adding them up.",
            f"The true count of an answer lies within {reach} of the count shown, 19 times in 20.",
            "Shares are of those who answered the question, not of all who could have.",
        ),
    )


def _pieces(layout: Layout, vector: npt.NDArray[np.generic]) -> list[npt.NDArray[np.generic]]:
    if vector.shape != (layout.cells,):
        raise StudyError(f"questionnaire: wanted {layout.cells} cells, got {vector.shape}")
    ends = np.cumsum([table.cells for table in layout.tables])[:-1]
    return np.split(vector, ends)


def _options(table: Table) -> list[str]:
    labels = [dimension.labels for dimension in table.dimensions]
    positions = np.ndindex(*table.shape)
    return [" / ".join(axis[i] for axis, i in zip(labels, at, strict=True)) for at in positions]


def _shares(counts: Floats, noise: NoiseLaw) -> list[dict[str, float]] | None:
    """The shares with their intervals; None if noise alone could have made the total."""
    cells, total = len(counts), float(counts.sum())
    if total <= max(0.0, float(noise.farthest(1 / cells)) * cells**0.5):
        return None
    share = np.clip(counts / total, 0, 1)
    squares = (1 - share) ** 2 + share**2 * (cells - 1)
    fourths = (1 - share) ** 4 + share**4 * (cells - 1)
    reach = noise.farthest(fourths / squares**2) * np.sqrt(squares) / total
    below, above = _wilson(share, total)
    columns = (
        share,
        share - reach,
        share + reach,
        share - np.hypot(reach, below),
        share + np.hypot(reach, above),
    )
    clipped = [np.clip(column, 0, 1).tolist() for column in columns]
    return [dict(zip(_SHARE, values, strict=True)) for values in zip(*clipped, strict=True)]


def _wilson(share: Floats, total: float) -> tuple[Floats, Floats]:
    """How far Wilson's limits of a share lie below and above it."""
    squared = Z95**2 / total
    middle = (share + squared / 2) / (1 + squared)
    half = np.sqrt(share * (1 - share) * squared + squared**2 / 4) / (1 + squared)
    return share - (middle - half), middle + half - share


def _why(masked: npt.NDArray[np.generic]) -> str:
    return "answers of this question are not shown" if masked.any() else _DROWNED


def _answered(counts: npt.NDArray[np.generic], noise: NoiseLaw) -> Statistic:
    """How many answered a question."""
    cells, total = len(counts), int(counts.sum())
    reach = int(np.ceil(float(noise.farthest(1 / cells)) * cells**0.5))
    return {
        "answered": total,
        "dp_low": max(total - reach, 0),
        "dp_high": max(total + reach, 0),
    }
