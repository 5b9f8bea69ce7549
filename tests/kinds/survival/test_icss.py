"""The standard populations, and weighting by them."""

import numpy as np
import pytest
from gbsg2 import EXACT
from simulated_cohorts import survival_kind

from upcare_mpc.kinds.survival.icss import AGE_GROUPS, ICSS, age_axis, standardised
from upcare_mpc.records.case import Case
from upcare_mpc.study.evaluation import compiled
from upcare_mpc.study.rows import tabulate


def test_each_standard_has_a_hundred_percent_in_five_groups() -> None:
    assert {name: (len(w), sum(w)) for name, w in ICSS.items()} == dict.fromkeys(ICSS, (5, 100))


@pytest.mark.parametrize(
    ("age", "group"), [(14, None), (15, 0), (44, 0), (45, 1), (64, 2), (65, 3), (75, 4), (110, 4)]
)
def test_an_age_is_in_its_group(age: int, group: int | None) -> None:
    record = Case(patient_id="p", tumour_id="t", sequence=1, age=age)

    assert compiled(age_axis().position)(record) == group
    assert len(age_axis().labels) == len(AGE_GROUPS) == 5


def test_survival_of_the_groups_is_weighted() -> None:
    estimate = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    dp, ci = (estimate - 0.01, estimate + 0.02), (estimate - 0.1, estimate + 0.1)

    found = standardised("ICSS1", estimate, dp, ci)

    weights = np.array([7, 12, 23, 29, 29]) / 100
    whole = float(weights @ estimate)
    assert found.estimate == pytest.approx(whole)
    assert found.dp[0] == pytest.approx(whole - 0.01 * np.sqrt((weights**2).sum()))
    assert found.dp[1] == pytest.approx(whole + 0.02 * np.sqrt((weights**2).sum()))
    assert found.ci[1] - whole == pytest.approx(whole - found.ci[0])


def test_a_study_weighs_its_age_groups_and_an_empty_one_gives_none() -> None:
    kind = survival_kind('interval_days = 365\nintervals = 1\nage_standard = "ICSS3"')
    records = [
        Case(
            patient_id=f"{age}-{number}",
            tumour_id="1",
            sequence=1,
            icd10="C50.1",
            age=age,
            vital_status="dead",
            follow_up_days=100 if number < deaths else 900,
        )
        for age, deaths in ((30, 1), (50, 2), (60, 3), (70, 4), (80, 5))
        for number in range(10)
    ]

    def answer(some: list[Case]) -> tuple[object, tuple[str, ...]]:
        result = kind.finish(tabulate(kind.measures(), kind.layout(), some), EXACT)
        return result.rows["standardised"][0], result.notes

    value, _ = answer(records)
    assert value == pytest.approx(0.6 * 0.9 + 0.1 * (0.8 + 0.7 + 0.6 + 0.5))
    value, notes = answer([r for r in records if r.age != 50])
    assert value is None
    assert any("some age group" in note for note in notes)
