"""What a patient ticks on the page, and the consent that it becomes.

The page offers four scopes, each of which holds those above it, and limits that can be ticked one
by one. A consent that was given elsewhere can say more than these; then the page shows it in words
and says that a new answer takes the place of all of it.

Pure: the day and the earlier consents are passed in.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from upcare_mpc.consent import duo
from upcare_mpc.consent.diseases import NEOPLASMS
from upcare_mpc.consent.fhir_mii import EEA
from upcare_mpc.consent.gate import Status, last_words, status
from upcare_mpc.consent.model import Activity, Answer, Consent, Giver, Terms
from upcare_mpc.web import words
from upcare_mpc.web.language import marked

__all__ = [
    "EUROPE",
    "LIMITS_OF",
    "SCOPES",
    "Choice",
    "choice_of",
    "limit_words",
    "next_consent",
    "read_choice",
]

SCOPES: Final = {
    "illness": marked("Only research on my illness"),
    "cancer": marked("Research on any cancer"),
    "health": marked("Any health research"),
    "any": marked("Any research"),
}
"""What can be allowed; each holds those before it."""

_LIMITS: Final = {
    "non-commercial": duo.NCU,
    "not-for-profit": duo.NPU,
    "europe": duo.GS,
    "ethics": duo.IRB,
    "published": duo.PUB,
    "no-methods": duo.NMDS,
    "no-ancestry": duo.NPOA,
}
LIMITS_OF: Final = {
    Activity.RECORDS: tuple(_LIMITS),
    # Nobody documents anything for a study that only counts.
    Activity.STATISTICS: ("non-commercial", "not-for-profit", "europe"),
}
"""Limits that can be ticked for each activity."""

EUROPE: Final = marked("only in Europe (the European Union, Iceland, Liechtenstein and Norway)")
_GUARDIAN_YEARS: Final = 18
_LAST_YEAR: Final = 2199


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What is ticked.

    Attributes:
        scope: One of `SCOPES`; None is no.
        limits: Some of `LIMITS_OF` the activity; none if the answer is no.
        last_day: Until when; None is without end.
        majority: The day on which the patient comes of age, if a guardian answers; else None.
    """

    scope: str | None
    limits: frozenset[str] = frozenset()
    last_day: date | None = None
    majority: date | None = None

    def terms(self, illness: frozenset[str], first_day: date) -> Terms | None:
        """Return the terms; None if the answer is no.

        Args:
            illness: What "my illness" means, as ICD-10 categories.
            first_day: On which they begin.
        """
        if self.scope is None:
            return None
        permission, diseases = _permission(self.scope, illness)
        limits = {_LIMITS[name] for name in self.limits}
        return Terms(
            permission=permission,
            limits=frozenset(limits | ({duo.TS} if self.last_day else set())),
            diseases=diseases,
            regions=EEA if duo.GS in limits else None,
            first_day=first_day,
            last_day=self.last_day,
        )


def read_choice(
    form: Mapping[str, Sequence[str]],
    *,
    activity: Activity,
    illness: frozenset[str],
    today: date,
) -> Choice | dict[str, str]:
    """Read a form that was sent.

    Args:
        form: Names to values; anything at all.
        activity: What it is about.
        illness: What "my illness" means; empty if that cannot be said.
        today: The day.

    Returns:
        The choice; or for each wrong field its name and a marked text.
    """
    wrong: dict[str, str] = {}
    scope = _single(form, "scope")
    if scope not in {"no", *SCOPES} or (scope == "illness" and not illness):
        wrong["scope"] = marked("Please choose one of the answers.")
    limits = frozenset(form.get("limit", ()))
    if not limits <= frozenset(LIMITS_OF[activity]):
        wrong["limit"] = marked("One of these limits is not known here. Please choose again.")
    last_day = _day(form, "until")
    if last_day is _WRONG or (isinstance(last_day, date) and not _within(last_day, today)):
        wrong["until"] = marked("Please give a day in the future, or leave the field empty.")
    majority: object = None
    match _single(form, "who"):
        case "patient":
            pass
        case "guardian":
            majority = _day(form, "majority")
            if not isinstance(majority, date) or not (
                today < majority and majority.year <= today.year + _GUARDIAN_YEARS
            ):
                wrong["majority"] = marked(
                    "Please give the day of the eighteenth birthday; it has to be in the future."
                )
        case _:
            wrong["who"] = marked("Please say who is answering.")
    if wrong:
        return wrong
    assert last_day is None or isinstance(last_day, date)  # checked above
    assert majority is None or isinstance(majority, date)
    if scope == "no":
        return Choice(scope=None, majority=majority)
    return Choice(scope=scope, limits=limits, last_day=last_day, majority=majority)


