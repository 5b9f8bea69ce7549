from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.kind import NoiseLaw, Result

SCALES = st.fractions(Fraction(1, 20), 200, max_denominator=50)


def tail(law: NoiseLaw, beyond: int) -> float:
    """P(|noise| > beyond), summed term by term."""
    k = np.arange(beyond + 1, beyond + 20_000)
    return float(2 * ((1 - law.q) / (1 + law.q) * law.q ** k.astype(float)).sum())


@given(SCALES)
def test_the_quantile_is_the_smallest_that_holds_95_percent(scale: Fraction) -> None:
    law = NoiseLaw(scale=scale)

    assert tail(law, law.quantile95) <= 0.05 + 1e-9
    if law.quantile95:
        assert tail(law, law.quantile95 - 1) > 0.05 - 1e-9


@given(SCALES)
def test_the_variance_is_that_of_the_law(scale: Fraction) -> None:
    law = NoiseLaw(scale=scale)
    k = np.arange(1, 20_000).astype(float)

    variance = 2 * ((1 - law.q) / (1 + law.q) * law.q**k * k**2).sum()

    assert law.variance == pytest.approx(variance, rel=1e-6)


def test_a_very_small_scale_means_no_noise() -> None:
    law = NoiseLaw(scale=Fraction(1, 5000))

    assert (law.variance, law.quantile95) == (0.0, 0)


def test_a_scale_of_zero_is_refused() -> None:
    with pytest.raises(StudyError):
        NoiseLaw(scale=Fraction(0))


def test_records_are_plain_values_without_nan() -> None:
    rows = pd.DataFrame({"a": [1, 2], "b": [0.5, float("nan")], "c": ["x", None]})

    records = Result(rows=rows, statistics={}, notes=()).records()

    assert records == [{"a": 1, "b": 0.5, "c": "x"}, {"a": 2, "b": None, "c": None}]
    assert type(records[0]["a"]) is int
