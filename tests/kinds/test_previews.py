"""Every kind says beforehand how exact it can be, and what to do when the noise drowns it."""

from fractions import Fraction

import pytest
from gbsg2 import study
from surveys import CROSSED, survey

from upcare_mpc import kinds
from upcare_mpc.kinds.kind import COHORTS, NoiseLaw, Preview
from upcare_mpc.privacy.guarantee import laplace_release
from upcare_mpc.study.spec import parse

ARMS = 'arms = { "hormone therapy" = "tx_hormone = yes", "other" = "true" }'
OPTIONS = {
    "counts": 'by = ["stage", { variable = "age", from = 20, to = 99, width = 2 }]',
    "survival": f"interval_days = 30\nintervals = 120\n{ARMS}",
    "incidence": (
        'by = ["sex", { variable = "diagnosis_year", from = 1990, to = 2015 }]\n'
        "ages = { from = 0, width = 5, open = 85 }"
    ),
    "association": (
        f'outcome = {{ where = "vital_status = dead" }}\nexposure = {{ {ARMS} }}\n'
        'strata = [{ variable = "age", from = 20, to = 99, width = 2 }]'
    ),
    "regression": (
        'model = "logistic"\noutcome = { where = "vital_status = dead" }\n'
        'covariates = ["tx_hormone", { variable = "age", from = 20, to = 99, width = 2 }]'
    ),
    "means": (
        'variables = [{ variable = "age", from = 18, to = 100 }]\n'
        'by = [{ variable = "diagnosis_year", from = 1980, to = 2019 }]'
    ),
    "quantiles": 'variable = { variable = "age" }\nprobabilities = [50]\nby = ["stage", "grade"]',
}
STUDIES = {name: study(name, options) for name, options in OPTIONS.items()}
STUDIES["questionnaire"] = parse(survey(CROSSED), name="study")


def preview(name: str, epsilon: Fraction) -> Preview:
    kind = kinds.of(STUDIES[name])
    release = laplace_release(epsilon, kind.layout().sensitivity, 1)[1]
    return kind.preview(NoiseLaw.of(release))


@pytest.mark.parametrize("name", kinds.KINDS)
def test_every_figure_is_more_exact_with_more_patients_and_less_noise(name: str) -> None:
    noisy, quiet = preview(name, Fraction(1, 2)), preview(name, Fraction(5))

    assert noisy.figures
    for more, less in zip(noisy.figures, quiet.figures, strict=True):
        assert more.figure == less.figure
        assert more.unit
        assert len(more.error95) == len(COHORTS)
        for figure in (more, less):
            known = [error for error in figure.error95 if error is not None]
            assert known == sorted(known, reverse=True)
            assert figure.error95[: len(COHORTS) - len(known)] == (None,) * (
                len(COHORTS) - len(known)
            )  # drowned among few patients, never among more
        for large, small in zip(more.error95, less.error95, strict=True):
            assert large is None or (small is not None and small < large)


@pytest.mark.parametrize("name", kinds.KINDS)
def test_a_drowned_study_is_told_what_to_make_coarser(name: str) -> None:
    drowned = preview(name, Fraction(1, 20))

    assert drowned.advice
    assert all(sentence.endswith(".") for sentence in drowned.advice)
