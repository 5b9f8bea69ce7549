"""What a survival study refuses, and what it says."""

import pytest
from gbsg2 import ARMS, study

from upcare_mpc import kinds
from upcare_mpc.errors import StudyError

GRID = "interval_days = 365\nintervals = 5\n"
COMPETING = '[survival.competing.arms]\n"cancer" = "cause_group = cancer"\n'


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (f"{GRID}restricted_mean_days = 2000", "restricted_mean_days: wanted at most 1826, where"),
        (f'{GRID}dco = "drop"', "survival.dco: wanted exclude or include or count, got 'drop'"),
        (f'{GRID}age_standard = "ICSS4"', "wanted ICSS1 or ICSS2 or ICSS3, got 'ICSS4'"),
        (f"{GRID}relative = 1", "survival.relative: wanted true or false"),
        (f"{GRID}expected_at_most = 200", "expected_at_most: wanted it with relative = true only"),
        (f"{GRID}relative = true\nexpected_at_most = 0", "expected_at_most: wanted 1 to 1000"),
        (f"{GRID}relative = true\n{COMPETING}", "wanted competing or relative, got both"),
        (
            f"{GRID}period = {{ from = 2015, to = 2019 }}\n{COMPETING}",
            "wanted competing or period, got both",
        ),
        (f'{GRID}age_standard = "ICSS1"\n{COMPETING}', "wanted competing or age_standard"),
        (
            f'{GRID}age_standard = "ICSS1"\nstrata = ["stage"]',
            "wanted age_standard or strata, got both; the age groups of the standard are",
        ),
        (
            f"{GRID}landmark_days = 90\nperiod = {{ from = 2015, to = 2019 }}",
            "wanted period or landmark_days, got both",
        ),
        (f"{GRID}period = {{ from = 2015, to = 2014 }}", "survival.period.to: wanted 2015 to"),
        (f"{GRID}period = {{ from = 2015 }}", "survival.period.to: wanted a whole number"),
        (f"{GRID}period = {{ from = 2015, until = 2016 }}", "unknown key 'until'"),
        (
            f'{GRID}dco = "count"\nperiod = {{ from = 2015, to = 2019 }}',
            'wanted "exclude" or "include" with period',
        ),
        (
            "interval_days = 30\nintervals = 61\nrelative = true",
            "survival.relative: wanted at most 60 intervals, got 61",
        ),
        (
            f"interval_days = 1\nintervals = 1000\n{COMPETING}",
            "survival.competing: wanted at most 400 intervals",
        ),
        (f'{GRID}strata = [{{ variable = "stage", name = "arm" }}]', "wanted names that differ"),
        (f'{GRID}strata = ["stage", "stage"]', "wanted names that differ, got stage again"),
        (
            f'{GRID}strata = [{{ name = "x", arms = {{ a = "false", b = "true" }} }}]',
            "survival.strata: nobody can be in 'a'",
        ),
        (
            f'{GRID}strata = [{{ name = "x", arms = {{ a = "age > 1", b = "age > 1" }} }}]',
            "survival.strata: nobody can be in 'b', or an earlier one has them all",
        ),
        (
            f'{GRID}[survival.arms]\n"a" = "true"\n"b" = "true"\n',
            "survival.arms: nobody can be in 'b'",
        ),
        (
            f'{GRID}[survival.competing.arms]\n"unknown" = "cause_group = other"\n',
            "wanted other names than 'unknown'",
        ),
        (f'{GRID}competing = ["cancer"]', "survival.competing: wanted a table"),
    ],
)
def test_what_makes_no_sense_is_refused_in_clear_words(options: str, wanted: str) -> None:
    with pytest.raises(StudyError) as refused:
        kinds.of(study("survival", options))

    assert wanted in str(refused.value)


def test_all_that_goes_together_is_accepted() -> None:
    options = (
        f'{GRID}relative = true\nage_standard = "ICSS2"\nrestricted_mean_days = 1826\n'
        f"period = {{ from = 2010, to = 2014 }}\n{ARMS}"
    )

    layout = kinds.of(study("survival", options)).layout()

    assert layout.tables[0].shape == (2, 5, 6, 11)
    assert [table.shape for table in layout.tables[1:]] == [(2, 5)] * 5
    assert layout.sensitivity.d0 == 6
    assert layout.sensitivity.d1 == layout.tables[0].weight + 5 * 300


def test_only_relative_survival_costs_more_than_one_patient() -> None:
    for more in (
        'strata = ["stage"]',
        'age_standard = "ICSS1"',
        "restricted_mean_days = 365",
        'dco = "count"',
        "period = { from = 2010, to = 2014 }",
        COMPETING,
    ):
        layout = kinds.of(study("survival", f"{GRID}{more}")).layout()

        assert layout.sensitivity.d1 == layout.sensitivity.dinf == layout.tables[0].weight == 1
