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
from upcare_mpc.ingest.dates import Moment, german, latest
from upcare_mpc.ingest.elements import Element, attribute, children, fields, patients, text
from upcare_mpc.ingest.message import Category, Finding, Message, Origin, Therapy
from upcare_mpc.ingest.staging import STANDING, categories

__all__ = ["messages"]

_SURGICAL_INTENTIONS = {None, "K", "P", "X"}
_THERAPY_CODES = {
    "CH": "chemo",
    "HO": "hormone",
    "IM": "immuno",
    "ZS": "targeted",
    "KM": "transplant",
}


def messages(stream: BinaryIO, name: str) -> Iterator[Message]:
    """Read the messages of one delivery in document order; `DataError` if it is not readable."""
    for patient in patients(stream, name):
        stated = fields(patient)
        master_element = stated.get("Patienten_Stammdaten")
        master = fields(master_element)
        patient_id = attribute(master_element, "Patient_ID") or ""
        sex = codes.GERMAN_SEX.get(text(master.get("Patienten_Geschlecht")) or "")
        birth = _date(master.get("Patienten_Geburtsdatum"))
        for element in children(stated.get("Menge_Meldung"), "Meldung"):
            yield _message(element, patient_id, sex, birth)


def _message(element: Element, patient_id: str, sex: str | None, birth: Moment | None) -> Message:
    documents = fields(element)
    assignment_element = documents.get("Tumorzuordnung")
    diagnosis_element = documents.get("Diagnose")
    assignment, diagnosis = fields(assignment_element), fields(diagnosis_element)

    def tumour(field: str) -> str | None:
        """The diagnosis may repeat what the assignment says, and is the better source."""
        return text(diagnosis.get(field)) or text(assignment.get(field))

    reporter, number = attribute(element, "Melder_ID"), attribute(element, "Meldung_ID")
    diagnosed = german(tumour("Diagnosedatum"))
    dates: list[Moment | None] = [diagnosed]
    findings: list[Finding] = []
    if diagnosis_element is not None:
        findings.append(_diagnosis(diagnosis_element, dates))
    therapies: list[Therapy] = []
    for operation in children(documents.get("Menge_OP"), "OP"):
        findings.append(_operation_finding(operation, dates))
        therapies += _surgery(operation, dates)
    for radiotherapy in children(documents.get("Menge_ST"), "ST"):
        therapies += _radiotherapy(radiotherapy, dates)
    for systemic in children(documents.get("Menge_SYST"), "SYST"):
        therapies += _systemic(systemic, dates)
    died, death = text(documents.get("Meldeanlass")) == "tod", None
    for course in children(documents.get("Menge_Verlauf"), "Verlauf"):
        stated = fields(course)
        dates += [_date(stated.get("Untersuchungsdatum_Verlauf")), *_metastases(stated)]
        if "Tod" in stated:
            died, death = True, _date(fields(stated["Tod"]).get("Sterbedatum")) or death
    return Message(
        key=(reporter, number) if reporter and number else None,
        patient_id=patient_id,
        sex=sex,
        birth=birth,
        tumour_id=attribute(assignment_element, "Tumor_ID")
        or attribute(diagnosis_element, "Tumor_ID"),
        diagnosed=diagnosed,
        icd10=codes.icd10(tumour("Primaertumor_ICD_Code")),
        laterality=codes.GERMAN_LATERALITY.get(tumour("Seitenlokalisation") or ""),
        findings=tuple(findings),
        therapies=tuple(therapies),
        seen=latest(dates),
        died=died,
        death=death,
    )


def _diagnosis(document: Element, dates: list[Moment | None]) -> Finding:
    stated = fields(document)
    dates += _metastases(stated)
    return _finding(
        Origin.DIAGNOSIS,
        stated,
        list(children(stated.get("Menge_Histologie"), "Histologie")),
        dates,
    )


def _operation_finding(document: Element, dates: list[Moment | None]) -> Finding:
    return _finding(Origin.SURGERY, fields(document), list(children(document, "Histologie")), dates)


def _finding(
    origin: Origin,
    stated: dict[str, Element],
    histologies: list[Element],
    dates: list[Moment | None],
) -> Finding:
    """Read the tumour as one document describes it; of several histologies the first counts."""
    morphology = behaviour = grade = None
    for histology in histologies:
        found = fields(histology)
        dates.append(_date(found.get("Tumor_Histologiedatum")))
        grade = grade or codes.grade(text(found.get("Grading")))
        if morphology is None:
            morphology, behaviour = codes.morphology(text(found.get("Morphologie_Code")))
    tnm: list[Category] = []
    for element_name, standing in STANDING.items():
        if element_name in stated:
            tnm += categories(stated[element_name], standing, prefix="TNM_")
    return Finding(
        origin=origin,
        topography=codes.topography(text(stated.get("Primaertumor_Topographie_ICD_O"))),
        basis=codes.basis(text(stated.get("Diagnosesicherung"))),
        morphology=morphology,
        behaviour=behaviour,
        grade=grade,
        categories=tuple(tnm),
    )


def _surgery(document: Element, dates: list[Moment | None]) -> list[Therapy]:
    """An operation that treats: its intention is not another one, its OPS codes are chapter 5."""
    stated = fields(document)
    begun = _date(stated.get("OP_Datum"))
    dates.append(begun)
    procedures = [text(ops) or "" for ops in children(stated.get("Menge_OPS"), "OP_OPS")]
    surgical = not procedures or any(code.startswith("5-") for code in procedures)
    if surgical and text(stated.get("OP_Intention")) in _SURGICAL_INTENTIONS:
        return [Therapy("surgery", begun)]
    return []


def _radiotherapy(document: Element, dates: list[Moment | None]) -> list[Therapy]:
    begins = []
    for irradiation in children(fields(document).get("Menge_Bestrahlung"), "Bestrahlung"):
        stated = fields(irradiation)
        begins.append(_date(stated.get("ST_Beginn_Datum")))
        dates += [begins[-1], _date(stated.get("ST_Ende_Datum"))]
    return [Therapy("radio", begun) for begun in begins or [None]]


def _systemic(document: Element, dates: list[Moment | None]) -> list[Therapy]:
    stated = fields(document)
    begun = _date(stated.get("SYST_Beginn_Datum"))
    dates += [begun, _date(stated.get("SYST_Ende_Datum"))]
    kinds = children(stated.get("Menge_Therapieart"), "SYST_Therapieart")
    return [
        Therapy(_THERAPY_CODES[code], begun) for code in map(text, kinds) if code in _THERAPY_CODES
    ]


def _metastases(stated: dict[str, Element]) -> list[Moment | None]:
    return [
        _date(fields(metastasis).get("FM_Diagnosedatum"))
        for metastasis in children(stated.get("Menge_FM"), "Fernmetastase")
    ]


def _date(element: Element | None) -> Moment | None:
    return german(text(element))
