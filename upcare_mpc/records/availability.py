"""Which variables a registry's data have: what it states, and what its formats can carry.

A statement is written by hand (``[catalogue]`` of the party file) and public; the platform shows
it to whoever asks. Nothing here looks at a record, so nothing here can tell about one.

What a format can carry is what its reader fills. That a variable can be carried does not say that
a registry collects it; that it cannot is certain.
"""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from upcare_mpc.errors import ConfigError, DataError
from upcare_mpc.records.variables import VARIABLES, Number

__all__ = ["CARRIED", "FOLLOWS_FROM", "Availability", "listed_variables", "proposal"]

MAX_TEXT: Final = 200  # characters of population and of note

FOLLOWS_FROM: Final[Mapping[str, tuple[frozenset[str], ...]]] = {
    "site": (frozenset({"topography"}), frozenset({"icd10"})),
    "site_group": (frozenset({"icd10"}), frozenset({"topography", "morphology", "behaviour"})),
    "age_group": (frozenset({"age"}),),
    "nuts1": (frozenset({"region"}),),
    "nuts2": (frozenset({"region"}),),
    "cause_group": (frozenset({"death_by_tumour"}), frozenset({"cause"})),
}
"""Derived variables, and sets of variables each of which is enough for them."""

_ALWAYS = frozenset({"sequence", "diagnosis_year"})  # counted by us; stated as `years`
_PLACE = frozenset({"region", "nuts1", "nuts2"})

CARRIED: Final[Mapping[str, frozenset[str]]] = {
    name: frozenset(VARIABLES) - lacking
    for name, lacking in {
        "oBDS 3": _PLACE,
        "ADT_GEKID 2": _PLACE | {"stage"},
        "oBDS-RKI": frozenset({"death_by_tumour"}),
        "oBDS-RKI table": frozenset({"death_by_tumour"}),
        "ENCR incidence": frozenset({"icd10", "laterality", "recurrence_days", "death_by_tumour"}),
    }.items()
}
"""What cases of each format can have, by the names that ``ingest.detect`` gives the formats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """What a registry states about its data. Public.

    Attributes:
        variables: Variables that it has, those included that follow from them.
        years: First and last year of diagnosis that it covers.
        population: Whom it covers, one line; may be empty.
        note: What a researcher should know, one line; may be empty.

    Raises:
        ConfigError: Something is not as wanted; reads on after the name of the table.
    """

    variables: frozenset[str]
    years: tuple[int, int]
    population: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        if unknown := self.variables - VARIABLES.keys():
            raise ConfigError(f"variables: {_unknown(min(unknown))}")
        if not self.variables:
            raise ConfigError("variables: wanted at least one variable")
        known, (first, last) = VARIABLES["diagnosis_year"].type, self.years
        assert isinstance(known, Number)
        if not known.low <= first <= last <= known.high:
            raise ConfigError(
                f"years: wanted the first and the last year, from {known.low} to {known.high}, "
                f"got {first} and {last}"
            )
        for name, text in (("population", self.population), ("note", self.note)):
            if len(text) > MAX_TEXT or not text.isprintable():
                raise ConfigError(
                    f"{name}: wanted one line of at most {MAX_TEXT} printable characters"
                )


def listed_variables(names: Sequence[str]) -> frozenset[str]:
    """Variables that an operator lists, with those that follow from them.

    Raises:
        ConfigError: A name is unknown, or there twice.
    """
    for number, name in enumerate(names):
        if name not in VARIABLES:
            raise ConfigError(f"variables: {_unknown(name)}")
        if name in names[:number]:
            raise ConfigError(f"variables: wanted each once, got {name} twice")
    listed = frozenset(names)
    derived = {name for name, enough in FOLLOWS_FROM.items() if any(s <= listed for s in enough)}
    return listed | derived | _ALWAYS if listed else listed


def proposal(formats: Iterable[str]) -> str:
    """A first text of the section ``[catalogue]`` for a registry with files in these formats.

    Derived variables are left out, since they follow; so are the years, which the operator has to
    write. Formats that hold no cases add nothing.

    Raises:
        DataError: None of the formats holds cases.
    """
    known = sorted(set(formats) & CARRIED.keys())
    if not known:
        raise DataError(f"wanted files of cases ({', '.join(CARRIED)}), got none")
    anywhere = frozenset[str]().union(*(CARRIED[name] for name in known))
    names = [name for name in VARIABLES if name in anywhere - FOLLOWS_FROM.keys() - _ALWAYS]
    partly = [
        f"# Not in every file: {name} (only {', '.join(n for n in known if name in CARRIED[n])})."
        for name in names
        if not all(name in CARRIED[n] for n in known)
    ]
    listed = textwrap.fill(", ".join(f'"{name}"' for name in names), width=94)
    lines = (
        "[catalogue]",
        f"# Proposed from the formats alone ({', '.join(known)}); no record was looked at.",
        "# It is public: take out what you do not collect.",
        *partly,
        "variables = [",
        textwrap.indent(listed, "  "),
        "]",
        "# First and last year of diagnosis that you cover; to be written by you.",
        "# years = [1999, 2023]",
        '# population = "residents of ..."',
        '# note = "stage from 2016 on"',
    )
    return "\n".join(lines) + "\n"


def _unknown(name: str) -> str:
    near = get_close_matches(name, VARIABLES, n=1)
    return f"unknown variable {ascii(name)[:60]}" + (f"; did you mean {near[0]}?" if near else "")
