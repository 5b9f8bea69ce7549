"""Tables by code, by range and by condition; equality with the cleartext oracle; the limits."""

import math
import time
from fractions import Fraction

import numpy as np
import pytest
from gbsg2 import EXACT, gaussian, laplace, study
from hypothesis import given, settings
from hypothesis import strategies as st

from upcare_mpc import kinds
from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.counts.kind import Counts
from upcare_mpc.kinds.kind import NoiseLaw
from upcare_mpc.privacy.guarantee import Guarantee
from upcare_mpc.records.case import Case
from upcare_mpc.stats.counts import bounded, cross_table
from upcare_mpc.study.rows import tabulate


def counts(by: str, more: str = "") -> Counts:
    return Counts.of(study("counts", f"by = [{by}]\n{more}"))


def labels(by: str) -> tuple[str, ...]:
    return counts(by).layout().tables[0].dimensions[0].labels


@pytest.mark.parametrize(
    ("by", "wanted"),
    [
        ('"sex"', ("female", "male", "other")),
        ('{variable = "stage", unknown = true}', ("0", "1", "2", "3", "4", "unknown")),
        ('{variable = "age", from = 40, to = 52, width = 5}', ("40-44", "45-49", "50-52")),
        ('{variable = "diagnosis_year", from = 1984, to = 1986}', ("1984", "1985", "1986")),
        ('{variable = "age", cuts = [50, 65]}', ("0-49", "50-64", "65+")),
        ('{variable = "site", values = ["C50", "C61"]}', ("C50", "C61")),
        ('{variable = "grade", values = [1, 2]}', ("1", "2")),
        ('{name = "tx", arms = {"chemo" = "tx_chemo = yes", "no" = "true"}}', ("chemo", "no")),
    ],
)
def test_each_form_gives_its_categories(by: str, wanted: tuple[str, ...]) -> None:
    assert labels(by) == wanted


RECORDS = st.lists(
    st.tuples(
        st.sampled_from("abcdef"),
        st.integers(1, 3),
        st.sampled_from(["female", "male", None]),
        st.sampled_from(["1", "2", "3", "4", None]),
        st.one_of(st.none(), st.integers(18, 110)),
    ),
    max_size=30,
)


@settings(deadline=None)
@given(RECORDS, st.integers(1, 2))
def test_without_noise_the_table_equals_the_oracle(
    rows: list[tuple[str, int, str | None, str | None, int | None]], per_patient: int
) -> None:
    kind = counts(
        '"sex", {variable = "grade", unknown = true}, {variable = "age", cuts = [50, 65]}',
        f"per_patient = {per_patient}",
    )
    records = [
        Case(
            patient_id=patient,
            tumour_id=f"{i:03}",
            sequence=sequence,
            topography="C50.1",
            sex=sex,
            grade=grade,
            age=age,
        )
        for i, (patient, sequence, sex, grade, age) in enumerate(rows)
    ]

    result = kind.finish(tabulate(kind.measures(), kind.layout(), records), EXACT)

    in_cohort = [(r.patient_id, r.sequence, r) for r in records if r.age is not None]
    plain = [
        {
            "sex": r.sex,
            "grade": r.grade or "unknown",
            "age": "0-49" if r.age < 50 else "50-64" if r.age < 65 else "65+",
        }
        for r in bounded(in_cohort, per_patient=per_patient)
    ]
    oracle = cross_table(plain, ["sex", "grade", "age"])
    found = {
        (row["sex"], row["grade"], row["age"]): row["count"]
        for row in result.records()
        if row["count"]
    }
    assert found == dict(oracle)


def test_a_patient_with_many_tumours_is_bounded_and_the_sensitivity_says_so() -> None:
    sensitivity = counts('"sex"', "per_patient = 3").layout().sensitivity

    assert (sensitivity.d0, sensitivity.d1, sensitivity.dinf) == (3, 3, 3)


def test_intervals_reach_as_far_as_95_percent_of_the_noise() -> None:
    result = counts('"sex"').finish(np.array([100, 1, -4]), NoiseLaw.of(laplace(1)))

    assert result.rows["count"].tolist() == [100, 1, -4]
    assert result.rows["dp_low"].tolist() == [97, 0, 0]
    assert result.rows["dp_high"].tolist() == [103, 4, 0]
    assert result.statistics["total"]["count"] == 97


