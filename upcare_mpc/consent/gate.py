"""May this use be made of this patient's data? One rule, with two defaults.

A data set has one of two gates, by the registry's legal basis:

    objection    statistics are permitted, unless the patient has objected
    consent      denied, unless the patient has consented

Records are opened with consent alone, whatever the gate.

1. Of the consents for the data set and the activity, those of the highest version count: the
   patient's *last word*. If there are several that differ, a use is permitted only if each of them
   permits it.
2. A refusal or a withdrawal denies. So does a permission whose terms the use goes beyond: a limit
   that a patient sets is an objection to what lies outside it.
3. A permission that has not begun or has ended, or that a guardian gave for a patient now of age,
   is no objection: from then on the patient is silent.
4. Silence is permission of statistics at the objection gate, and denial otherwise.

What nobody can name denies at both: a purpose that the ontology does not have, a limit that is not
checked here. The order of the consents makes no difference. Narrowing a permission never permits
more, and widening one never denies.

Whether a use is permitted is secret, as is every count of such decisions: nothing that another
party sees may depend on it.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cache
from typing import Final

from upcare_mpc.consent import duo
from upcare_mpc.consent.diseases import NEOPLASMS
from upcare_mpc.consent.model import Activity, Answer, Consent, Terms
from upcare_mpc.consent.use import NON_COMMERCIAL, NOT_FOR_PROFIT, Use
from upcare_mpc.errors import InputError

__all__ = [
    "Decision",
    "Gate",
    "Reason",
    "Selection",
    "Status",
    "decide",
    "last_words",
    "select",
    "status",
]


class Gate(StrEnum):
    """What holds, for statistics, for a patient who has said nothing."""

    OBJECTION = "objection"
    CONSENT = "consent"


class Reason(StrEnum):
    """Why a use is permitted or denied; contract, as error codes are."""

    NO_OBJECTION = "no_objection"
    CONSENTED = "consented"
    NO_CONSENT = "no_consent"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    CONTRADICTORY = "contradictory"
    NOT_YET = "not_yet"
    EXPIRED = "expired"
    OF_AGE = "of_age"
    UNKNOWN_PURPOSE = "unknown_purpose"
    UNKNOWN_LIMIT = "unknown_limit"
    PURPOSE = "purpose"
    DISEASE = "disease"
    METHODS = "methods"
    ANCESTRY = "ancestry"
    GENETIC = "genetic"
    ORGANISATION = "organisation"
    COMMERCIAL = "commercial"
    REGION = "region"
    EVIDENCE = "evidence"


class Status(StrEnum):
    """What has become of one consent."""

    PERMITTED = "permitted"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    NOT_YET = "not_yet"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A decision and its reason. Secret: it speaks of a patient.

    Attributes:
        permitted: Whether the use may be made.
        activity: Of what.
        reason: Why.
        codes: DUO codes that decided, sorted.
        day: The day that decided: the first, the last, or that of majority.
    """

    permitted: bool
    activity: Activity
    reason: Reason
    codes: tuple[str, ...] = ()
    day: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Of a data set, the patients whose data a use may count. Secret.

    Attributes:
        silent: Whether patients who have said nothing are among them.
        exceptions: Pseudonyms of those for whom it is the other way round.
    """

    silent: bool
    exceptions: frozenset[bytes]

    def __repr__(self) -> str:
        """Hide who, and how many."""
        return f"Selection(silent={self.silent}, <exceptions hidden>)"

    def holds(self, patient: bytes) -> bool:
        """Say whether a patient is among them."""
        return self.silent != (patient in self.exceptions)


def decide(consents: Iterable[Consent], use: Use, *, gate: Gate, day: date) -> Decision:
    """Decide on a use of one patient's data.

    Args:
        consents: All of one patient, in any order; those on other data sets or activities do not
            count.
        use: What is asked.
        gate: Of the data set.
        day: Today.

    Raises:
        InputError: The consents are of more than one patient.
    """
    words = last_words(consents, data_set=use.data_set, activity=use.activity)
    return _decide(frozenset(map(_said, words)), use, gate, day)


def select(consents: Iterable[Consent], use: Use, *, gate: Gate, day: date) -> Selection:
    """Decide on a use for all patients of a data set.

    Args:
        consents: Of all patients, in any order.
        use: What is asked.
        gate: Of the data set.
        day: Today.
    """
    by_patient: dict[bytes, list[Consent]] = defaultdict(list)
    for consent in consents:
        by_patient[consent.patient].append(consent)

    @cache
    def permitted(said: frozenset[_Said]) -> bool:
        return _decide(said, use, gate, day).permitted

    silent = permitted(frozenset())
    exceptions = [
        patient
        for patient, own in by_patient.items()
        if permitted(
            frozenset(map(_said, last_words(own, data_set=use.data_set, activity=use.activity)))
        )
        != silent
    ]
    return Selection(silent=silent, exceptions=frozenset(exceptions))


def last_words(
    consents: Iterable[Consent], *, data_set: str, activity: Activity
) -> frozenset[Consent]:
    """Return a patient's consents of the highest version; several only if they contradict.

    Raises:
        InputError: The consents are of more than one patient.
    """
    own = list(consents)
    if len({consent.patient for consent in own}) > 1:
        raise InputError("consents: wanted those of one patient, got those of several")
    on_it = [one for one in own if (one.data_set, one.activity) == (data_set, activity)]
    last = max((consent.version for consent in on_it), default=0)
    return frozenset(consent for consent in on_it if consent.version == last)


def status(consent: Consent, consents: Iterable[Consent], *, day: date) -> Status:
    """Say what has become of one of a patient's consents.

    Raises:
        InputError: The consents are of more than one patient.
    """
    last = last_words([consent, *consents], data_set=consent.data_set, activity=consent.activity)
    if consent not in last:
        return Status.SUPERSEDED
    if consent.terms is None:
        return Status.REFUSED if consent.answer is Answer.REFUSED else Status.WITHDRAWN
    match _outside_period(_said(consent), consent.terms, day):
        case None:
            return Status.PERMITTED
        case Reason.NOT_YET, _:
            return Status.NOT_YET
        case _:
            return Status.EXPIRED


@dataclass(frozen=True, slots=True)
class _Said:
    """What of a consent decides: patients who have said the same get the same."""

    answer: Answer
    terms: Terms | None
    majority: date | None


def _said(consent: Consent) -> _Said:
    return _Said(consent.answer, consent.terms, consent.majority)


def _decide(said: frozenset[_Said], use: Use, gate: Gate, day: date) -> Decision:
    if not duo.known_purposes(use.purposes):
        codes = tuple(sorted(use.purposes - duo.PURPOSES))
        return Decision(
            permitted=False, activity=use.activity, reason=Reason.UNKNOWN_PURPOSE, codes=codes
        )
    if not said:
        return _silence(use, gate, Reason.NO_CONSENT)
    decisions = [_decide_one(one, use, gate, day) for one in said]
    if len(decisions) == 1:
        return decisions[0]
    if all(decision.permitted for decision in decisions):
        return min(decisions, key=lambda decision: decision.reason)
    return Decision(permitted=False, activity=use.activity, reason=Reason.CONTRADICTORY)


def _decide_one(said: _Said, use: Use, gate: Gate, day: date) -> Decision:
    if said.terms is None:
        reason = Reason.REFUSED if said.answer is Answer.REFUSED else Reason.WITHDRAWN
        return Decision(permitted=False, activity=use.activity, reason=reason)
    beyond = _beyond(said.terms, use)
    if beyond is not None:
        reason, codes = beyond
        return Decision(permitted=False, activity=use.activity, reason=reason, codes=codes)
    outside = _outside_period(said, said.terms, day)
    if outside is not None:
        reason, when = outside
        return _silence(use, gate, reason, when)
    return Decision(
        permitted=True,
        activity=use.activity,
        reason=Reason.CONSENTED,
        codes=(said.terms.permission,),
        day=said.terms.last_day,
    )


def _silence(use: Use, gate: Gate, reason: Reason, day: date | None = None) -> Decision:
    if gate is Gate.OBJECTION and use.activity is Activity.STATISTICS:
        return Decision(permitted=True, activity=use.activity, reason=Reason.NO_OBJECTION)
    return Decision(permitted=False, activity=use.activity, reason=reason, day=day)


def _outside_period(said: _Said, terms: Terms, day: date) -> tuple[Reason, date] | None:
    if day < terms.first_day:
        return Reason.NOT_YET, terms.first_day
    if terms.last_day is not None and day > terms.last_day:
        return Reason.EXPIRED, terms.last_day
    if said.majority is not None and day >= said.majority:
        return Reason.OF_AGE, said.majority
    return None


_CHECKED: Final = frozenset(
    {duo.NMDS, duo.GSO, duo.NPUNCU, duo.GS, duo.TS, duo.CC, duo.NPOA, duo.NPU, duo.NCU}
) | frozenset(duo.OBLIGATIONS)


def _beyond(terms: Terms, use: Use) -> tuple[Reason, tuple[str, ...]] | None:
    """Say in what a use goes beyond the terms; the first of several."""
    limits = terms.limits

    def among(*codes: str) -> tuple[str, ...]:
        return tuple(sorted(limits.intersection(codes)))

    missing = tuple(sorted((limits & duo.OBLIGATIONS.keys()) - use.evidence))
    checks = (
        (Reason.UNKNOWN_LIMIT, tuple(sorted(limits - _CHECKED)), False),
        (Reason.PURPOSE, (terms.permission,), terms.permission in duo.covering(use.purposes)),
        (Reason.DISEASE, (terms.permission,), use.diseases <= (terms.diseases or NEOPLASMS)),
        (Reason.METHODS, among(duo.NMDS), duo.METHODS not in use.purposes),
        (Reason.ANCESTRY, among(duo.NPOA), not use.purposes & duo.ANCESTRY),
        (Reason.GENETIC, among(duo.GSO), duo.GENETIC in use.purposes),
        (Reason.ORGANISATION, among(duo.NPU, duo.NPUNCU), NOT_FOR_PROFIT in use.claims),
        (Reason.COMMERCIAL, among(duo.NCU, duo.NPUNCU), NON_COMMERCIAL in use.claims),
        (Reason.REGION, among(duo.GS), use.region in (terms.regions or ())),
        (Reason.EVIDENCE, missing, False),
    )
    for reason, codes, within in checks:
        if codes and not within:
            return reason, codes
    return None