def choice_of(consent: Consent, illness: frozenset[str]) -> Choice | None:
    """Return what would have to be ticked for a consent; None if the page cannot say it."""
    if consent.terms is None:
        return Choice(scope=None, majority=consent.majority)
    terms = consent.terms
    named = {code: name for name, code in _LIMITS.items()}
    limits = terms.limits - {duo.TS}
    if duo.NPUNCU in limits:
        limits = limits - {duo.NPUNCU} | {duo.NPU, duo.NCU}
    said = frozenset(named[code] for code in limits if code in named)
    for scope in SCOPES if illness else [scope for scope in SCOPES if scope != "illness"]:
        if (
            _permission(scope, illness) == (terms.permission, terms.diseases)
            and len(said) == len(limits)
            and said <= frozenset(LIMITS_OF[consent.activity])
            and terms.regions in {None, EEA}
        ):
            return Choice(
                scope=scope, limits=said, last_day=terms.last_day, majority=consent.majority
            )
    return None


def next_consent(
    consents: Iterable[Consent],
    choice: Choice,
    *,
    patient: bytes,
    data_set: str,
    activity: Activity,
    illness: frozenset[str],
    today: date,
    form: str,
) -> Consent | None:
    """Return the consent that a choice becomes; None if it is what was said last.

    A permission that goes on keeps its first day: else it would begin within a period of studies,
    and count in none of it.

    Args:
        consents: All of this patient.
        choice: What she has ticked.
        patient: Pseudonym.
        data_set: The registry's.
        activity: What it is about.
        illness: What "my illness" means.
        today: The day of the answer.
        form: URI of the text that was answered.
    """
    own = tuple(consents)
    last = last_words(own, data_set=data_set, activity=activity)
    before = next(iter(last)) if len(last) == 1 else None
    first_day = today
    goes_on = before is not None and status(before, own, day=today) is Status.PERMITTED
    if before is not None and before.terms is not None and goes_on:
        first_day = before.terms.first_day
    terms = choice.terms(illness, first_day)
    if before is not None and (before.terms, before.majority) == (terms, choice.majority):
        return None
    answer = Answer.PERMITTED
    if terms is None:
        allowed = any(consent.terms is not None for consent in last)
        answer = Answer.WITHDRAWN if allowed else Answer.REFUSED
    return Consent(
        patient=patient,
        data_set=data_set,
        activity=activity,
        version=1 + max((consent.version for consent in last), default=0),
        answer=answer,
        terms=terms,
        giver=Giver.PATIENT if choice.majority is None else Giver.GUARDIAN,
        majority=choice.majority,
        given=today,
        form=form,
    )


def limit_words(name: str) -> str:
    """Return the marked text of a limit."""
    return EUROPE if name == "europe" else words.LIMITS[_LIMITS[name]]


def _permission(scope: str, illness: frozenset[str]) -> tuple[str, frozenset[str] | None]:
    match scope:
        case "illness":
            return duo.DS, illness
        case "cancer":
            return duo.DS, NEOPLASMS
        case "health":
            return duo.HMB, None
        case _:
            return duo.GRU, None


_WRONG: Final = object()


def _single(form: Mapping[str, Sequence[str]], name: str) -> str | None:
    values = form.get(name, ())
    return values[0] if len(values) == 1 else None


def _day(form: Mapping[str, Sequence[str]], name: str) -> date | object | None:
    """Return the day in a field, None if it is empty, `_WRONG` if it is none."""
    text = _single(form, name)
    if not text:
        return None if text == "" or name not in form else _WRONG
    try:
        return date.fromisoformat(text) if len(text) == len("2026-11-22") else _WRONG
    except ValueError:
        return _WRONG


def _within(day: date, today: date) -> bool:
    return today < day and day.year <= _LAST_YEAR
