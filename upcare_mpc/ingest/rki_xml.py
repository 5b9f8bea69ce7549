"""oBDS-RKI as XML: ``Patient`` > ``Tumor`` > diagnosis, therapies and later events.

The sample that the Robert Koch Institute publishes differs from its own schema: root and namespace,
text between elements, several ``Menge_OP`` in one tumour. Nothing is validated here, and all of it
is read (`ingest.elements` finds elements by local name). Each patient becomes the variables of the
CSV tables, which `ingest.rki` reads.
"""

from collections.abc import Iterator, Mapping
from typing import BinaryIO

from upcare_mpc.ingest import rki
from upcare_mpc.ingest.dates import age_on_day, earliest, iso
from upcare_mpc.ingest.elements import (
    Element,
    attribute,
    children,
    fields,
    patients,
    text,
    texts,
)
from upcare_mpc.ingest.message import Message, Therapy

__all__ = ["messages"]

# Element of the diagnosis -> column of table `tumor`.
_SIMPLE = {
    name: name
    for name in (
        "Inzidenzort",
        "Diagnosesicherung",
        "Seitenlokalisation",
        "Anzahl_Tage_Diagnose_Tod",
    )
}
_CODED = {
    "Primaertumor_ICD": "Diagnose_ICD10_Code",
    "Primaertumor_Topographie_ICD_O": "Topographie_Code",
}


def messages(stream: BinaryIO, name: str) -> Iterator[Message]:
    """Read one delivery, a message a tumour; `DataError` if it is not readable."""
    for element in patients(stream, name):
        stated = fields(element)
        master = fields(stated.get("Patienten_Stammdaten"))
        status = fields(master.get("Vitalstatus"))
        causes = fields(status.get("Todesursachen"))
        row = _dates(status, "Datum_Vitalstatus") | {
            "PatientId": attribute(element, "Patient_ID") or "",
            "Geschlecht": text(master.get("Geschlecht")) or "",
            "Verstorben": text(status.get("Verstorben")) or "",
        }
        birth = master.get("Geburtsdatum")
        person = rki.patient(
            row,
            birth=iso(text(birth), attribute(birth, "Datumsgenauigkeit")),
            cause=texts(causes.get("Grundleiden")).get("Code"),
        )
        for tumour in _all(element, "Menge_Tumor", "Tumor"):
            yield _message(tumour, person)


def _message(element: Element, person: rki.Patient) -> Message:
    diagnosis_element = fields(element).get("Primaerdiagnose")
    diagnosis = fields(diagnosis_element)
    said = texts(diagnosis_element)
    histology = fields(diagnosis.get("Histologie"))
    row = {column: said[name] for name, column in _SIMPLE.items() if name in said}
    row |= _dates(diagnosis, "Diagnosedatum")
    row |= {
        column: code
        for name, column in _CODED.items()
        if (code := texts(diagnosis.get(name)).get("Code"))
    }
    row["oBDS_RKIPatientTumorId"] = attribute(element, "Tumor_ID") or ""
    row["Grading"] = text(histology.get("Grading")) or ""
    row["Morphologie_Code"] = texts(histology.get("Morphologie_ICD_O")).get("Code", "")
    age = age_on_day(person.birth, rki.dated(row, "Diagnosedatum"))
    if age is not None:
        row["Diagnosealter"] = str(age)
    recurrences = [
        rki.recurrence(texts(event) | _dates(fields(event), "Datum_Folgeereignis"))
        for event in _all(element, "Menge_Folgeereignis", "Folgeereignis")
    ]
    return rki.tumour(
        person,
        row,
        {name: texts(diagnosis[name]) for name in ("cTNM", "pTNM") if name in diagnosis},
        _therapies(element),
        earliest(recurrences),
    )


def _therapies(tumour: Element) -> list[Therapy]:
    found: list[Therapy] = []
    for operation in _all(tumour, "Menge_OP", "OP"):
        procedures = [texts(ops).get("Code", "") for ops in _all(operation, "Menge_OPS", "OPS")]
        found += rki.surgery(texts(operation) | _dates(fields(operation), "Datum_OP"), procedures)
    for radiotherapy in _all(tumour, "Menge_ST", "ST"):
        found += rki.radiotherapy(
            [
                texts(series) | _dates(fields(series), "Datum_Beginn_Bestrahlung")
                for series in _all(radiotherapy, "Menge_Bestrahlung", "Bestrahlung")
            ]
        )
    for systemic in _all(tumour, "Menge_SYST", "SYST"):
        found += rki.systemic(texts(systemic) | _dates(fields(systemic), "Datum_Beginn_SYST"))
    return found


def _all(element: Element, container: str, name: str) -> Iterator[Element]:
    """The elements in all containers of that name."""
    for holder in children(element, container):
        yield from children(holder, name)


def _dates(stated: Mapping[str, Element], name: str) -> dict[str, str]:
    """A date and its precision, as the two columns of the tables."""
    element = stated.get(name)
    said = {name: text(element), f"{name}_Genauigkeit": attribute(element, "Datumsgenauigkeit")}
    return {column: value for column, value in said.items() if value}
