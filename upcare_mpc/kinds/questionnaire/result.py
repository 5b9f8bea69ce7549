"""Counts and shares of a questionnaire, with intervals.

Letters: ``a`` the noisy count of an answer, ``n`` the noisy sum of its question's k answers,
``s = a / n`` its share.

1. ``dp`` of a share holds every s with ``|a - s n| <= reach(s)`` (Fieller, Suppl. J. R. Stat. Soc.
   7, 1-64, 1940): the noise in ``a - s n`` is (1 - s) times one draw less s times k - 1 others,
   and ``reach`` is where that is, 19 times in 20. Where the noise alone could have made n, no
   share is given.
2. ``ci`` goes further by Wilson's limits of the share (J. Am. Stat. Assoc. 22, 209-212, 1927), as
   the root of the sum of the squares (Zou and Donner, Stat. Med. 27, 1693-1702, 2008): those who
   answered stand for patients like them.

Limits: intervals are for each answer alone. Where few answered, n is shown as often as the noise
made it large, and intervals of what is shown hold less often than 19 times in 20.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.kind import Floats, NoiseLaw, Result, Statistic
from upcare_mpc.kinds.questionnaire.kind import share_reach
from upcare_mpc.kinds.sums import wilson
from upcare_mpc.study.layout import Layout, Table

__all__ = ["of"]

_DROWNED: Final = "the noise could have made this share"
_HIDDEN: Final = "answers of this question are not shown"
_SHARE: Final = ("share", "share_dp_low", "share_dp_high", "share_ci_low", "share_ci_high")


def of(
    layout: Layout, noisy: npt.NDArray[np.int64], noise: NoiseLaw, *, below: int | None = None
) -> Result:
    """Return one row an answer.

    Args:
        layout: The tables.
        noisy: ``(cells,)``; masked where a cell is not shown.
        noise: The law of the noise in a cell.
        below: What a noisy count must reach to be shown, if the study says so.
    """
    import pandas as pd  # noqa: PLC0415  nodes load kinds but never finish

    if noisy.shape != (layout.cells,):
        raise StudyError(f"questionnaire: wanted {layout.cells} cells, got {noisy.shape}")
    hidden = np.ma.getmaskarray(noisy)
    largest = np.ma.filled(noisy, 0 if below is None else below - 1)
    reach = round(noise.quantile95)
    columns: list[dict[str, object]] = []
    statistics: dict[str, Statistic] = {}
    start = 0
    for table in layout.tables:
        here = slice(start, start + table.cells)
        start += table.cells
        counts, masked = largest[here], hidden[here]
        columns.append(_counted(table, counts, masked, reach))
        if below is not None:
            columns[-1]["suppressed"] = masked
        columns[-1] |= _shares(counts.astype(np.float64), masked, noise)
        if not masked.any():
            statistics[table.name] = _answered(counts, noise)
    if below is not None:
        statistics["suppressed"] = {"answers": int(hidden.sum()), "below": below}
    return Result(
        rows=pd.concat([pd.DataFrame(part) for part in columns], ignore_index=True),
        statistics=statistics,
        notes=_notes(reach, below),
    )


def _counted(
    table: Table, counts: npt.NDArray[np.int64], masked: npt.NDArray[np.bool_], reach: int
) -> dict[str, object]:
    """What is asked and answered, and how often, with the interval of the noise."""
    import pandas as pd  # noqa: PLC0415

    labels = [dimension.labels for dimension in table.dimensions]
    return {
        "question": table.name,
        "answer": [
            " / ".join(axis[i] for axis, i in zip(labels, position, strict=True))
            for position in np.ndindex(*table.shape)
        ],
        "count": pd.arrays.IntegerArray(counts, masked),
        "dp_low": np.where(masked, 0, np.maximum(counts - reach, 0)),
        "dp_high": np.maximum(counts + reach, 0),
    }


def _shares(
    counts: Floats, masked: npt.NDArray[np.bool_], noise: NoiseLaw
) -> dict[str, Floats | str | None]:
    """The shares of a question with their intervals, or why there are none."""
    options, total = len(counts), float(counts.sum())
    nothing: dict[str, Floats | str | None] = dict.fromkeys(_SHARE, np.full(options, np.nan))
    if masked.any():
        return {**nothing, "remark": _HIDDEN}
    if total <= max(0.0, float(noise.farthest(1 / options)) * options**0.5):
        return {**nothing, "remark": _DROWNED}
    counts = np.clip(counts, 0, total)  # a share is in [0, 1]: what is outside is the noise
    share = counts / total
    squares = 1 - 2 * share + options * share**2
    error = share_reach(share, options, noise) ** 2 / squares  # of one draw, squared
    # (a - s n)^2 <= error (1 - 2 s + k s^2), solved for s
    leading = total**2 - error * options
    within = total**2 * squares - error * (options - 1)
    root = np.sqrt(error * np.maximum(within, 0))
    bounded = leading > 0
    divisor = np.where(bounded, leading, 1)
    low = np.where(bounded, (counts * total - error - root) / divisor, 0)
    high = np.where(bounded, (counts * total - error + root) / divisor, 1)
    below, above = wilson(share, total)
    limits = (
        share,
        np.minimum(low, share),
        np.maximum(high, share),
        share - np.hypot(share - low, below),
        share + np.hypot(high - share, above),
    )
    clipped = (np.clip(limit, 0, 1) for limit in limits)
    return {**dict(zip(_SHARE, clipped, strict=True)), "remark": None}


def _answered(counts: npt.NDArray[np.int64], noise: NoiseLaw) -> Statistic:
    """How many answered a question."""
    options, total = len(counts), int(counts.sum())
    reach = int(np.ceil(float(noise.reach(1 / options)) * options**0.5))
    return {
        "answered": total,
        "dp_low": max(total - reach, 0),
        "dp_high": max(total + reach, 0),
    }


def _notes(reach: int, below: int | None) -> tuple[str, ...]:
    shares = "Shares are of those who answered the question, not of all who could have."
    if below is not None:
        return (
            f"Answers whose noisy count is below {below} were not opened to anyone.",
            f"19 times in 20 the true count lies within {reach} of a count shown.",
            f"Of a suppressed answer it is at most {max(below - 1 + reach, 0)}, as often.",
            shares,
        )
    return (
        "Counts carry noise and can be negative; leave them so when adding them up.",
        f"The true count of an answer lies within {reach} of the count shown, 19 times in 20.",
        shares,
    )
