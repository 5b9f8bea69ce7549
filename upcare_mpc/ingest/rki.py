"""oBDS-RKI 3.0.0.8a, the yearly delivery of a Land registry: what its variables mean.

The layout is case based: a patient has tumours, a tumour one diagnosis and its therapies, already
the best of all messages. It exists as XML (`ingest.rki_xml`) and as a set of CSV tables
(`ingest.rki_tables`); both are read into the variables of the tables, and this module turns those
into one `Message` a tumour, so that both give the same cases. A later delivery of a tumour
replaces the earlier one.

Dates are never exact to the day: the day is the 15th by convention, with the precision beside it.
What matters is therefore delivered as intervals in days (to death and to the begin of therapies),
and these are used. The age is the one of the tables, ``Diagnosealter``: whole years between the two
dates as they stand. The place is a district (AGS), read as a NUTS code by `ingest.districts`.

``None`` and prefixes like ``JN_Typ.`` are leftovers of the export to CSV, not codes.

Not read, and so dropped: substances, protocols, free text, modules of single sites.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from upcare_mpc.ingest import codes, districts
from upcare_mpc.ingest.dates import Moment, iso
from upcare_mpc.ingest.message import Category, Finding, Message, Origin, Therapy
from upcare_mpc.ingest.remarks import DEATH_BEFORE_DIAGNOSIS, Notes
from upcare_mpc.ingest.staging import STANDING, staging

__all__ = [
    "Patient",
    "dated",
    "days",
    "patient",
    "radiotherapy",
    "recurrence",
    "surgery",
    "systemic",
    "tumour",
]

_DIED = {"J": True, "N": False}


class Patient(NamedTuple):
    """What is known of a patient, for all of the patient's tumours."""

    patient_id: str
    sex: str | None
    birth: Moment | None
    died: bool | None
    status_date: Moment | None
    cause: str | None
    remarks: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Hide the patient."""
        return "Patient(<hidden>)"


def patient(
    stated: Mapping[str, str], *, birth: Moment | None = None, cause: str | None = None
) -> Patient:
    """Read a row of table ``patient``; the tables have no date of birth."""
    notes = Notes()
    return Patient(
        patient_id=stated.get("PatientId", ""),
        sex=notes.coded("sex", stated.get("Geschlecht")),
        birth=birth,
        died=_DIED.get(stated.get("Verstorben", "")),
        status_date=_noted(stated, "Datum_Vitalstatus", notes),
        cause=notes.coded("cause", cause),
        remarks=notes.kinds,
    )


def tumour(
    person: Patient,
    stated: Mapping[str, str],
    tnm: Mapping[str, Mapping[str, str]],
    therapies: Sequence[Therapy],
    recurred: Moment | None,
) -> Message:
    """Read a row of table ``tumor``.

    Args:
        person: Whose tumour it is.
        stated: The row by column; columns without value may be left out.
        tnm: The fields of ``cTNM`` and ``pTNM``, those without value left out.
        therapies: All of the tumour.
        recurred: Date of the earliest recurrence.
    """
    tumour_id = stated.get("oBDS_RKIPatientTumorId")
    notes = Notes(remarks=[*person.remarks])
    coded = stated.get("Morphologie_Code")
    death_days = stated.get("Anzahl_Tage_Diagnose_Tod")
    if death_days and death_days.startswith("-"):
        notes.remarks.append(DEATH_BEFORE_DIAGNOSIS)
    found: list[Category] = []
    for element, fields in tnm.items():
        found += notes.staged(staging(fields, STANDING[element]))
    return Message(
        key=("oBDS-RKI", person.patient_id, tumour_id) if tumour_id else None,
        patient_id=person.patient_id,
        sex=person.sex,
        birth=person.birth,
        tumour_id=tumour_id,
        diagnosed=_noted(stated, "Diagnosedatum", notes),
        icd10=notes.coded("icd10", stated.get("Diagnose_ICD10_Code")),
        laterality=notes.coded("laterality", stated.get("Seitenlokalisation")),
        findings=(
            Finding(
                origin=Origin.DIAGNOSIS,
                topography=notes.coded("topography", stated.get("Topographie_Code")),
                basis=notes.coded("basis", stated.get("Diagnosesicherung")),
                morphology=notes.coded("morphology", coded),
                behaviour=codes.morphology(coded)[1],
                grade=notes.coded("grade", stated.get("Grading")),
                categories=tuple(found),
            ),
        ),
        therapies=tuple(therapies),
        seen=None if person.died else person.status_date,
        died=person.died,
        death=person.status_date if person.died else None,
        cause=person.cause,
        death_days=days(death_days),
        recurred=recurred,
        age=codes.number("age", stated.get("Diagnosealter")),
        region=districts.nuts(stated.get("Inzidenzort")),
        remarks=notes.kinds,
    )


def surgery(stated: Mapping[str, str], procedures: Sequence[str]) -> list[Therapy]:
    """Read a row of table ``op`` and the codes of its rows in ``ops``."""
    if not codes.treats(stated.get("Intention"), procedures):
        return []
    return [_therapy("surgery", stated, "Datum_OP", "Anzahl_Tage_Diagnose_OP")]


def radiotherapy(series: Sequence[Mapping[str, str]]) -> list[Therapy]:
    """Read a row of table ``st`` by its rows in ``bestrahlung``; without any, when is unknown."""
    begins = [
        _therapy("radio", stated, "Datum_Beginn_Bestrahlung", "Anzahl_Tage_Diagnose_ST")
        for stated in series
    ]
    return begins or [Therapy("radio", None)]


def systemic(stated: Mapping[str, str]) -> list[Therapy]:
    """Read a row of table ``syst``."""
    return [
        _therapy(kind, stated, "Datum_Beginn_SYST", "Anzahl_Tage_Diagnose_SYST")
        for kind in codes.german_therapies(stated.get("Therapieart"))[0]
    ]


def recurrence(stated: Mapping[str, str]) -> Moment | None:
    """The date of a row of table ``folgeereignis``, if it is a recurrence."""
    return dated(stated, "Datum_Folgeereignis") if codes.recurs(stated) else None


def dated(stated: Mapping[str, str], column: str) -> Moment | None:
    """A date and the precision in the column beside it."""
    return iso(stated.get(column), stated.get(f"{column}_Genauigkeit"))


def _noted(stated: Mapping[str, str], column: str, notes: Notes) -> Moment | None:
    moment = dated(stated, column)
    if moment is None:
        notes.undated(stated.get(column))
    return moment


def days(text: str | None) -> int | None:
    """An interval in days, if it is one."""
    return codes.number("follow_up_days", text)


def _therapy(kind: str, stated: Mapping[str, str], date_column: str, column: str) -> Therapy:
    return Therapy(kind, dated(stated, date_column), days(stated.get(column)))
