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
6.  Therapy counts if it began at most 90 days before and at most 365 days after diagnosis, or if it
    is unknown when (no date, or no month in one of the two dates). Absent therapy is "no" if the
    registry declares this kind complete, else unknown.
7.  Death, its cause, sex and birth are the patient's: any message tells them for all of the
    tumours, the later one if they differ. Whether the tumour was the cause is the tumour's own.
    Follow-up ends at death (unknown if its date is unknown), else on the latest day that any
    message shows the patient alive: examinations, operations, begin and end of therapies,
    diagnoses. Reporting dates and tumour conferences are not contacts.
8.  What a source has counted itself (age, days to therapy, days to death: oBDS-RKI) counts before
    what its dates, coarsened for delivery, would give.
9.  Recurrence is the earliest one that any message of the tumour reports with a date not before
    the diagnosis.
10. A tumour that messages report and an ENCR row too is the messages': they say more. The row
    counts as replaced.

The version rises with any change of a reader or a list of codes that changes a case, too.

Limits: tumour and patient keys are taken to be the registry's own, the same in all its sources;
where two sources number tumours differently, they count twice. A keyless message whose date is of
another precision than the keyed ones makes a tumour of its own (rule 1).
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from operator import attrgetter

from upcare_mpc.ingest import codes, remarks
from upcare_mpc.ingest.dates import (
    Moment,
    Precision,
    before,
    completed_years,
    days_between,
    latest,
)
from upcare_mpc.ingest.message import (
    DELETED,
    Category,
    Finding,
    Message,
    Origin,
    Rejected,
    Therapy,
    Tumour,
)
from upcare_mpc.records.case import Case

__all__ = ["RULES_VERSION", "reduce_patient"]

RULES_VERSION = 3

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

_PRECISIONS = {precision: precision.name.lower() for precision in Precision}

_Place = tuple[date, str]


@dataclass(frozen=True, slots=True)
class _Patient:
    """Rule 7: what holds for all tumours of a patient."""

    sex: str | None
    birth: Moment | None
    vital_status: str | None
    end: Moment | None
    cause: str | None
    remarks: tuple[str, ...]


def reduce_patient(
    messages: Sequence[Message],
    *,
    complete: frozenset[str],
    deleted: frozenset[str] = frozenset(),
) -> Iterator[Tumour | Rejected]:
    """Reduce all messages of one patient, in delivery order, to cases.

    Args:
        messages: At least one; all of the same patient; corrections already applied.
        complete: Kinds of treatment declared complete: ``surgery``, ``radio``, ``systemic``.
        deleted: Keys of tumours on the deletion list; their messages tell nothing, those without a
            key that belong to them included.
    """
    tumours, homeless = _by_tumour(messages)
    if gone := {id(m) for key in deleted & tumours.keys() for m in tumours.pop(key)}:
        yield Rejected(DELETED, len(gone))
        messages = [message for message in messages if id(message) not in gone]
    patient = _patient(messages)
    if homeless:
        yield Rejected("no tumour key", homeless)
    for tumour_id, own in tumours.items():
        tumour = _tumour(own, tumour_id, patient, complete)
        yield (tumour if tumour is not None else Rejected("no usable diagnosis date", len(own)))


def _patient(messages: Sequence[Message]) -> _Patient:
    sex = birth = death = cause = died = None
    sexes = set()
    for message in messages:  # of several that are known, the last counts
        if message.sex is not None:
            sex = message.sex
            sexes.add(sex)
        birth = message.birth or birth
        death = message.death or death
        cause = message.cause or cause
        if message.died is not None:
            died = died or message.died
    return _Patient(
        sex,
        birth,
        None if died is None else ("dead" if died else "alive"),
        death if died else latest([message.seen for message in messages]),
        cause if died else None,
        (remarks.OTHER_SEX,) if len(sexes) > 1 else (),
    )


def _by_tumour(messages: Sequence[Message]) -> tuple[dict[str, list[Message]], int]:
    """Rule 1: messages by tumour key, and how many have none."""
    tumours: dict[str, list[Message]] = defaultdict(list)
    keyless = []
    for message in messages:
        if message.tumour_id is None:
            keyless.append(message)
        else:
            tumours[message.tumour_id].append(message)
    if not keyless:
        return tumours, 0

    keys_at: dict[_Place, set[str]] = defaultdict(set)
    for tumour_id, own in tumours.items():
        for message in own:
            if place := _place(message):
                keys_at[place].add(tumour_id)
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


