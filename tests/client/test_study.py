"""A question built in Python is a study file, and every check is the parser's."""

import inspect
import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from upcare_mpc.client import Study
from upcare_mpc.errors import StudyError
from upcare_mpc.kinds import KINDS
from upcare_mpc.kinds.exposure import classes

PARTIES = Path(__file__).parents[2] / "parties"
ASKED: dict[str, Any] = {
    "title": "Grades",
    "purpose": "DUO:0000007",
    "registries": ["de-a", "de-b", "fr-a"],
    "epsilon": 0.1,
}
MODELS = tuple({"model": model} for model in ("logistic", "poisson", "hazards"))


def test_a_study_built_in_python_is_the_one_in_the_file() -> None:
    loaded = Study.load(PARTIES / "study.toml")

    built = Study.survival(
        title=loaded.title,
        purpose="DUO:0000007",
        registries=["de-a", "de-b", "de-c", "fr-a", "fr-b"],
        overlap=1,
        where="site = 'C50' and age >= 18 and diagnosis_year between 1984 and 1991",
        epsilon=1,
        interval_days=365,
        intervals=7,
        landmark_days=0,
        arms={"hormone therapy": "tx_hormone = yes", "no hormone therapy": "tx_hormone = no"},
    )

    assert built.digest == loaded.digest


def test_decimals_are_exact() -> None:
    study = Study.counts(**ASKED, by=["grade"])

    assert study.spec.epsilon == Fraction(1, 10)


def test_what_is_not_stated_is_left_to_the_network() -> None:
    study = Study.counts(**ASKED, by=["grade"])

    assert study.spec.overlap is None
    assert study.question(2).guarantee.overlap == 2
    assert study.spec.release.minimum_cohort is None


def test_arms_keep_the_order_in_which_they_are_written() -> None:
    arms = {"z": "grade = 1", "a": "grade = 2"}

    study = Study.counts(**ASKED, by=[{"name": "group", "arms": arms}])

    assert study.question(1).layout.tables[0].dimensions[0].labels == ("z", "a")


def test_deposits_are_stated_as_in_a_file_and_questions_keep_their_order() -> None:
    study = Study.questionnaire(
        **ASKED, deposits={"patients": True}, questions={"Z?": ["yes", "no"], "A?": ["no", "yes"]}
    )

    assert study.spec.deposits is not None
    assert (study.spec.deposits.patients, study.spec.deposits.envelope) == (True, "rlwe")
    assert [table.dimensions[0].labels for table in study.question(1).layout.tables] == [
        ("yes", "no"),
        ("no", "yes"),
    ]
    assert Study.counts(**ASKED, by=["grade"]).spec.deposits is None


def test_a_saved_study_is_the_same_study(tmp_path: Path) -> None:
    study = Study.counts(**{**ASKED, "title": "Stades à la française"}, by=["grade"])

    study.save(tmp_path / "study.json")

    assert Study.load(tmp_path / "study.json") == study


def test_numbers_and_lists_of_numpy_are_understood() -> None:
    study = Study.counts(
        **{**ASKED, "epsilon": np.float64(0.5), "overlap": np.int64(1)},
        by=[{"variable": "age", "cuts": tuple(np.array([50, 65]))}],
    )

    assert study.spec.epsilon == Fraction(1, 2)
    assert study.question(1).layout.cells == 3


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"epsilon": 0}, "^study: privacy.epsilon: wanted more than 0"),
        ({"epsilon": float("nan")}, "^study: not a JSON file: wanted a decimal of usual size"),
        ({"epsilon": Fraction(1, 3)}, "^study: wanted texts, numbers, lists and tables, got Frac"),
        ({"registries": "de-a"}, "^study: registries: wanted a list"),
        ({"registries": {"de-a"}}, "^study: wanted texts, numbers, lists and tables, got set"),
        ({"registries": ["de-a", "de-a"]}, "^study: registries: wanted names that differ"),
        ({"where": "stge = 1"}, "^study: cohort.where"),
        ({"mechanism": "gaussian"}, "missing key 'privacy.delta'"),
        ({"title": "two\nlines"}, "^study: title: wanted one line"),
        ({"by": ["grad"]}, "^study: counts.by.*did you mean grade"),
        ({"epsilonn": 1}, "^study: unknown 'epsilonn'; every study takes title, purpose"),
    ],
)
def test_what_cannot_be_asked_is_one_clear_line(changed: dict[str, Any], text: str) -> None:
    with pytest.raises(StudyError, match=text) as caught:
        Study.counts(**{**ASKED, "by": ["grade"], **changed})

    assert "\n" not in str(caught.value).splitlines()[0]


