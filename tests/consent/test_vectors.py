"""The file of vectors, replayed: what another implementation has to agree with."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from upcare_mpc.consent.compile import attributes, compile_policy
from upcare_mpc.consent.diseases import categories
from upcare_mpc.consent.explain import explain
from upcare_mpc.consent.fhir import read_consent, write_consent
from upcare_mpc.consent.gate import Gate, decide
from upcare_mpc.consent.model import Activity, Consent
from upcare_mpc.consent.use import Use
from upcare_mpc.errors import InputError, RefusedError

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "consent.json").read_text("utf-8"))
WHERE: Any = {"site": "de-a", "epoch": "2026-11"}
FIRST = date(2026, 11, 1)


def consents(case: dict[str, Any]) -> list[Consent]:
    return [Consent.from_canonical(text.encode()) for text in case["consents"]]


def use(case: dict[str, Any]) -> Use:
    stated = case["use"]
    return Use(
        activity=Activity(stated["activity"]),
        data_set=stated["data_set"],
        purposes=frozenset(stated["purposes"]),
        claims=frozenset(stated["claims"]),
        evidence=frozenset(stated["evidence"]),
        diseases=categories(stated["diseases"]),
        region=stated["region"],
    )


@pytest.mark.parametrize("case", VECTORS["good"], ids=lambda case: case["name"])
def test_a_use_is_decided_as_in_the_vectors(case: dict[str, Any]) -> None:
    said = consents(case)
    decision = decide(said, use(case), gate=Gate(case["gate"]), day=date.fromisoformat(case["day"]))

    assert [consent.digest.hex() for consent in said] == case["digests"]
    assert (decision.permitted, decision.reason, list(decision.codes)) == (
        case["permitted"],
        case["reason"],
        case["codes"],
    )
    assert {language: explain(decision, language) for language in case["said"]} == case["said"]


@pytest.mark.parametrize(
    "case", [case for case in VECTORS["good"] if "policy" in case], ids=lambda case: case["name"]
)
def test_a_policy_and_a_key_are_those_of_the_vectors(case: dict[str, Any]) -> None:
    assert sorted(attributes(use(case), **WHERE)) == case["attributes"]
    if case["policy"] is None:
        with pytest.raises(RefusedError):
            compile_policy(consents(case), data_set="de-a", site=WHERE["site"], day=FIRST)
    else:
        policy = compile_policy(consents(case), data_set="de-a", site=WHERE["site"], day=FIRST)
        assert str(policy) == case["policy"]
        assert policy.holds_for(frozenset(case["attributes"])) == case["permitted"]


def test_a_resource_is_that_of_the_vectors() -> None:
    consent = Consent.from_canonical(VECTORS["fhir"]["consent"].encode())

    assert json.loads(write_consent(consent)) == VECTORS["fhir"]["resource"]
    assert read_consent(json.dumps(VECTORS["fhir"]["resource"]).encode()) == consent


@pytest.mark.parametrize("case", VECTORS["bad"], ids=lambda case: case["name"])
def test_bad_vectors_are_refused(case: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Consent.from_canonical(case["consent"].encode())
