"""What a preview promises, against simulated noise on the same cohort."""

import numpy as np
import pytest
from gbsg2 import ARMS, EXACT
from simulated_cohorts import law_of, survival_kind

from upcare_mpc.kinds.kind import COHORTS
from upcare_mpc.kinds.survival.preview import evenly

GRID = "interval_days = 365\nintervals = 6\n"
EXTRA = {
    "plain": "restricted_mean_days = 1826",
    "relative": "relative = true",
    "period": "period = { from = 2015, to = 2019 }",
    "age": 'age_standard = "ICSS1"',
    "competing": '[survival.competing.arms]\n"cancer" = "cause_group = cancer"',
}
FIGURES = {
    "survival": "survival",
    "relative survival": "relative",
    "age-standardised survival": "standardised",
    "incidence of cancer": "incidence_cancer",
    "incidence of unknown": "incidence_unknown",
}


@pytest.mark.parametrize("options", EXTRA.values(), ids=EXTRA)
def test_the_preview_agrees_with_a_simulation(options: str) -> None:
    """400 draws of noise on 10,000 patients: 95 % of the errors are within what was promised.

    A share of .95 is found below .915 once in 500 runs; half of the promise holds far less.
    """
    kind = survival_kind(f"{GRID}{options}")
    law, vector = law_of(kind, 1), np.round(evenly(kind, 10_000)).astype(np.int64)
    exact = kind.finish(vector, EXACT)
    generator = np.random.default_rng(8)
    answers = [
        kind.finish(vector + law.draws(vector.shape, generator).astype(np.int64), law)
        for _ in range(400)
    ]

    checked = 0
    for figure in kind.preview(law).figures:
        promised = figure.error95[COHORTS.index(10_000)]
        assert promised is not None
        if figure.unit == "days":
            key = "restricted mean: all"
            truth = exact.statistics[key]["days"]
            found = [a.statistics[key]["days"] for a in answers]
        else:
            name, day = figure.figure.split(" at day ")
            at_day = int(np.flatnonzero(exact.rows["end_days"] == int(day))[0])
            truth = exact.rows[FIGURES[name]][at_day]
            found = [a.rows[FIGURES[name]][at_day] for a in answers]
        errors = np.abs(np.array(found, dtype=float) - float(truth))
        assert (errors <= promised).mean() >= 0.915
        assert (errors <= promised / 2).mean() <= 0.85
        checked += 1
    assert checked >= 2


@pytest.mark.statistical
@pytest.mark.parametrize("patients", [1_000, 10_000])
@pytest.mark.parametrize("epsilon", [0.5, 2])
@pytest.mark.parametrize("bound", ["", "expected_at_most = 100"])
def test_the_preview_of_relative_survival_is_what_the_noise_does(
    bound: str, epsilon: float, patients: int
) -> None:
    """1,500 draws of noise: a true .95 is found below .93 once in 5,000 runs.

    A promise a quarter smaller is rejected. Of 100 patients the promise is up to a quarter too
    small (90 % of the errors are within it at epsilon 1): the error is no longer linear in the
    noise.
    """
    kind = survival_kind(f"{GRID}relative = true\n{bound}")
    law, vector = law_of(kind, epsilon), np.round(evenly(kind, patients)).astype(np.int64)
    truth = float(kind.finish(vector, EXACT).rows["relative"].iloc[-1])
    noisy = vector + law.draws((1500, len(vector)), np.random.default_rng(9)).astype(np.int64)

    found = np.array([kind.finish(one, law).rows["relative"].iloc[-1] for one in noisy], float)
    promised = {f.figure: f.error95 for f in kind.preview(law).figures}
    reached = promised[f"relative survival at day {kind.grid.edges[-1]}"][COHORTS.index(patients)]

    assert reached is not None
    assert (np.abs(found - truth) <= reached).mean() >= 0.93
    assert (np.abs(found - truth) <= 0.75 * reached).mean() < 0.93


def test_errors_shrink_with_the_cohort_and_a_drowned_figure_is_none() -> None:
    kind = survival_kind(f"interval_days = 30\nintervals = 60\n{ARMS}")

    figures = kind.preview(law_of(kind, 0.5)).figures

    for figure in figures:
        known = [error for error in figure.error95 if error is not None]
        assert known == sorted(known, reverse=True)
    assert figures[0].error95[0] is None


def test_a_grid_that_the_noise_would_drown_gets_a_coarser_one_proposed() -> None:
    fine = survival_kind(f"interval_days = 30\nintervals = 60\n{ARMS}")
    coarse = survival_kind(f"interval_days = 365\nintervals = 5\n{ARMS}")

    advice = fine.preview(law_of(fine, 0.1)).advice

    assert len(advice) == 1
    assert "intervals = " in advice[0]
    assert coarse.preview(law_of(coarse, 1)).advice == ()
