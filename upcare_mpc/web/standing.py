"""What is in force for a patient, in words: her last word, and what becomes of four examples.

The examples are uses that anybody can picture; each is decided by the gate, and its reason said by
``consent.explain``. So the page cannot say anything else than what the nodes go by.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final

from upcare_mpc.consent import duo
from upcare_mpc.consent.diseases import NEOPLASMS, ranges
from upcare_mpc.consent.explain import explain
from upcare_mpc.consent.fhir_mii import EEA
from upcare_mpc.consent.gate import Gate, Status, decide, last_words, status
from upcare_mpc.consent.model import Activity, Answer, Consent, Giver, Terms
from upcare_mpc.consent.use import NON_COMMERCIAL, NOT_FOR_PROFIT, Use
from upcare_mpc.node.consent_documents import UNREAD
from upcare_mpc.records.site_groups import SITE_GROUPS
from upcare_mpc.web import words
from upcare_mpc.web.choices import EUROPE, Choice, choice_of
from upcare_mpc.web.language import Language, marked
from upcare_mpc.web.record import categories_of

__all__ = ["Example", "Standing", "standing", "terms_in_words"]

_BOTH: Final = frozenset({NOT_FOR_PROFIT, NON_COMMERCIAL})
_NOT_MINE: Final = ("C71", "C16")  # one of them is another illness, whatever mine is


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """What becomes of one example.

    Attributes:
        what: Somebody does something.
        permitted: Whether it is.
        sentence: Why.
    """

    what: str
    permitted: bool
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Standing:
    """What is in force on one activity. Secret.

    Attributes:
        activity: Which.
        level: ``yes``, ``part`` or ``no``: how many of the examples are permitted.
        headline: The last word, in a sentence.
        terms: Within what it is permitted, line by line; empty if it is not.
        examples: What that means.
        version: Of the last word; 0 if there is none.
        choice: What would have to be ticked for it; None if nothing was said, or the page cannot
            say it.
        elsewhere: Whether it says what the page cannot.
        guardian: Until when a guardian's answer holds, if it is one.
    """

    activity: Activity
    level: str
    headline: str
    terms: tuple[str, ...]
    examples: tuple[Example, ...]
    version: int
    choice: Choice | None
    elsewhere: bool
    guardian: date | None

    @property
    def said(self) -> bool:
        """Whether anything may happen that the patient can take back."""
        return self.level != "no" or bool(self.terms)


def standing(
    consents: Iterable[Consent],
    activity: Activity,
    *,
    data_set: str,
    gate: Gate,
    illness: frozenset[str],
    today: date,
    language: Language,
) -> Standing:
    """Say what is in force.

    Args:
        consents: All of one patient.
        activity: On what.
        data_set: The registry's.
        gate: Of the data set.
        illness: What "my illness" means; empty if that cannot be said.
        today: The day.
        language: In which.
    """
    own = tuple(consents)
    last = sorted(last_words(own, data_set=data_set, activity=activity), key=lambda one: one.digest)
    examples = tuple(
        _example(own, what, use, gate, today, language)
        for what, use in _uses(activity, data_set, illness)
    )
    permitted = sum(example.permitted for example in examples)
    level = "yes" if permitted == len(examples) else "part" if permitted else "no"
    choices = {choice_of(consent, illness) for consent in last}
    choice = choices.pop() if len(choices) == 1 else None
    return Standing(
        activity=activity,
        level=level,
        headline=_headline(last, activity, gate, today, language),
        terms=tuple(
            line
            for consent in last
            if consent.terms is not None
            for line in terms_in_words(consent.terms, illness, language)
        ),
        examples=examples,
        version=max((consent.version for consent in last), default=0),
        choice=choice,
        elsewhere=bool(last) and choice is None,
        guardian=max((one.majority for one in last if one.majority is not None), default=None),
    )


def terms_in_words(terms: Terms, illness: frozenset[str], language: Language) -> list[str]:
    """Say within what something is permitted, line by line; the scope first."""
    say = language.say
    lines = [_scope(terms, illness, language)]
    for code in sorted(terms.limits - {duo.TS, duo.GS}):
        if code in words.LIMITS:
            lines.append(say(words.LIMITS[code]))
        else:
            lines.append(f"{say(words.UNKNOWN_LIMIT)} ({code})")
    if terms.regions == EEA:
        lines.append(say(EUROPE))
    elif terms.regions is not None:
        countries = language.listed(sorted(map(language.country, terms.regions)))
        lines.append(say(marked("only in these countries: %(countries)s"), countries=countries))
    lines.append(say(marked("from %(day)s"), day=language.day(terms.first_day)))
    if terms.last_day is not None:
        lines.append(say(marked("until %(day)s"), day=language.day(terms.last_day)))
    return lines


def _scope(terms: Terms, illness: frozenset[str], language: Language) -> str:
    say = language.say
    if terms.diseases is None:
        return say(words.PERMISSIONS[terms.permission])
    if terms.diseases == NEOPLASMS:
        return say(marked("research on any cancer"))
    named = _diseases(terms.diseases, language)
    if terms.diseases == illness:
        return say(marked("only research on your illness: %(illnesses)s"), illnesses=named)
    return say(marked("only research on these illnesses: %(illnesses)s"), illnesses=named)


def _diseases(diseases: frozenset[str], language: Language) -> str:
    """Name a set of diseases by the groups that it holds; what is left over by codes."""
    left, named = set(diseases), []
    for group in SITE_GROUPS:
        held = categories_of(group)
        if held and held <= diseases:
            named.append(language.say(words.ILLNESSES[group]))
            left -= held
    return language.listed(named + ranges(frozenset(left)))


def _headline(
    last: list[Consent], activity: Activity, gate: Gate, today: date, language: Language
) -> str:
    say = language.say
    if not last:
        if gate is Gate.OBJECTION and activity is Activity.STATISTICS:
            return say(marked("You have not objected, so you are counted."))
        return say(marked("You have not answered yet, so nothing happens."))
    if len(last) > 1:
        return say(marked("Two of your answers contradict each other. The stricter one counts."))
    (consent,) = last
    if consent.form.startswith(UNREAD):
        return say(
            marked("A document with your answer still has to be read. Until then it counts as no.")
        )
    headline = say(_SAID[consent.answer, consent.giver], day=language.day(consent.given))
    became = _BECAME.get(status(consent, last, day=today))
    return headline if became is None else f"{headline} {say(became)}"


_BECAME: Final = {
    Status.EXPIRED: marked("This permission has ended."),
    Status.NOT_YET: marked("This permission has not begun yet."),
}
_SAID: Final = {
    (Answer.PERMITTED, Giver.PATIENT): marked("You allowed this on %(day)s."),
    (Answer.REFUSED, Giver.PATIENT): marked("You said no on %(day)s."),
    (Answer.WITHDRAWN, Giver.PATIENT): marked("You took your permission back on %(day)s."),
    (Answer.PERMITTED, Giver.GUARDIAN): marked("A parent or guardian allowed this on %(day)s."),
    (Answer.REFUSED, Giver.GUARDIAN): marked("A parent or guardian said no on %(day)s."),
    (Answer.WITHDRAWN, Giver.GUARDIAN): marked(
        "A parent or guardian took the permission back on %(day)s."
    ),
}


def _uses(activity: Activity, data_set: str, illness: frozenset[str]) -> list[tuple[str, Use]]:
    """The examples; those on "your illness" only if it can be said what that is."""
    other = frozenset({next(code for code in _NOT_MINE if code not in illness)})
    # Nobody documents anything for a study that only counts.
    evidence = frozenset(duo.OBLIGATIONS if activity is Activity.RECORDS else ())

    def use(purpose: str, diseases: frozenset[str], country: str, claims: frozenset[str]) -> Use:
        return Use(
            activity=activity,
            data_set=data_set,
            purposes=frozenset({purpose}),
            claims=claims,
            evidence=evidence,
            diseases=diseases or NEOPLASMS,
            region=country,
        )

    hospital = (
        marked("A hospital in Germany studies your illness."),
        use(duo.DS, illness, "DE", _BOTH),
    )
    return [
        *([hospital] if illness else []),
        (
            marked("A university in France studies another kind of cancer."),
            use(duo.DS, other, "FR", _BOTH),
        ),
        (
            marked("A university in France studies health in general."),
            use(duo.HMB, NEOPLASMS, "FR", _BOTH),
        ),
        (
            marked("A company in the United States develops a medicine."),
            use("DUO:0000039", illness, "US", frozenset()),
        ),
    ]


def _example(
    consents: tuple[Consent, ...],
    what: str,
    use: Use,
    gate: Gate,
    today: date,
    language: Language,
) -> Example:
    decision = decide(consents, use, gate=gate, day=today)
    return Example(
        what=language.say(what),
        permitted=decision.permitted,
        sentence=explain(decision, language.code),
    )
