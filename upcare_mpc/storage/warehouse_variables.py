"""The variables of the study language over a registry's own table, as Ibis columns.

A warehouse holds what a registry records; what follows from that is worked out here, by the rules
of ``records.case`` and ``records.site_groups``, which are the reference. So a word of a study means
the same in a warehouse as in a snapshot, and an operator writes no rule a second time.

Nothing here runs: Ibis expressions are text of a query in the making.
"""

from collections.abc import Iterable, Mapping
from functools import reduce
from typing import Any, Final, TypeAlias

import ibis

from upcare_mpc.records.ages import AGE_GROUPS
from upcare_mpc.records.derived import DERIVED
from upcare_mpc.records.site_groups import (
    GROUP_OF_CODE,
    IN_SITU,
    MELANOMA,
    MORPHOLOGIES,
    NEEDS_MORPHOLOGY,
    OTHER,
    TUMOUR,
)
from upcare_mpc.records.variables import VARIABLES, Number

__all__ = ["IDENTIFIERS", "STORED", "balanced", "usable", "variables"]

# Ibis has no types that a checker could use: a column, a condition or a table of it.
Column: TypeAlias = Any
Rows: TypeAlias = Any

IDENTIFIERS: Final = ("patient", "tumour")
STORED: Final[Mapping[str, str]] = {
    **dict.fromkeys(IDENTIFIERS, "string"),
    **{
        name: "int64" if isinstance(variable.type, Number) else "string"
        for name, variable in VARIABLES.items()
        if name not in DERIVED
    },
}
"""The columns that a warehouse has to hold, and their types in Ibis."""

_NUMBERS: Final = [name for name, type_ in STORED.items() if type_ == "int64"]
_CODES: Final = [name for name in STORED if name not in (*IDENTIFIERS, *_NUMBERS)]
_LARGEST: Final = 2**31 - 1
_AGES_IN_GROUP: Final = 5
_DIGITS: Final = "0123456789"
_MORPHOLOGY_DIGITS: Final = 4


def usable(rows: Rows) -> Rows:
    """Return the records that are well formed, as ``records.case`` defines it.

    A number beyond 32 bits is unknown in what is returned, although its record is left out: an
    engine may evaluate a study's expressions before it drops the record, and must not fail on it.
    """
    numbers = [rows[name] for name in _NUMBERS]
    codes = ibis.literal("").join([rows[name] for name in _CODES])
    kept = rows.filter(  # an unknown number or code is passed over by each of these
        *(rows[name].notnull() for name in (*IDENTIFIERS, "sequence")),
        ibis.greatest(*numbers) <= _LARGEST,
        ibis.least(*numbers) >= -_LARGEST,
        ~codes.re_search(r"[^\x01-\x7f]"),
    )
    within = {name: rows[name].between(-_LARGEST, _LARGEST) for name in _NUMBERS}
    numbers_within = {name: ibis.cases((inside, rows[name])) for name, inside in within.items()}
    return kept.select(*IDENTIFIERS, *_CODES, **numbers_within)


def variables(rows: Rows) -> dict[str, Column]:
    """Return each variable of the study language as a column of ``rows``."""
    stored = {name: rows[name] for name in STORED if name in VARIABLES}
    code = ibis.coalesce(rows.topography.nullif(""), rows.icd10)
    derived = {
        "site": code.left(3).nullif(""),
        "site_group": _site_group(rows),
        "age_group": _age_group(rows.age),
        "nuts1": _prefix(rows.region, 3),
        "nuts2": _prefix(rows.region, 4),
        "cause_group": _cause_group(rows),
    }
    # In PostgreSQL the text of a CASE is compared as its database likes best; with a column beside
    # it, as the column is: by code point.
    nothing = rows.patient.nullif(rows.patient)
    return stored | {name: ibis.coalesce(column, nothing) for name, column in derived.items()}


def balanced(operator: Any, terms: Iterable[Column]) -> Column:
    """Join terms in pairs, pairs of pairs, ...: a chain of hundreds would be as many calls deep."""
    level = list(terms)
    while len(level) > 1:
        level = [reduce(operator, level[i : i + 2]) for i in range(0, len(level), 2)]
    return level[0]


def _prefix(code: Column, length: int) -> Column:
    return ibis.cases((code.length() >= length, code.left(length)))


def _age_group(age: Column) -> Column:
    unknown = (age < 0, ibis.null("string"))
    *younger, oldest = AGE_GROUPS
    groups = [(age < _AGES_IN_GROUP * (i + 1), label) for i, label in enumerate(younger)]
    return ibis.cases(unknown, *groups, (age.notnull(), oldest))


def _cause_group(rows: Rows) -> Column:
    return ibis.cases(
        (rows.death_by_tumour == "yes", "cancer"),
        (rows.death_by_tumour.notnull(), "other"),
        (rows.cause.startswith("C"), "cancer"),
        (rows.cause.notnull(), "other"),
    )


def _site_group(rows: Rows) -> Column:
    return ibis.cases(
        (rows.icd10.notnull(), _of_icd10(rows.icd10)),
        (
            rows.topography.notnull() & rows.behaviour.notnull(),
            _of_icd_o(rows.topography.left(3), rows.morphology, rows.behaviour),
        ),
    )


def _of_icd10(code: Column) -> Column:
    exact = {key: group for key, group in GROUP_OF_CODE.items() if len(key) > 3}
    tumours = [key for key in _three_characters() if TUMOUR.match(key)]
    return ibis.cases(
        *((code == key, group) for key, group in exact.items()),
        *((code.left(3).isin(keys), group) for group, keys in _keys_of_groups().items()),
        (code.left(3).isin(tumours), OTHER),
    )


def _of_icd_o(site: Column, morphology: Column, behaviour: Column) -> Column:
    # Cheap tests first: a database that runs through millions of rows takes them in this order.
    is_number = (morphology != "") & (morphology.translate(_DIGITS, "") == "")
    number = ibis.cases(
        (morphology.startswith("0"), morphology.re_replace("^0+", "")), else_=morphology
    )

    def within(first: int, last: int) -> Column:
        """By text, as four digits: no cast of a text that may be anything."""
        near = number.between(str(first), str(last))
        return near & (number.length() == _MORPHOLOGY_DIGITS) & is_number

    decides = behaviour.isin(["1", "3"])
    in_situ = behaviour == "2"
    return ibis.cases(
        (
            site.isin(NEEDS_MORPHOLOGY) & ~ibis.coalesce(is_number, ibis.literal(value=False)),
            ibis.null("string"),
        ),
        *((decides & within(first, last), group) for group, first, last in MORPHOLOGIES),
        *((in_situ & (site == key), group) for key, group in IN_SITU.items()),
        (in_situ, OTHER),
        ((behaviour == "1") & (site == "C67"), "bladder"),
        (behaviour != "3", OTHER),
        ((site == "C44") & within(MELANOMA[0], MELANOMA[-1]), "melanoma"),
        (site == "C44", "skin_nonmelanoma"),
        *((site.isin(keys), group) for group, keys in _keys_of_groups().items()),
        else_=OTHER,
    )


def _three_characters() -> list[str]:
    return [f"{letter}{number:02}" for letter in "CD" for number in range(100)]


def _keys_of_groups() -> dict[str, list[str]]:
    keys: dict[str, list[str]] = {}
    for key, group in GROUP_OF_CODE.items():
        if len(key) == 3:
            keys.setdefault(group, []).append(key)
    return keys
