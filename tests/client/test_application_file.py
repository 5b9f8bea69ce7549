"""`project.toml`: what it gives, and the one line that refuses it."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from upcare_mpc.access.application import Application
from upcare_mpc.client.application_file import read_application
from upcare_mpc.consent import diseases as icd
from upcare_mpc.errors import ConfigError

SALT = bytes(range(16))
SHORTEST = """
version = 1
project = "p-17"
title = "Survival after breast cancer"
purposes = ["DUO:0000007"]
registries = ["fr-a", "de-a"]
"""
WHOLE = (
    SHORTEST
    + """
diseases = ["C50", "C18-C21"]
epoch = "2026-12"
claims = ["not-for-profit", "non-commercial"]
region = "DE"
days = 7
[evidence]
irb = "ethics vote 12/2026"
pub = "open access within a year"
"""
)


def read(folder: Path, text: str) -> tuple[Application, timedelta]:
    path = folder / "project.toml"
    path.write_text(text, "utf-8")
    return read_application(path, today=date(2026, 11, 22), salt=SALT)


def test_the_shortest_file(tmp_path: Path) -> None:
    asked, validity = read(tmp_path, SHORTEST)

    assert asked == Application(
        project="p-17",
        title="Survival after breast cancer",
        purposes=frozenset({"DUO:0000007"}),
        registries=("de-a", "fr-a"),
        epoch="2026-11",
        salt=SALT,
    )
    assert asked.diseases == icd.NEOPLASMS
    assert validity == timedelta(days=14)


def test_the_whole_file(tmp_path: Path) -> None:
    asked, validity = read(tmp_path, WHOLE)

    assert asked.epoch == "2026-12"
    assert icd.ranges(asked.diseases) == ["C18-C21", "C50"]
    assert asked.claims == {"not-for-profit", "non-commercial"}
    assert asked.region == "DE"
    assert asked.evidence == {
        "DUO:0000021": "ethics vote 12/2026",
        "DUO:0000019": "open access within a year",
    }
    assert validity == timedelta(days=7)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("version = 1", "version = 2", "project.toml: version: wanted 1"),
        ('project = "p-17"', 'project = "P 17"', "project.toml: application: project: wanted"),
        ('title = "Sur', 'tittle = "Sur', "unknown key 'tittle'; did you mean title"),
        ("DUO:0000007", "DUO:0009999", "purposes: wanted .* got 'DUO:0009999'"),
        ('"C50"', '"F50"', "disease: wanted a category"),
        ("2026-12", "2026-13", "epoch: wanted a month"),
        ("days = 7", "days = 32", "project.toml: days: wanted a whole number from 1 to 31"),
        ("irb =", "ibr =", "project.toml: evidence: unknown key 'ibr'; did you mean irb"),
        ('region = "DE"', 'region = "Germany"', "region: wanted a country"),
        ('"fr-a", "de-a"', '"fr-a", "fr-a"', "registries: wanted .* each once"),
        ('"fr-a", "de-a"', "", "registries: wanted 1 to 64"),
        ("version = 1", "version = ", "not a TOML file"),
    ],
)
def test_is_refused_with_the_place(tmp_path: Path, old: str, new: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        read(tmp_path, WHOLE.replace(old, new))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"project\.toml is missing in the folder"):
        read_application(tmp_path / "project.toml", today=date(2026, 11, 22), salt=SALT)
