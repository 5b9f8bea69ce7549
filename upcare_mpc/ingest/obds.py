"""oBDS 3.0.x: messages from reporters to a German Land registry.

One ``Meldung`` holds one document (diagnosis, pathology, operation, radiotherapy, systemic
therapy, course, death or tumour conference) and always names its tumour. Element paths follow the
schema of version 3.0.4; other 3.0.x files differ in parts that are not read here. Nothing is
validated against the schema: a missing or odd element makes a variable unknown.

Not read, and so dropped with the element: names, address, insurance, reporter, free text. A region
is not derived, since that would need the postal code.
"""

from collections.abc import Callable, Iterator
from typing import BinaryIO

from upcare_mpc.ingest import codes
from upcare_mpc.ingest.dates import Moment, iso, latest
from upcare_mpc.ingest.elements import (
    Element,
    attribute,
    child,
    children,
    fields,
    inner_text,
    patients,
    raw_text,
    raw_texts,
    text,
    texts,
)
from upcare_mpc.ingest.message import Category, Finding, Message, Origin, Therapy
from upcare_mpc.ingest.remarks import Notes
from upcare_mpc.ingest.staging import STANDING, staging

__all__ = ["messages"]


def messages(stream: BinaryIO, name: str) -> Iterator[Message]:
    """Read the messages of one delivery in document order; `DataError` if it is not readable."""
    for patient in patients(stream, name):
        stated = fields(patient)
        master = fields(stated.get("Patienten_Stammdaten"))
        notes = Notes()
        patient_id = attribute(patient, "Patient_ID") or ""
        sex = notes.coded("sex", raw_text(master.get("Geschlecht")))
        birth = _date(master.get("Geburtsdatum"), notes)
        for element in children(stated.get("Menge_Meldung"), "Meldung"):
            yield _message(element, patient_id, sex, birth, Notes(remarks=[*notes.remarks]))


def _message(
    element: Element,
    patient_id: str,
    sex: str | None,
    birth: Moment | None,
    notes: Notes,
) -> Message:
    documents = fields(element)
    tumour = documents.get("Tumorzuordnung")
    assignment = fields(tumour)
    reporter, number = attribute(element, "Melder_ID"), attribute(element, "Meldung_ID")
    diagnosed = _date(assignment.get("Diagnosedatum"), notes)
    notes.contacts.append(diagnosed)
    findings: list[Finding] = []
    therapies: list[Therapy] = []
    recurred = death = cause = by_tumour = None
    for name, document in documents.items():
        if name in _FINDINGS:
            findings.append(_finding(document, _FINDINGS[name], notes))
        if name in _THERAPIES:
            therapies += _THERAPIES[name](document, notes)
        elif name == "Verlauf":
            recurred = _course(document, notes)
        elif name == "Tod":
            death, cause, by_tumour = _death(document, notes)
    if "Morphologie_ICD_O" in assignment:
        findings.append(_assigned_morphology(assignment["Morphologie_ICD_O"], notes))
    return Message(
        (reporter, number) if reporter and number else None,
        patient_id,
        sex,
        birth,
        attribute(tumour, "Tumor_ID"),
        diagnosed,
        notes.coded("icd10", _code(assignment.get("Primaertumor_ICD"))),
        notes.coded("laterality", raw_text(assignment.get("Seitenlokalisation"))),
        tuple(findings),
        tuple(therapies),
        latest(notes.contacts),
        "Tod" in documents,
        death,
        cause,
        death_by_tumour=by_tumour,
        recurred=recurred,
        remarks=notes.kinds,
    )


def _course(document: Element, notes: Notes) -> Moment | None:
    """Note the days of a course; return its own if it reports a recurrence."""
    said = texts(document)
    examined = _read(said.get("Untersuchungsdatum_Verlauf"), None, notes)
    notes.contacts.append(examined)
    _note_metastases(child(document, "Menge_FM"), notes)
    return examined if codes.recurs(said) else None


