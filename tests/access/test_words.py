"""Purposes and conditions in words: every purpose has some, and every condition is said."""

import pytest

from upcare_mpc.abe.policy import parse
from upcare_mpc.access.words import conditions, disease_words, purpose_words
from upcare_mpc.consent import diseases as icd
from upcare_mpc.consent import duo


def test_every_purpose_has_words_of_its_own() -> None:
    said = purpose_words(duo.PURPOSES)

    assert len(set(said)) == len(duo.PURPOSES)
    assert "research on one disease or some (DUO:0000007)" in said


def test_every_permission_and_obligation_has_words() -> None:
    for short in (*duo.PERMISSIONS.values(), *duo.OBLIGATIONS.values()):
        (said,) = conditions(parse(f"use:{short}"))

        assert not said.startswith("use:")


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ("and(epoch:2026-11,site:de-a)", []),
        ("and(epoch:2026-11,site:de-a,use:hmb)", ["research on health, medicine or biology"]),
        (
            "and(site:de-a,use:ds,use:non-commercial,or(disease:c50,disease:c18-c21))",
            [
                "diseases within C18-C21 or diseases within C50",
                "no commercial use",
                "research on the diseases named",
            ],
        ),
        ("or(region:de,region:fr)", ["used in DE or used in FR"]),
        (
            "atleast(2,use:irb,use:pub,a:b)",
            ["2 of: a:b; with an ethics approval; results are published"],
        ),
    ],
)
def test_conditions(policy: str, said: list[str]) -> None:
    assert conditions(parse(policy)) == said


def test_diseases() -> None:
    assert disease_words(icd.NEOPLASMS) == "all tumours"
    assert disease_words(icd.categories(["C50", "C18-C21"])) == "C18-C21, C50"
