"""Diseases as sets of ICD-10 categories, so that "within" is inclusion of sets.

The universe is chapter II of ICD-10, which is what a cancer registry has: C00 to C97 and D00 to
D48, by their three characters. A patient may name any set of them, in ranges; the scope of a study
is read off its cohort.

A *term* is a set with a name in a policy: one category (``C50``), or a block of them. Blocks are
those of ICD-10's chapter II, the groups that registries report (``records.site_groups``), all
malignant ones (``C00-C97``) and the whole chapter (``C00-D48``).
"""

import re
from collections.abc import Iterable
from typing import Final

from upcare_mpc.errors import InputError
from upcare_mpc.records.site_groups import SITE_GROUPS
from upcare_mpc.study.expression import And, Comparison, Expression, Field, InList, Or, Text

__all__ = ["NEOPLASMS", "categories", "of_cohort", "ranges", "terms_around", "terms_within"]

_ORDER: Final = tuple([f"C{n:02}" for n in range(98)] + [f"D{n:02}" for n in range(49)])
_PLACE: Final = {category: place for place, category in enumerate(_ORDER)}
_RANGE = re.compile(r"([CD][0-9]{2})(?:-([CD][0-9]{2}))?", re.ASCII)
_CHAPTER_BLOCKS: Final = (
    "C00-C14 C15-C26 C30-C39 C40-C41 C43-C44 C45-C49 C51-C58 C60-C63 C64-C68 C69-C72 C73-C75 "
    "C76-C80 C81-C96 D00-D09 D10-D36 D37-D48 C00-C97 C00-D48"
)

NEOPLASMS: Final = frozenset(_ORDER)
"""Every category; also the scope of a study that names no disease."""

_OF_ANOTHER_SITE: Final = {
    "C42": NEOPLASMS,
    "C44": frozenset({"C43", "C44"}),
    "C77": NEOPLASMS,
    "C80": NEOPLASMS,
}


def categories(written: Iterable[str]) -> frozenset[str]:
    """Read categories and ranges of them, ``C50`` or ``C18-C21``.

    Raises:
        InputError: One of them is neither.
    """
    found: set[str] = set()
    for text in written:
        match = _RANGE.fullmatch(text)
        first, last = match.groups() if match else (None, None)
        if first not in _PLACE or (last or first) not in _PLACE or first > (last or first):
            raise InputError(
                "disease: wanted a category of ICD-10's chapter II like C50, or a range like "
                "C18-C21, got something else"
            )
        found.update(_ORDER[_PLACE[first] : _PLACE[last or first] + 1])
    return frozenset(found)


def ranges(diseases: frozenset[str]) -> list[str]:
    """Write a set of categories in the fewest ranges; one set has one text."""
    runs: list[list[str]] = []
    for category in sorted(diseases):
        if runs and _PLACE[category] == _PLACE[runs[-1][-1]] + 1:
            runs[-1].append(category)
        else:
            runs.append([category])
    return [run[0] if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]


def terms_within(diseases: frozenset[str]) -> list[str]:
    """Return the largest terms inside a set, sorted; together they are the set."""
    largest: list[str] = []
    for term, held in _TERMS.items():
        if held <= diseases and not any(held <= _TERMS[other] for other in largest):
            largest.append(term)
    return sorted(largest)


def terms_around(diseases: frozenset[str]) -> list[str]:
    """Return the terms that hold a whole set, sorted."""
    return sorted(term for term, held in _TERMS.items() if diseases <= held)


def of_cohort(where: Expression) -> frozenset[str]:
    """Return categories outside of which no tumour of a cohort lies, as far as its text tells.

    Read are ``=`` and ``in`` on ``site``, ``icd10`` and ``site_group``, joined by ``and`` and
    ``or``. Whatever else stands there tells nothing, so the set may be too large and never too
    small. A site is taken for the disease of that site, which a rare lymphoma or sarcoma there is
    not; where ICD-O's sites are no diseases of ICD-10 (bone marrow, lymph nodes, unknown) nothing
    is told, and skin is C43 and C44. ``NEOPLASMS`` if nothing can be told.
    """
    return _told(where) or NEOPLASMS


def _told(where: Expression) -> frozenset[str]:
    match where:
        case And(terms):
            return frozenset.intersection(*map(_told, terms))
        case Or(terms):
            return frozenset.union(*map(_told, terms))
        case Comparison("=", Field(name), Text(value)):
            return _of_value(name, value)
        case InList(Field(name), values):
            return frozenset().union(*(_of_value(name, str(literal.value)) for literal in values))
        case _:
            return NEOPLASMS


def _of_value(name: str, value: str) -> frozenset[str]:
    if name == "site" and value in _OF_ANOTHER_SITE:
        return _OF_ANOTHER_SITE[value]
    if name in {"site", "icd10"} and value[:3] in _PLACE:
        return frozenset({value[:3]})
    if name == "site_group" and SITE_GROUPS.get(value):
        blocks = SITE_GROUPS[value].split()
        return categories(re.sub(r"\.[0-9]", "", block) for block in blocks)
    return NEOPLASMS


def _terms() -> dict[str, frozenset[str]]:
    """Return the terms and what they hold, larger ones first."""
    blocks = [*_CHAPTER_BLOCKS.split(), *" ".join(SITE_GROUPS.values()).split()]
    written = {*_ORDER, *(block for block in blocks if "-" in block)}
    terms = {term: categories([term]) for term in sorted(written)}
    return dict(sorted(terms.items(), key=lambda term: -len(term[1])))


_TERMS: Final = _terms()