def _death(document: Element, notes: Notes) -> tuple[Moment | None, str | None, str | None]:
    """The date of a death, its cause, and whether it was the tumour."""
    stated = fields(document)
    causes = children(stated.get("Menge_Todesursachen"), "Todesursache_ICD")
    return (
        _date(stated.get("Sterbedatum"), notes),
        codes.only_cause(notes.coded("cause", _code(cause)) for cause in causes),
        notes.coded("death_by_tumour", raw_text(stated.get("Tod_tumorbedingt"))),
    )


def _finding(document: Element, origin: Origin, notes: Notes) -> Finding:
    """Read the tumour as one document describes it; note the days of its examinations."""
    stated = fields(document)
    found = fields(stated.get("Histologie"))
    notes.contacts.append(_date(found.get("Tumor_Histologiedatum"), notes))
    _note_metastases(stated.get("Menge_FM"), notes)
    tnm: list[Category] = []
    for element_name, standing in STANDING.items():
        if element_name in stated:
            tnm += notes.staged(staging(raw_texts(stated[element_name]), standing))
    coded = _code(found.get("Morphologie_ICD_O"))
    return Finding(
        origin,
        notes.coded("topography", _code(stated.get("Primaertumor_Topographie_ICD_O"))),
        notes.coded("basis", raw_text(stated.get("Diagnosesicherung"))),
        notes.coded("morphology", coded),
        codes.morphology(coded)[1],
        notes.coded("grade", raw_text(found.get("Grading"))),
        tuple(tnm),
    )


def _assigned_morphology(element: Element, notes: Notes) -> Finding:
    """What the assignment of a message to its tumour may say beyond the ICD-10 code."""
    coded = _code(element)
    morphology, behaviour = notes.coded("morphology", coded), codes.morphology(coded)[1]
    return Finding(Origin.ASSIGNMENT, None, None, morphology, behaviour, None, ())


def _surgery(document: Element, notes: Notes) -> list[Therapy]:
    stated = fields(document)
    begun = _date(stated.get("Datum"), notes)
    notes.contacts.append(begun)
    procedures = [(_code(ops) or "").strip() for ops in children(stated.get("Menge_OPS"), "OPS")]
    if codes.treats(text(stated.get("Intention")), procedures):
        return [Therapy("surgery", begun)]
    return []


def _radiotherapy(document: Element, notes: Notes) -> list[Therapy]:
    begins: list[Moment | None] = []
    for irradiation in children(fields(document).get("Menge_Bestrahlung"), "Bestrahlung"):
        stated = fields(irradiation)
        begins.append(_date(stated.get("Beginn"), notes))
        notes.contacts += [begins[-1], _date(stated.get("Ende"), notes)]
    return [Therapy("radio", begun) for begun in begins or [None]]


def _systemic(document: Element, notes: Notes) -> list[Therapy]:
    stated = fields(document)
    begun = _date(stated.get("Beginn"), notes)
    notes.contacts += [begun, _date(stated.get("Ende"), notes)]
    kinds = notes.therapies(raw_text(stated.get("Therapieart")))
    return [Therapy(kind, begun) for kind in kinds]


_FINDINGS = {
    "Diagnose": Origin.DIAGNOSIS,
    "OP": Origin.SURGERY,
    "Pathologie": Origin.PATHOLOGY,
}
_THERAPIES: dict[str, Callable[[Element, Notes], list[Therapy]]] = {
    "OP": _surgery,
    "ST": _radiotherapy,
    "SYST": _systemic,
}


def _note_metastases(listed: Element | None, notes: Notes) -> None:
    for metastasis in children(listed, "Fernmetastase"):
        notes.contacts.append(_date(fields(metastasis).get("Diagnosedatum"), notes))


def _code(element: Element | None) -> str | None:
    return None if element is None else inner_text(element, "Code")


def _date(element: Element | None, notes: Notes) -> Moment | None:
    if element is None:
        return None
    return _read(element.text, element.get("Datumsgenauigkeit"), notes)


def _read(stated: str | None, flag: str | None, notes: Notes) -> Moment | None:
    moment = iso(stated, flag)
    if moment is None:
        notes.undated(stated)
    return moment
