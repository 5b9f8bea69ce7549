"""Several messages of one patient -> one case per tumour, by written rules.

RULES (change one, and `RULES_VERSION` with it: it is part of every snapshot's digest)

1.  Which tumour. Messages with the same tumour key describe one tumour. A message without a key
    joins the keyed tumour that has its diagnosis date and three-character ICD-10; else, if it has
    a date, it forms a tumour with the other keyless messages of that date and site; else it joins
    the patient's only tumour; else it is rejected.
2.  What is said twice. Diagnosis date, ICD-10 and laterality come from a message with a diagnosis
    document before others; basis, topography, morphology with behaviour, and grade from the
    diagnosis before operations before pathology before the mere assignment to a tumour. Among
    equals the later message counts. Course documents never describe the tumour at diagnosis.
3.  TNM and stage, each on its own: pathological before clinical, before what was found after
    treatment or at autopsy; then by rule 2.
4.  Topography, if not stated, is derived from ICD-10 for solid malignant tumours; behaviour, if
    not stated, from its chapter (C malignant, D00-D09 in situ).
5.  A tumour without a usable diagnosis date is rejected.
6.  Therapy counts if it began at most 365 days after diagnosis, or if it is unknown when (no date,
    or no month in one of the two dates). Absent therapy is "no" if the registry declares this kind
    complete, else unknown.
7.  Death, its cause, sex and birth are the patient's: any message tells them for all of the
    tumours, the later one if they differ. Whether the tumour was the cause is the tumour's own.
    Follow-up ends at death (unknown if its date is unknown), else on the latest day that any
    message shows the patient alive: examinations, operations, begin and end of therapies,
    diagnoses. Reporting dates and tumour conferences are not contacts.
8.  What a source has counted itself (age, days to therapy, days to death: oBDS-RKI) counts before
    what its dates, coarsened for delivery, would give.
9.  Recurrence is the earliest one that any message of the tumour reports with a date not before
    the diagnosis.

Limits: tumour and patient keys are taken to be the registry's own, the same in all its sources.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from upcare_mpc.ingest import codes
from upcare_mpc.ingest.dates import Moment, completed_years, days_between, latest
from upcare_mpc.ingest.message import Category, Finding, Message, Origin, Rejected, Therapy, Tumour
from upcare_mpc.records.case import Case

__all__ = ["RULES_VERSION", "reduce_patient"]

RULES_VERSION = 2

_THERAPY_WINDOW_DAYS = 365
_COMPLETENESS = {
    "surgery": "surgery",
    "radio": "radio",
    "chemo": "systemic",
    "targeted": "systemic",
    "immuno": "systemic",
    "hormone": "systemic",
    "transplant": "systemic",
}

_T = TypeVar("_T")
_Place = tuple[date, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Patient:
    """Rule 7: what holds for all tumours of a patient."""

    sex: str | None
    birth: Moment | None
    vital_status: str | None
    end: Moment | None
    cause: str | None


def reduce_patient(
    messages: Sequence[Message], *, complete: frozenset[str]
) -> Iterator[Tumour | Rejected]:
    """Reduce all messages of one patient, in delivery order, to cases.

    Args:
        messages: At least one; all of the same patient; corrections already applied.
        complete: Kinds of treatment declared complete: ``surgery``, ``radio``, ``systemic``.
    """
    newest_first = messages[::-1]
    died = any(message.died for message in messages)
    patient = _Patient(
        sex=_first(message.sex for message in newest_first),
        birth=_first(message.birth for message in newest_first),
        vital_status=_vital_status(messages),
        end=_first(message.death for message in newest_first)
        if died
        else latest(message.seen for message in messages),
        cause=_first(message.cause for message in newest_first) if died else None,
    )
    tumours, homeless = _by_tumour(messages)
    if homeless:
        yield Rejected("no tumour key", homeless)
    for tumour_id, own in tumours.items():
        case = _case(own[::-1], tumour_id, patient, complete)
        yield case if case is not None else Rejected("no usable diagnosis date", len(own))


def _by_tumour(messages: Sequence[Message]) -> tuple[dict[str, list[Message]], int]:
    """Rule 1: messages by tumour key, and how many have none."""
    tumours: dict[str, list[Message]] = defaultdict(list)
    for message in messages:
        if message.tumour_id is not None:
            tumours[message.tumour_id].append(message)
    if len(tumours) and sum(map(len, tumours.values())) == len(messages):
        return tumours, 0

    keys_at: dict[_Place, set[str]] = defaultdict(set)
    for tumour_id, own in tumours.items():
        for message in own:
            if place := _place(message):
                keys_at[place].add(tumour_id)
    keyless = [message for message in messages if message.tumour_id is None]
    unplaced = sorted({place for message in keyless if (place := _place(message))} - set(keys_at))
    for number, place in enumerate(unplaced, 1):
        keys_at[place] = {f"~{number}"}  # ~ keeps it apart from real keys, which may be numbers
    known = set(tumours).union(*keys_at.values())

    homeless = 0
    tumours.clear()  # and once more in delivery order, on which rule 2 relies
    for message in messages:
        place = _place(message)
        if message.tumour_id is not None:
            candidates = {message.tumour_id}
        else:
            candidates = keys_at[place] if place else known
        if len(candidates) == 1:
            tumours[next(iter(candidates))].append(message)
        else:
            homeless += 1
    return tumours, homeless


def _place(message: Message) -> _Place | None:
    if message.diagnosed is None:
        return None
    return message.diagnosed.day, (message.icd10 or "")[:3]


def _vital_status(messages: Sequence[Message]) -> str | None:
    said = {message.died for message in messages}
    if True in said:
        return "dead"
    return "alive" if False in said else None


def _case(
    newest_first: Sequence[Message],
    tumour_id: str,
    patient: _Patient,
    complete: frozenset[str],
) -> Tumour | None:
    """Rules 2 to 9 for one tumour; ``None`` if it has no usable diagnosis date."""
    by_trust = sorted(newest_first, key=_trust)
    diagnosed = _first(message.diagnosed for message in by_trust)
    if diagnosed is None:
        return None
    findings = sorted(
        (finding for message in newest_first for finding in message.findings),
        key=lambda finding: finding.origin,
    )
    typed = _first(finding for finding in findings if finding.morphology)
    icd10 = _first(message.icd10 for message in by_trust)
    therapies = [therapy for message in newest_first for therapy in message.therapies]
    dead = patient.vital_status == "dead"
    stated_age = _first(message.age for message in by_trust)
    death_days = _first(message.death_days for message in newest_first) if dead else None
    recurrences = (days_between(diagnosed, message.recurred) for message in newest_first)

    begun = {therapy.kind for therapy in therapies if _in_window(therapy, diagnosed)}

    def treated(kind: str) -> str | None:
        return "yes" if kind in begun else ("no" if _COMPLETENESS[kind] in complete else None)

    best = _categories(findings)
    case = Case(
        patient_id=newest_first[0].patient_id,
        tumour_id=tumour_id,
        sequence=1,
        sex=patient.sex,
        age=completed_years(patient.birth, diagnosed) if stated_age is None else stated_age,
        diagnosis_year=diagnosed.year,
        diagnosis_month=diagnosed.month,
        diagnosis_precision=diagnosed.precision.name.lower(),
        icd10=icd10,
        topography=_first(finding.topography for finding in findings)
        or codes.topography_from_icd10(icd10),
        morphology=typed.morphology if typed else None,
        behaviour=(typed.behaviour if typed else None) or codes.behaviour_from_icd10(icd10),
        grade=_first(finding.grade for finding in findings),
        stage=best.get("stage"),
        t=best.get("t"),
        n=best.get("n"),
        m=best.get("m"),
        tnm_edition=best.get("edition"),
        basis=_first(finding.basis for finding in findings),
        laterality=_first(message.laterality for message in by_trust),
        region=_first(message.region for message in by_trust),
        tx_surgery=treated("surgery"),
        tx_radio=treated("radio"),
        tx_chemo=treated("chemo"),
        tx_targeted=treated("targeted"),
        tx_immuno=treated("immuno"),
        tx_hormone=treated("hormone"),
        tx_transplant=treated("transplant"),
        vital_status=patient.vital_status,
        follow_up_days=days_between(diagnosed, patient.end) if death_days is None else death_days,
        recurrence_days=min((days for days in recurrences if days is not None), default=None),
        cause=patient.cause,
        death_by_tumour=_first(message.death_by_tumour for message in newest_first)
        if dead
        else None,
    )
    return Tumour(diagnosed.day, case)


def _trust(message: Message) -> int:
    return 0 if any(found.origin is Origin.DIAGNOSIS for found in message.findings) else 1


def _categories(findings: Sequence[Finding]) -> dict[str, str]:
    """Rule 3, by component; of equals the first, as the findings are in the order of rule 2."""
    best: dict[str, Category] = {}
    for finding in findings:
        for category in finding.categories:
            found = best.get(category.component)
            if found is None or category.standing < found.standing:
                best[category.component] = category
    return {component: category.value for component, category in best.items()}


def _in_window(therapy: Therapy, diagnosed: Moment) -> bool:
    if therapy.days is not None:
        return therapy.days <= _THERAPY_WINDOW_DAYS
    if therapy.begun is None or therapy.begun.month is None or diagnosed.month is None:
        return True
    return (therapy.begun.day - diagnosed.day).days <= _THERAPY_WINDOW_DAYS


def _first(values: Iterable[_T | None]) -> _T | None:
    return next((value for value in values if value is not None), None)
