"""Which permission covers which purpose: the table that docs/consent.md shows."""

import re
from pathlib import Path

import pytest

from upcare_mpc.consent import duo

SHORT = {name: code for code, name in duo.PERMISSIONS.items()}
PURPOSES = {
    "DUO:0000004": "nres",
    "DUO:0000042": "nres gru",
    "DUO:0000006": "nres gru hmb",
    "DUO:0000037": "nres gru hmb",
    "DUO:0000039": "nres gru hmb",
    "DUO:0000007": "nres gru hmb ds",
    "DUO:0000040": "nres gru hmb ds",
    "DUO:0000011": "nres gru poa",
    "DUO:0000033": "nres gru poa",
    "DUO:0000031": "nres gru",
    "DUO:0000032": "nres gru",
    "DUO:0000034": "nres gru",
    "DUO:0000035": "nres gru",
    "DUO:0000036": "nres gru",
    "DUO:0000038": "nres gru",
}
SEVERAL = {
    "DUO:0000040 DUO:0000038": "nres gru hmb ds",
    "DUO:0000040 DUO:0000034 DUO:0000036": "nres gru hmb ds",
    "DUO:0000037 DUO:0000035": "nres gru hmb",
    "DUO:0000037 DUO:0000031": "nres gru",
    "DUO:0000037 DUO:0000033": "nres gru",
    "DUO:0000033 DUO:0000032 DUO:0000038": "nres gru poa",
    "DUO:0000034 DUO:0000035": "nres gru",
    "DUO:0000004 DUO:0000007": "nres",
}


@pytest.mark.parametrize(("purposes", "covers"), list((PURPOSES | SEVERAL).items()))
def test_a_permission_covers_what_is_below_it(purposes: str, covers: str) -> None:
    assert duo.covering(frozenset(purposes.split())) == {SHORT[name] for name in covers.split()}


def test_the_table_has_every_purpose() -> None:
    assert PURPOSES.keys() == duo.PURPOSES


@pytest.mark.parametrize("purposes", ["", "DUO:0000099", "DUO:0000007 DUO:0000099", "DUO:0000046"])
def test_an_unknown_purpose_is_covered_by_nothing(purposes: str) -> None:
    assert duo.covering(frozenset(purposes.split())) == frozenset()
    assert not duo.known_purposes(frozenset(purposes.split()))


@pytest.mark.parametrize(
    "text", ["DUO:00000044", "duo:0000007", "DUO:000000\u0667", "DUO:0000007 "]
)
def test_what_only_looks_like_a_code_is_none(text: str) -> None:
    assert not duo.is_code(text)


def test_the_document_shows_this_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "consent.md").read_text("utf-8")
    rows = re.findall(r"^\| `(DUO:[0-9]{7})` \| [^|]+ \| ([^|]*) \|$", page, re.MULTILINE)

    assert {code: covers.lower().replace(",", "") for code, covers in rows} == PURPOSES