def test_what_is_missing_is_named() -> None:
    with pytest.raises(StudyError, match=r"^study: missing 'epsilon'"):
        Study.counts(title="x", purpose="DUO:0000007", registries=["de-a"], by=["grade"])  # type: ignore[call-arg]


def test_a_file_that_is_not_there_is_named_without_its_folder(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"^study.toml: no such study file$"):
        Study.load(tmp_path / "study.toml")


def test_an_error_in_a_file_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(Study.load(PARTIES / "study.toml").text.replace("intervals", "intervalls"))

    with pytest.raises(StudyError, match=r"^mine.toml: survival: unknown key 'intervalls'"):
        Study.load(path)


@pytest.mark.parametrize("kind", KINDS)
def test_every_option_of_a_statistic_is_an_argument_of_its_constructor(kind: str) -> None:
    """The parser names the options that it knows when it refuses one that it does not."""
    known: set[str] = set()
    for first in MODELS if kind == "regression" else ({},):
        study = json.loads(Study.counts(**ASKED, by=["grade"]).text)
        del study["counts"]
        if kind == "questionnaire":
            study["deposits"] = {"patients": True}
        with pytest.raises(StudyError) as caught:
            Study.parse(json.dumps({**study, "kind": kind, kind: {**first, "zzzzzzzz": 1}}))
        known |= set(str(caught.value).partition("known: ")[2].split(", "))

    arguments = set(inspect.signature(getattr(Study, kind)).parameters) - {"asked"}

    assert arguments == known


@pytest.mark.parametrize(
    "built",
    [
        lambda: Study.counts(**ASKED, by=["sex", "grade"], margins=[["sex"], []], per_patient=2),
        lambda: Study.survival(
            **ASKED,
            interval_days=365,
            intervals=5,
            strata=[{"variable": "age", "cuts": [65]}],
            restricted_mean_days=1826,
        ),
        lambda: Study.survival(
            **ASKED, interval_days=365, intervals=5, relative=True, age_standard="ICSS1"
        ),
        lambda: Study.survival(
            **ASKED,
            interval_days=365,
            intervals=5,
            competing={"cancer": "cause_group = cancer", "other": "cause_group = other"},
        ),
        lambda: Study.incidence(
            **ASKED,
            where="site = 'C50'",
            by=["sex", {"variable": "diagnosis_year", "from": 2010, "to": 2015}],
            standards=["esp2013", {"name": "own", "weights": [0.125] * 18}],
            trend=True,
        ),
        lambda: Study.association(
            **ASKED,
            outcome="n in (2, 3)",
            exposure={"arms": {"grade 3": "grade = 3", "grade 1 or 2": "grade in (1, 2)"}},
            reference="grade 1 or 2",
            strata=[{"variable": "age", "cuts": [50, 65]}],
        ),
        lambda: Study.association(
            **ASKED,
            outcome="stage = 4",
            exposure=classes({"FRF11": Fraction(9), "FRK24": Fraction(14)}, [12], name="dust"),
        ),
        lambda: Study.regression(
            **ASKED,
            model="logistic",
            covariates=["sex", {"variable": "age", "name": "age group", "cuts": [50, 65]}],
            terms=[["sex"], ["age group"], ["sex", "age group"]],
            reference={"age group": "50-64"},
            outcome="vital_status = dead",
        ),
        lambda: Study.regression(
            **ASKED,
            where="site = 'C50' and diagnosis_year between 2007 and 2015",
            model="poisson",
            covariates=["sex", "age_group"],
            person_time="residents",
        ),
        lambda: Study.regression(
            **ASKED, model="hazards", covariates=["grade"], interval_days=365, intervals=5
        ),
        lambda: Study.means(
            **ASKED,
            variables=[
                {"variable": "age", "from": 18, "to": 100},
                {"variable": "follow_up_days", "from": 0, "to": 3650},
            ],
            by=["sex"],
            correlation=True,
        ),
        lambda: Study.quantiles(
            **ASKED,
            variable={"variable": "age", "from": 0, "to": 119, "width": 5},
            probabilities=[10, 50, 90],
        ),
        lambda: Study.questionnaire(
            **ASKED,
            deposits={"patients": True, "days": 7},
            questions={"Smoked?": ["never", "once"], "Health?": ["poor", "fair", "good"]},
            cross=[["Smoked?", "Health?"]],
        ),
    ],
)
def test_a_statistic_is_built_in_its_own_terms(built: Callable[[], Study]) -> None:
    study = built()

    assert study.question(1).layout.cells > 1
    assert Study.parse(study.text) == study
