"""ADT_GEKID 2.x: messages as German reporters sent them until 2024.

One ``Meldung`` may hold several documents: a diagnosis and lists of operations, radiotherapies,
systemic therapies and courses; a death is part of a course, or only the reason of the message
(``Meldeanlass`` ``tod``, date unknown). Element paths follow the schema of version 2.2.3. Nearly
all is optional there, the tumour key included: `ingest.reduce` then looks for the tumour.

There is no stage in version 2, and none is derived. Not read, and so dropped with the element:
names, address, insurance, reporter, free text.
"""

from collections.abc import Iterator
from typing import BinaryIO

from upcare_mpc.ingest import codes
from upcare_mpc.ingest.dates import Moment, earliest, german, latest
from upcare_mpc.ingest.elements import (
    Element,
    attribute,
    child,
    children,
    fields,
    patients,
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
        master_element = stated.get("Patienten_Stammdaten")
        master = fields(master_element)
        patient_id = attribute(master_element, "Patient_ID") or ""
        notes = Notes()
        sex = notes.coded("sex", text(master.get("Patienten_Geschlecht")))
        birth = _date(master.get("Patienten_Geburtsdatum"), notes)
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
    assignment_element = documents.get("Tumorzuordnung")
    diagnosis_element = documents.get("Diagnose")
    assignment, diagnosis = fields(assignment_element), fields(diagnosis_element)

    def tumour(field: str) -> str | None:
        """The diagnosis may repeat what the assignment says, and is the better source."""
        return text(diagnosis.get(field)) or text(assignment.get(field))

    reporter, number = attribute(element, "Melder_ID"), attribute(element, "Meldung_ID")
    diagnosed = _read(tumour("Diagnosedatum"), notes)
    notes.contacts.append(diagnosed)
    findings: list[Finding] = []
    if diagnosis_element is not None:
        findings.append(_diagnosis(diagnosis_element, notes))
    therapies: list[Therapy] = []
    for operation in children(documents.get("Menge_OP"), "OP"):
        findings.append(_operation_finding(operation, notes))
        therapies += _surgery(operation, notes)
    for radiotherapy in children(documents.get("Menge_ST"), "ST"):
        therapies += _radiotherapy(radiotherapy, notes)
    for systemic in children(documents.get("Menge_SYST"), "SYST"):
        therapies += _systemic(systemic, notes)
    recurrences: list[Moment | None] = []
    ends: list[Element] = []
    for course in children(documents.get("Menge_Verlauf"), "Verlauf"):
        recurrences.append(_course(course, notes))
        ends += children(course, "Tod")
    died = bool(ends) or text(documents.get("Meldeanlass")) == "tod"
    death = fields(ends[-1]) if ends else {}
    return Message(
        key=(reporter, number) if reporter and number else None,
        patient_id=patient_id,
        sex=sex,
        birth=birth,
        tumour_id=attribute(assignment_element, "Tumor_ID")
        or attribute(diagnosis_element, "Tumor_ID"),
        diagnosed=diagnosed,
        icd10=notes.coded("icd10", tumour("Primaertumor_ICD_Code")),
        laterality=notes.coded("laterality", tumour("Seitenlokalisation")),
        findings=tuple(findings),
        therapies=tuple(therapies),
        seen=latest(notes.contacts),
        died=died,
        death=_date(death.get("Sterbedatum"), notes),
        cause=codes.only_cause(
            notes.coded("cause", text(cause))
            for cause in children(death.get("Menge_Todesursache"), "Todesursache_ICD")
        ),
        death_by_tumour=notes.coded("death_by_tumour", text(death.get("Tod_tumorbedingt"))),
        recurred=earliest(recurrences),
        remarks=notes.kinds,
    )


def _course(document: Element, notes: Notes) -> Moment | None:
    """Note the days of a course; return its own if it reports a recurrence."""
    said = texts(document)
    examined = _read(said.get("Untersuchungsdatum_Verlauf"), notes)
    notes.contacts += [examined, *_metastases(document, notes)]
    return examined if codes.recurs(said) else None


def _diagnosis(document: Element, notes: Notes) -> Finding:
    stated = fields(document)
    notes.contacts += _metastases(document, notes)
    return _finding(
        Origin.DIAGNOSIS,
        stated,
        list(children(stated.get("Menge_Histologie"), "Histologie")),
        notes,
    )


def _operation_finding(document: Element, notes: Notes) -> Finding:
    return _finding(Origin.SURGERY, fields(document), list(children(document, "Histologie")), notes)


def _finding(
    origin: Origin,
    stated: dict[str, Element],
    histologies: list[Element],
    notes: Notes,
) -> Finding:
    """Read the tumour as one document describes it; of several histologies the first counts."""
    morphology = behaviour = grade = None
    for histology in histologies:
        found = fields(histology)
        notes.contacts.append(_date(found.get("Tumor_Histologiedatum"), notes))
        grade = grade or notes.coded("grade", text(found.get("Grading")))
        if morphology is None:
            coded = text(found.get("Morphologie_Code"))
            morphology, behaviour = (
                notes.coded("morphology", coded),
                codes.morphology(coded)[1],
            )
    tnm: list[Category] = []
    for element_name, standing in STANDING.items():
        if element_name in stated:
            found_tnm = staging(raw_texts(stated[element_name]), standing, prefix="TNM_")
            tnm += notes.staged(found_tnm)
    return Finding(
        origin=origin,
        topography=notes.coded("topography", text(stated.get("Primaertumor_Topographie_ICD_O"))),
        basis=notes.coded("basis", text(stated.get("Diagnosesicherung"))),
        morphology=morphology,
        behaviour=behaviour,
        grade=grade,
        categories=tuple(tnm),
    )


def _surgery(document: Element, notes: Notes) -> list[Therapy]:
    stated = fields(document)
    begun = _date(stated.get("OP_Datum"), notes)
    notes.contacts.append(begun)
    procedures = [text(ops) or "" for ops in children(stated.get("Menge_OPS"), "OP_OPS")]
    if codes.treats(text(stated.get("OP_Intention")), procedures):
        return [Therapy("surgery", begun)]
    return []


def _radiotherapy(document: Element, notes: Notes) -> list[Therapy]:
    begins: list[Moment | None] = []
    for irradiation in children(fields(document).get("Menge_Bestrahlung"), "Bestrahlung"):
        stated = fields(irradiation)
        begins.append(_date(stated.get("ST_Beginn_Datum"), notes))
        notes.contacts += [begins[-1], _date(stated.get("ST_Ende_Datum"), notes)]
    return [Therapy("radio", begun) for begun in begins or [None]]


def _systemic(document: Element, notes: Notes) -> list[Therapy]:
    stated = fields(document)
    begun = _date(stated.get("SYST_Beginn_Datum"), notes)
    notes.contacts += [begun, _date(stated.get("SYST_Ende_Datum"), notes)]
    stated_codes = map(text, children(stated.get("Menge_Therapieart"), "SYST_Therapieart"))
    return [Therapy(kind, begun) for code in stated_codes for kind in notes.therapies(code)]


def _metastases(document: Element, notes: Notes) -> list[Moment | None]:
    return [
        _date(child(metastasis, "FM_Diagnosedatum"), notes)
        for metastasis in children(child(document, "Menge_FM"), "Fernmetastase")
    ]


def _date(element: Element | None, notes: Notes) -> Moment | None:
    return _read(text(element), notes)


def _read(stated: str | None, notes: Notes) -> Moment | None:
    moment = german(stated)
    if moment is None:
        notes.undated(stated)
    return moment
