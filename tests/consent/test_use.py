from pathlib import Path
from typing import Any

import pytest
from said import use

from upcare_mpc.consent import duo
from upcare_mpc.consent.model import Activity
from upcare_mpc.consent.use import NON_COMMERCIAL, Use, of_study
from upcare_mpc.errors import InputError
from upcare_mpc.study.spec import parse

STUDY = Path(__file__).parents[2] / "parties" / "study.toml"


def test_a_study_asks_for_its_purpose_on_the_diseases_of_its_cohort() -> None:
    study = parse(STUDY.read_bytes(), name="study.toml")

    assert of_study(study, data_set="de-a", claims=frozenset({NON_COMMERCIAL}), region="FR") == Use(
        activity=Activity.STATISTICS,
        data_set="de-a",
        purposes=frozenset({duo.DS}),
        claims=frozenset({NON_COMMERCIAL}),
        diseases=frozenset({"C50"}),
        region="FR",
    )


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"purposes": frozenset({"research"})}, "purposes: wanted"),
        ({"claims": frozenset({"nice"})}, "claims: wanted"),
        ({"evidence": frozenset({duo.NCU})}, "evidence: wanted"),
        ({"diseases": frozenset()}, "diseases: wanted"),
        ({"diseases": frozenset({"E10"})}, "diseases: wanted"),
        ({"region": "de"}, "region: wanted"),
        ({"region": "DEU"}, "region: wanted"),
    ],
)
def test_a_use_that_cannot_be_is_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        use(**changes)
