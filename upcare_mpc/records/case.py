"""The common record: one tumour of one patient, whatever format it arrived in.

``None`` always means *unknown*: not stated, not usable, or not recorded by this registry. It
never means "no". Dates of birth, names, addresses and insurance numbers are not part of the
model; readers drop them while parsing.

A record never leaves the registry. Identifiers are local to it and are only used to count a
patient once.
"""

from dataclasses import dataclass

__all__ = ["Case"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One tumour, with what is known of its patient.

    Attributes:
        patient_id: Local pseudonym of the patient; secret, never leaves the registry.
        tumour_id: Key of the tumour within the patient.
        sequence: 1 for the patient's first tumour by date of diagnosis, then 2, 3, ...
        sex: ``female``, ``male``, ``other``.
        age: Completed years at diagnosis, 0-120.
        diagnosis_year: Calendar year.
        diagnosis_month: 1-12.
        icd10: ICD-10 code, upper case, with dot (``C50.9``).
        topography: ICD-O-3 topography, upper case, with dot (``C50.9``).
        morphology: ICD-O-3 morphology, four digits (``8500``).
        behaviour: ICD-O-3 behaviour, ``0``-``3``.
        grade: ``1``-``4``.
        stage: UICC stage collapsed to ``0``-``4``.
        t, n, m: TNM category without prefix, first digit only (``1``), or ``is``.
        basis: Basis of diagnosis, ``0``-``8``.
        laterality: ``left``, ``right``, ``both``, ``median``, ``none``.
        region: NUTS code of residence.
        tx_surgery, tx_radio, tx_chemo, tx_targeted, tx_immuno, tx_hormone, tx_transplant:
            ``yes`` or ``no`` within 12 months of diagnosis. ``no`` only where the registry
            declares that its records of that kind of treatment are complete.
        vital_status: ``alive`` or ``dead`` at the end of follow-up.
        follow_up_days: Days from diagnosis to death or last contact.
    """

    patient_id: str
    tumour_id: str
    sequence: int
    sex: str | None = None
    age: int | None = None
    diagnosis_year: int | None = None
    diagnosis_month: int | None = None
    icd10: str | None = None
    topography: str | None = None
    morphology: str | None = None
    behaviour: str | None = None
    grade: str | None = None
    stage: str | None = None
    t: str | None = None
    n: str | None = None
    m: str | None = None
    basis: str | None = None
    laterality: str | None = None
    region: str | None = None
    tx_surgery: str | None = None
    tx_radio: str | None = None
    tx_chemo: str | None = None
    tx_targeted: str | None = None
    tx_immuno: str | None = None
    tx_hormone: str | None = None
    tx_transplant: str | None = None
    vital_status: str | None = None
    follow_up_days: int | None = None

    @property
    def site(self) -> str | None:
        """Three-character site: ICD-O topography if known, else ICD-10 (``C50``)."""
        code = self.topography or self.icd10
        return code[:3] if code else None

    def __repr__(self) -> str:
        """Hide the record: a traceback or a log line must not show a patient."""
        return "Case(<hidden>)"
