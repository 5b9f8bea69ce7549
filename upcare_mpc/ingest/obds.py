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
    patients,
    text,
    texts,
)
from upcare_mpc.ingest.message import Category, Finding, Message, Origin, Therapy
from upcare_mpc.ingest.staging import STANDING, categories

__all__ = ["messages"]

_FINDINGS = {
    "Diagnose": Origin.DIAGNOSIS,
    "OP": Origin.SURGERY,
    "Pathologie": Origin.PATHOLOGY,
}


def messages(stream: BinaryIO, name: str) -> Iterator[Message]:
    """Read the messages of one delivery in document order; `DataError` if it is not readable."""
    for patient in patients(stream, name):
        stated = fields(patient)
        master = fields(stated.get("Patienten_Stammdaten"))
        patient_id = attribute(patient, "Patient_ID") or ""
        sex = codes.GERMAN_SEX.get(text(master.get("Geschlecht")) or "")
        birth = _date(master.get("Geburtsdatum"))
        for element in children(stated.get("Menge_Meldung"), "Meldung"):
            yield _message(element, patient_id, sex, birth)


def _message(element: Element, patient_id: str, sex: str | None, birth: Moment | None) -> Message:
    documents = fields(element)
    assignment_element = documents.get("Tumorzuordnung")
    assignment = fields(assignment_element)
    reporter, number = attribute(element, "Melder_ID"), attribute(element, "Meldung_ID")
    diagnosed = _date(assignment.get("Diagnosedatum"))
    dates: list[Moment | None] = [diagnosed]
    findings = []
    therapies: list[Therapy] = []
    for name, document in documents.items():
        if name in _FINDINGS:
            findings.append(_finding(document, _FINDINGS[name], dates))
        if name in _THERAPIES:
            therapies += _THERAPIES[name](document, dates)
    if "Morphologie_ICD_O" in assignment:
        findings.append(_assigned_morphology(assignment["Morphologie_ICD_O"]))
    recurred = _course(documents.get("Verlauf"), dates)
    death_element = documents.get("Tod")
    death = fields(death_element)
    return Message(
        key=(reporter, number) if reporter and number else None,
        patient_id=patient_id,
        sex=sex,
        birth=birth,
        tumour_id=attribute(assignment_element, "Tumor_ID"),
        diagnosed=diagnosed,
        icd10=codes.icd10(_code(assignment.get("Primaertumor_ICD"))),
        laterality=codes.GERMAN_LATERALITY.get(text(assignment.get("Seitenlokalisation")) or ""),
        findings=tuple(findings),
        therapies=tuple(therapies),
        seen=latest(dates),
        died=death_element is not None,
        death=_date(death.get("Sterbedatum")),
        cause=codes.only_cause(
            _code(cause) for cause in children(death.get("Menge_Todesursachen"), "Todesursache_ICD")
        ),
        death_by_tumour=codes.GERMAN_JUDGEMENT.get(text(death.get("Tod_tumorbedingt")) or ""),
        recurred=recurred,
    )


def _course(document: Element | None, dates: list[Moment | None]) -> Moment | None:
    """Add the days of a course; return its own if it reports a recurrence."""
    said = texts(document)
    examined = iso(said.get("Untersuchungsdatum_Verlauf"))
    dates += [examined, *_metastases(document)]
    return examined if codes.recurs(said) else None


def _finding(document: Element, origin: Origin, dates: list[Moment | None]) -> Finding:
    """Read the tumour as one document describes it; add the days of its examinations."""
    stated = fields(document)
    histology = stated.get("Histologie")
    found = fields(histology)
    morphology, behaviour = codes.morphology(_code(found.get("Morphologie_ICD_O")))
    tnm: list[Category] = []
    for element_name, standing in STANDING.items():
        if element_name in stated:
            tnm += categories(texts(stated[element_name]), standing)
    dates += [_date(found.get("Tumor_Histologiedatum")), *_metastases(document)]
    return Finding(
        origin=origin,
        topography=codes.topography(_code(stated.get("Primaertumor_Topographie_ICD_O"))),
        basis=codes.basis(text(stated.get("Diagnosesicherung"))),
        morphology=morphology,
        behaviour=behaviour,
        grade=codes.grade(text(found.get("Grading"))),
        categories=tuple(tnm),
    )


def _assigned_morphology(coded: Element) -> Finding:
    """What the assignment of a message to its tumour may say beyond the ICD-10 code."""
    morphology, behaviour = codes.morphology(_code(coded))
    return Finding(Origin.ASSIGNMENT, None, None, morphology, behaviour, None, ())


def _surgery(document: Element, dates: list[Moment | None]) -> list[Therapy]:
    stated = fields(document)
    begun = _date(stated.get("Datum"))
    dates.append(begun)
    procedures = [_code(ops) or "" for ops in children(stated.get("Menge_OPS"), "OPS")]
    if codes.treats(text(stated.get("Intention")), procedures):
        return [Therapy("surgery", begun)]
    return []


def _radiotherapy(document: Element, dates: list[Moment | None]) -> list[Therapy]:
    begins = []
    for irradiation in children(fields(document).get("Menge_Bestrahlung"), "Bestrahlung"):
        stated = fields(irradiation)
        begins.append(_date(stated.get("Beginn")))
        dates += [begins[-1], _date(stated.get("Ende"))]
    return [Therapy("radio", begun) for begun in begins or [None]]


def _systemic(document: Element, dates: list[Moment | None]) -> list[Therapy]:
    stated = fields(document)
    begun = _date(stated.get("Beginn"))
    dates += [begun, _date(stated.get("Ende"))]
    kinds = codes.GERMAN_THERAPIES.get(text(stated.get("Therapieart")) or "", ())
    return [Therapy(kind, begun) for kind in kinds]


_THERAPIES: dict[str, Callable[[Element, list[Moment | None]], list[Therapy]]] = {
    "OP": _surgery,
    "ST": _radiotherapy,
    "SYST": _systemic,
}


def _metastases(document: Element | None) -> list[Moment | None]:
    return [
        _date(child(metastasis, "Diagnosedatum"))
        for metastasis in children(child(document, "Menge_FM"), "Fernmetastase")
    ]


def _code(element: Element | None) -> str | None:
    return text(child(element, "Code"))


def _date(element: Element | None) -> Moment | None:
    return iso(text(element), attribute(element, "Datumsgenauigkeit"))