@pytest.mark.parametrize(
    "release", [laplace(10), gaussian(1), gaussian(Fraction(1, 10))], ids=lambda r: r.mechanism
)
def test_intervals_cover_the_true_count_19_times_in_20(release: Guarantee) -> None:
    """12,100 cells: a coverage of 95 % passes each bound by chance about once in 10^6 runs."""
    generator = np.random.default_rng(9)
    kind = counts('{variable = "age"}, {variable = "diagnosis_year", from = 1900, to = 1999}')
    truth = generator.integers(0, 30, kind.layout().cells)
    noisy = truth + NoiseLaw.of(release).draws(truth.shape, generator)

    rows = kind.finish(noisy, NoiseLaw.of(release)).rows
    narrow = kind.finish(noisy, NoiseLaw.of(gaussian(2))).rows

    inside = (rows["dp_low"] <= truth) & (truth <= rows["dp_high"])
    assert 0.94 <= inside.mean() <= 0.97  # whole numbers: a little more than 95 %
    too_narrow = (narrow["dp_low"] <= truth) & (truth <= narrow["dp_high"])
    assert too_narrow.mean() < 0.94


@pytest.mark.parametrize("release", [laplace(3), gaussian(1)], ids=lambda r: r.mechanism)
@pytest.mark.parametrize("by", ['{variable = "age", from = 18, to = 18}', '"sex"'])
def test_the_total_is_covered_19_times_in_20_however_few_cells(release: Guarantee, by: str) -> None:
    kind, law = counts(by), NoiseLaw.of(release)
    cells = kind.layout().cells
    generator = np.random.default_rng(10)
    reach = math.ceil(cells**0.5 * float(law.reach(1 / cells)))

    total = kind.finish(np.full(cells, 1000), law).statistics["total"]
    drawn = NoiseLaw.of(release).draws((100_000, cells), generator).sum(axis=1)

    assert (total["dp_low"], total["dp_high"]) == (1000 * cells - reach, 1000 * cells + reach)
    assert np.mean(abs(drawn) <= reach) >= 0.947  # 0.95 falls below once in 10^5 runs


def test_a_hundred_thousand_cells_take_no_time_to_speak_of() -> None:
    kind = counts(
        '{variable = "age"}, "sex", "grade", {variable = "diagnosis_year", from = 1930, to = 2020}'
    )
    assert kind.layout().cells == 121 * 3 * 4 * 91

    started = time.perf_counter()
    vector = tabulate(kind.measures(), kind.layout(), [])
    kind.finish(vector, EXACT)

    assert time.perf_counter() - started < 2


@pytest.mark.parametrize(
    ("by", "wanted"),
    [
        ('"sexx"', "counts.by[0].variable: unknown variable 'sexx'; did you mean sex?"),
        ('"sex", "sex"', "wanted names that differ, got sex"),
        ('"site"', "site has many codes; wanted values"),
        ('"follow_up_days"', "use from, to and width"),
        ('{variable = "site", values = ["c50"]}', "wanted a code like C50, got 'c50'"),
        ('{variable = "age", from = 70, to = 60}', "counts.by[0].to: wanted 70 to 120, got 60"),
        ('{variable = "age", cuts = [60, 50]}', "wanted rising numbers"),
        ('{variable = "age", cuts = [60], from = 2}', "one of from, cuts or values"),
        ('{variable = "age", values = ["60"]}', "age is a number"),
        ('{variable = "sex", from = 1}', "unknown key 'from'"),
        ('{variable = "age", wdith = 5}', "unknown key 'wdith'; did you mean width?"),
        ('{variable = "sex", values = ["male", "male"]}', "wanted labels that differ"),
        ('{variable = "age", name = "count"}', "wanted names that differ, got count"),
        (
            '{variable = "age"}, {variable = "age", name = "b"}, {variable = "age", name = "c"}',
            "wanted at most 1048576 cells, got 1771561",
        ),
        ("7", "wanted the name of a variable, or a table"),
        ("", "wanted a list of one or more items"),
    ],
)
def test_bad_tables_are_refused_by_name(by: str, wanted: str) -> None:
    with pytest.raises(StudyError) as refused:
        kinds.of(study("counts", f"by = [{by}]"))

    assert wanted in str(refused.value)