def _tumour(
    messages: Sequence[Message],
    tumour_id: str,
    patient: _Patient,
    complete: frozenset[str],
) -> Tumour | None:
    """Rules 2 to 9 for one tumour; ``None`` if it has no usable diagnosis date."""
    diagnosed: Moment | None = None
    icd10 = laterality = region = age = None
    for message in sorted(messages, key=_describes):  # the most trusted is the last
        diagnosed = message.diagnosed or diagnosed
        icd10 = message.icd10 or icd10
        laterality = message.laterality or laterality
        region = message.region or region
        age = age if message.age is None else message.age
    if diagnosed is None:
        return None

    topography = morphology = behaviour = grade = basis = None
    findings = _by_trust(messages)
    for finding in reversed(findings):
        topography = finding.topography or topography
        if finding.morphology:
            morphology, behaviour = finding.morphology, finding.behaviour
        grade = finding.grade or grade
        basis = finding.basis or basis
    categories = _categories(findings)

    noticed = {*patient.remarks}
    treated = dict(_absent(complete))
    death_by_tumour = death_days = recurrence_days = None
    for message in messages:
        for therapy in message.therapies:
            days = _days_until(therapy, diagnosed)
            if days is None or -remarks.THERAPY_LEAD_DAYS <= days <= _THERAPY_WINDOW_DAYS:
                treated[therapy.kind] = "yes"
            if days is not None and days < -remarks.THERAPY_LEAD_DAYS:
                noticed.add(remarks.THERAPY_BEFORE_DIAGNOSIS)
        if message.recurred is not None:
            days = days_between(diagnosed, message.recurred)
            if days is not None:
                recurrence_days = days if recurrence_days is None else min(days, recurrence_days)
            elif before(message.recurred, diagnosed):
                noticed.add(remarks.RECURRENCE_BEFORE_DIAGNOSIS)
        death_by_tumour = message.death_by_tumour or death_by_tumour
        death_days = death_days if message.death_days is None else message.death_days
        if message.diagnosed is not None and message.diagnosed != diagnosed:
            noticed.add(remarks.OTHER_DIAGNOSIS_DATE)
        noticed.update(message.remarks)

    if age is None:
        age = completed_years(patient.birth, diagnosed)
        if age is None and patient.birth is not None:
            noticed.update(_about_age(patient.birth, diagnosed))
    dead = patient.vital_status == "dead"
    follow_up_days = death_days if dead else None
    if follow_up_days is None:
        follow_up_days = days_between(diagnosed, patient.end)
        if follow_up_days is None and patient.end is not None and before(patient.end, diagnosed):
            noticed.add(
                remarks.DEATH_BEFORE_DIAGNOSIS if dead else remarks.CONTACT_BEFORE_DIAGNOSIS
            )
    case = Case(
        patient_id=messages[0].patient_id,
        tumour_id=tumour_id,
        sequence=1,
        sex=patient.sex,
        age=age,
        diagnosis_year=diagnosed.year,
        diagnosis_month=diagnosed.month,
        diagnosis_precision=_PRECISIONS[diagnosed.precision],
        icd10=icd10,
        topography=topography or codes.topography_from_icd10(icd10),
        morphology=morphology,
        behaviour=behaviour or codes.behaviour_from_icd10(icd10),
        grade=grade,
        stage=categories.get("stage"),
        t=categories.get("t"),
        n=categories.get("n"),
        m=categories.get("m"),
        tnm_edition=categories.get("edition"),
        basis=basis,
        laterality=laterality,
        region=region,
        tx_surgery=treated["surgery"],
        tx_radio=treated["radio"],
        tx_chemo=treated["chemo"],
        tx_targeted=treated["targeted"],
        tx_immuno=treated["immuno"],
        tx_hormone=treated["hormone"],
        tx_transplant=treated["transplant"],
        vital_status=patient.vital_status,
        follow_up_days=follow_up_days,
        recurrence_days=recurrence_days,
        cause=patient.cause,
        death_by_tumour=death_by_tumour if dead else None,
    )
    return Tumour(diagnosed.day, case, tuple(sorted(noticed)) if noticed else ())


def _describes(message: Message) -> bool:
    """Whether a message has a diagnosis document."""
    return Origin.DIAGNOSIS in [finding.origin for finding in message.findings]


def _by_trust(messages: Sequence[Message]) -> list[Finding]:
    """All findings, the most trusted first: by origin, then the later message."""
    findings = [finding for message in reversed(messages) for finding in message.findings]
    if len(findings) > 1:
        findings.sort(key=_origin)
    return findings


_origin = attrgetter("origin")


def _categories(findings: Sequence[Finding]) -> dict[str, str]:
    """Rule 3, by component; of equals the first, as the findings are in the order of rule 2."""
    best: dict[str, Category] = {}
    for finding in findings:
        for category in finding.categories:
            found = best.get(category.component)
            if found is None or category.standing < found.standing:
                best[category.component] = category
    return {component: category.value for component, category in best.items()}


@cache
def _absent(complete: frozenset[str]) -> dict[str, str | None]:
    """What no message on a therapy means, by kind."""
    return {kind: "no" if group in complete else None for kind, group in _COMPLETENESS.items()}


def _days_until(therapy: Therapy, diagnosed: Moment) -> int | None:
    """Days from diagnosis to a therapy; ``None`` if it is unknown when."""
    if therapy.days is not None:
        return therapy.days
    begun = therapy.begun
    if begun is None or max(begun.precision, diagnosed.precision) > Precision.MONTH:
        return None
    return (begun.day - diagnosed.day).days


def _about_age(birth: Moment, diagnosed: Moment) -> Iterator[str]:
    """Why there is no age, where both dates are known to the year."""
    if before(diagnosed, birth):
        yield remarks.BIRTH_AFTER_DIAGNOSIS
    elif max(birth.precision, diagnosed.precision) <= Precision.YEAR:
        yield remarks.IMPOSSIBLE_AGE
