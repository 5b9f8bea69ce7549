"""What the formats can carry is what their readers fill; what an operator may state."""

import io
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from upcare_mpc.errors import ConfigError, DataError
from upcare_mpc.ingest.delivery import TREATMENT_KINDS, Source, read
from upcare_mpc.ingest.detect import HEAD_BYTES, Format, detect
from upcare_mpc.records.availability import (
    CARRIED,
    FOLLOWS_FROM,
    Availability,
    listed_variables,
    proposal,
)
from upcare_mpc.records.derived import DERIVED
from upcare_mpc.records.dictionary import ORIGINS
from upcare_mpc.records.variables import VARIABLES

TESTS = Path(__file__).parents[1]
SAMPLES = TESTS / "data" / "ingest"
PUBLIC = next(iter(sorted(TESTS.parents[1].glob("*/data/obds"))), TESTS / "no public samples")


def deliveries() -> Iterator[list[Path]]:
    """The small samples, the demonstration's files, and public samples if they are there."""
    yield sorted((SAMPLES / "rki_tables").iterdir())
    yield from ([SAMPLES / f"{name}.xml"] for name in ("obds_3", "adt_gekid_2", "obds_rki"))
    yield [SAMPLES / "encr_incidence.csv"]
    yield from ([path] for path in sorted((TESTS.parent / "parties").glob("*/data/[A-Z]*")))
    yield from ([path] for path in sorted(PUBLIC.rglob("*.xml")))


def filled(paths: list[Path]) -> tuple[str, set[str]]:
    """The format of a delivery, and the variables that any of its cases has."""
    contents = {path.name: path.read_bytes() for path in paths}
    (found,) = {detect(content[:HEAD_BYTES], name) for name, content in contents.items()}
    sources = [
        Source(name, lambda content=content: io.BytesIO(content))  # type: ignore[misc]
        for name, content in contents.items()
    ]
    cases = read(sources, complete=TREATMENT_KINDS).cases
    return found.value, {name for name in VARIABLES for case in cases if has(case, name)}


def has(case: Any, name: str) -> bool:
    return getattr(case, name) is not None


@pytest.fixture(scope="module")
def known() -> dict[str, set[str]]:
    """By format, what any sample fills."""
    by_format: dict[str, set[str]] = {}
    for paths in deliveries():
        found, names = filled(paths)
        by_format.setdefault(found, set()).update(names)
    return by_format


@pytest.mark.parametrize("name", CARRIED)
def test_no_sample_fills_a_variable_that_its_format_is_said_to_lack(
    known: dict[str, set[str]], name: str
) -> None:
    assert known[name] <= CARRIED[name]


@pytest.mark.parametrize("name", CARRIED)
def test_every_variable_that_a_format_is_said_to_carry_is_filled_in_some_sample(
    known: dict[str, set[str]], name: str
) -> None:
    not_in_a_sample = {"tx_immuno"} if name == "ENCR incidence" else set()  # its column It

    assert CARRIED[name] - not_in_a_sample <= known[name]


def test_the_formats_are_those_that_hold_cases() -> None:
    others = {found.value for found in Format} - CARRIED.keys()

    assert CARRIED.keys() <= {found.value for found in Format}
    assert all(name.startswith("ENCR ") for name in others)  # denominators


def test_the_data_dictionary_says_the_same_of_encr_and_obds() -> None:
    stored = VARIABLES.keys() - DERIVED.keys() - {"sequence"}

    for name, place in (("ENCR incidence", "encr"), ("oBDS 3", "obds")):
        without = {variable for variable in stored if not getattr(ORIGINS[variable], place)}
        assert without == stored - CARRIED[name]


EXAMPLE = {
    "topography": "C50.9",
    "icd10": "C50.9",
    "morphology": "8500",
    "behaviour": "3",
    "age": 60,
    "region": "FRF11",
    "cause": "C50.9",
    "death_by_tumour": "yes",
}


@pytest.mark.parametrize("name", DERIVED)
def test_a_derived_variable_follows_from_each_set_that_is_said_to_be_enough(name: str) -> None:
    function, sources = DERIVED[name]

    def derived(given: frozenset[str]) -> str | None:
        return function(*(EXAMPLE[source] if source in given else None for source in sources))

    assert FOLLOWS_FROM.keys() == DERIVED.keys()
    assert frozenset().union(*FOLLOWS_FROM[name]) <= set(sources)
    assert all(derived(enough) is not None for enough in FOLLOWS_FROM[name])
    assert derived(frozenset()) is None


def test_what_follows_need_not_be_listed() -> None:
    assert listed_variables(["age", "icd10"]) == {
        *("age", "age_group", "icd10", "site", "site_group", "sequence", "diagnosis_year")
    }
    assert listed_variables(["site"]) == {"site", "sequence", "diagnosis_year"}
    assert "site_group" not in listed_variables(["topography"])
    assert "site_group" in listed_variables(["topography", "morphology", "behaviour"])


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["sight"], "variables: unknown variable 'sight'; did you mean site?"),
        (["Größe"], r"variables: unknown variable 'Gr\xf6\xdfe'"),
        (["sex", "age", "sex"], "variables: wanted each once, got sex twice"),
    ],
)
def test_a_name_that_cannot_be_listed_is_refused_in_words(names: list[str], words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        listed_variables(names)

    assert str(refused.value) == words


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"variables": frozenset()}, "variables: wanted at least one variable"),
        ({"variables": frozenset({"x"})}, "variables: unknown variable 'x'"),
        ({"years": (2000, 1999)}, "from 1900 to 2100, got 2000 and 1999"),
        ({"years": (1899, 1999)}, "years: wanted the first and the last year"),
        ({"years": (1999, 2101)}, "years: wanted the first and the last year"),
        ({"population": "x" * 201}, "population: wanted one line of at most 200"),
        ({"note": "two\nlines"}, "note: wanted one line of at most 200 printable characters"),
        ({"note": "\x1b[2J"}, "note: wanted one line"),
        ({"note": "\u202etxet"}, "note: wanted one line"),  # written backwards
    ],
)
def test_a_statement_that_cannot_be_shown_is_refused(changes: dict[str, Any], words: str) -> None:
    good: dict[str, Any] = {"variables": frozenset({"sex"}), "years": (1999, 2023)}

    with pytest.raises(ConfigError) as refused:
        Availability(**(good | changes))

    assert words in str(refused.value)


def test_a_proposal_is_a_section_that_lacks_only_the_years() -> None:
    text = proposal(["ADT_GEKID 2"])

    section = tomllib.loads(text)["catalogue"]
    assert section.keys() == {"variables"}
    assert listed_variables(section["variables"]) == CARRIED["ADT_GEKID 2"]
    assert tomllib.loads(text.replace("# years", "years"))["catalogue"]["years"] == [1999, 2023]
    assert max(map(len, text.splitlines())) <= 100


def test_a_proposal_for_several_formats_says_what_only_some_can_have() -> None:
    text = proposal(["ENCR incidence", "oBDS 3", "ENCR population"])

    assert "(ENCR incidence, oBDS 3)" in text
    assert "# Not in every file: region (only ENCR incidence)." in text
    assert "# Not in every file: laterality (only oBDS 3)." in text
    assert set(tomllib.loads(text)["catalogue"]["variables"]) >= {"region", "laterality", "sex"}


def test_denominators_alone_make_no_proposal() -> None:
    with pytest.raises(DataError, match=r"wanted files of cases .*, got none"):
        proposal(["ENCR population"])
