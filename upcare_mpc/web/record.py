"""What is stored about a patient, in plain words; beside it all of it, as it is stored."""

from dataclasses import dataclass

from upcare_mpc.consent.diseases import NEOPLASMS, categories
from upcare_mpc.records.case import Case
from upcare_mpc.records.site_groups import OTHER, SITE_GROUPS
from upcare_mpc.records.variables import VARIABLES
from upcare_mpc.web import words
from upcare_mpc.web.language import Language, marked

__all__ = ["Fact", "Tumour", "categories_of", "illness_of", "illnesses", "tumours"]

_WITH_A_MONTH = {"day", "month"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One line: what it is, and what is stored."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Tumour:
    """One illness of a patient. Secret.

    Attributes:
        illness: Its name.
        facts: The most important of it, in words.
        everything: All that is stored, as codes.
    """

    illness: str
    facts: tuple[Fact, ...]
    everything: tuple[Fact, ...]


def tumours(cases: tuple[Case, ...], language: Language) -> tuple[Tumour, ...]:
    """Say a patient's cases in words."""
    return tuple(
        Tumour(
            illness=_begun(_illness(case, language)),
            facts=tuple(_facts(case, language)),
            everything=tuple(
                Fact(name=language.say(words.VARIABLES[name]), value=str(value))
                for name in VARIABLES
                if (value := getattr(case, name)) is not None
            ),
        )
        for case in cases
    )


def illnesses(cases: tuple[Case, ...], language: Language) -> str:
    """Name a patient's illnesses, each once; empty if none can be told."""
    return language.listed(
        list(dict.fromkeys(_illness(case, language) for case in cases if illness_of((case,))))
    )


def illness_of(cases: tuple[Case, ...]) -> frozenset[str]:
    """Return the categories of ICD-10's chapter II that "my illness" means for a patient.

    The whole group that a tumour belongs to, where reports count one; else its own category. Empty
    if none can be told.
    """
    found: set[str] = set()
    for case in cases:
        group = case.site_group
        if group is not None and group != OTHER:
            found |= categories_of(group)
        elif case.icd10 is not None:
            found |= {case.icd10[:3]} & NEOPLASMS
    return frozenset(found)


def categories_of(group: str) -> frozenset[str]:
    """Return the ICD-10 categories that a site group has a part of; none of ``other``."""
    blocks = SITE_GROUPS[group].split()
    return categories(block[:3] if "." in block else block for block in blocks)


def _illness(case: Case, language: Language) -> str:
    return language.say(words.ILLNESSES[case.site_group or OTHER])


def _facts(case: Case, language: Language) -> list[Fact]:
    say = language.say
    found: list[tuple[str, str | None]] = [
        (marked("Diagnosed"), _diagnosed(case, language)),
        (
            marked("Age at that time"),
            None if case.age is None else say(marked("%(years)s years"), years=case.age),
        ),
        (marked("Sex"), None if case.sex is None else say(words.SEXES[case.sex])),
        (
            marked("Side"),
            None
            if case.laterality in {None, "none"}
            else say(words.SIDES[case.laterality or "none"]),
        ),
        (
            marked("Stage"),
            None
            if case.stage is None
            else say(marked("%(stage)s, on a scale from 0 to 4"), stage=case.stage),
        ),
        (marked("Treatments within a year"), _treatments(case, "yes", language)),
        (marked("Not given within a year"), _treatments(case, "no", language)),
        (marked("Last report"), _last_report(case, language)),
    ]
    return [Fact(name=say(name), value=value) for name, value in found if value]


def _diagnosed(case: Case, language: Language) -> str | None:
    if case.diagnosis_year is None:
        return None
    if case.diagnosis_month is not None and case.diagnosis_precision in _WITH_A_MONTH:
        return language.month(case.diagnosis_year, case.diagnosis_month)
    return str(case.diagnosis_year)


def _treatments(case: Case, answer: str, language: Language) -> str:
    return language.listed(
        [
            language.say(treatment)
            for name, treatment in words.TREATMENTS.items()
            if getattr(case, name) == answer
        ]
    )


def _last_report(case: Case, language: Language) -> str | None:
    if case.follow_up_days is None:
        return None
    return language.say(
        marked("about %(span)s after the diagnosis"), span=language.span(case.follow_up_days)
    )


def _begun(text: str) -> str:
    """Begin a text with a capital letter."""
    return text[:1].upper() + text[1:]
