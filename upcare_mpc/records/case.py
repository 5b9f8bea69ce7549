"""The common record: one tumour of one patient, whatever format it arrived in.

``None`` always means *unknown*: not stated, not usable, or not recorded by this registry. It
never means "no". Dates of birth, names, addresses and insurance numbers are not part of the
model; readers drop them while parsing.

A record never leaves the registry. Identifiers are local to it and are only used to count a
patient once.
"""

from dataclasses import dataclass, fields
from operator import attrgetter
from types import NoneType

from upcare_mpc.records import derived
from upcare_mpc.records.ages import age_group
from upcare_mpc.records.site_groups import site_group

__all__ = ["Case", "well_formed"]


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
        diagnosis_precision: How much of the date of diagnosis the source states: ``day``,
            ``month``, ``year``, or ``estimated`` as a whole.
        icd10: ICD-10 code, upper case, with dot (``C50.9``).
        topography: ICD-O-3 topography, upper case, with dot (``C50.9``).
        morphology: ICD-O-3 morphology, four digits (``8500``).
        behaviour: ICD-O-3 behaviour, ``0``-``3``.
        grade: ``1``-``4``.
        stage: UICC stage collapsed to ``0``-``4``.
        t, n, m: TNM category without prefix, first digit only (``1``), or ``is``.
        tnm_edition: Edition of the TNM classification, ``4``-``8``.
        basis: Basis of diagnosis, ``0``-``8``.
        laterality: ``left``, ``right``, ``both``, ``median``, ``none``.
        region: NUTS code of residence.
        tx_surgery, tx_radio, tx_chemo, tx_targeted, tx_immuno, tx_hormone, tx_transplant:
            ``yes`` or ``no`` within 12 months of diagnosis. ``no`` only where the registry
            declares that its records of that kind of treatment are complete.
        vital_status: ``alive`` or ``dead`` at the end of follow-up.
        follow_up_days: Days from diagnosis to death or last contact.
        recurrence_days: Days from diagnosis to the first recurrence that was reported.
        cause: Underlying cause of death, ICD-10, upper case, with dot. Only of the dead.
        death_by_tumour: ``yes`` or ``no``, as the source judges. Only of the dead.
    """

    patient_id: str
    tumour_id: str
    sequence: int
    sex: str | None = None
    age: int | None = None
    diagnosis_year: int | None = None
    diagnosis_month: int | None = None
    diagnosis_precision: str | None = None
    icd10: str | None = None
    topography: str | None = None
    morphology: str | None = None
    behaviour: str | None = None
    grade: str | None = None
    stage: str | None = None
    t: str | None = None
    n: str | None = None
    m: str | None = None
    tnm_edition: str | None = None
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
    recurrence_days: int | None = None
    cause: str | None = None
    death_by_tumour: str | None = None

    @property
    def site(self) -> str | None:
        """Derived, as the others below: see ``records.derived``."""
        return derived.site(self.topography, self.icd10)

    @property
    def site_group(self) -> str | None:
        """Site group."""
        return site_group(self.icd10, self.topography, self.morphology, self.behaviour)

    @property
    def age_group(self) -> str | None:
        """Five years of age."""
        return age_group(self.age)

    @property
    def nuts1(self) -> str | None:
        """NUTS 1 region."""
        return derived.nuts1(self.region)

    @property
    def nuts2(self) -> str | None:
        """NUTS 2 region."""
        return derived.nuts2(self.region)

    @property
    def cause_group(self) -> str | None:
        """Whether the patient died of cancer."""
        return derived.cause_group(self.death_by_tumour, self.cause)

    def __repr__(self) -> str:
        """Hide the record: a traceback or a log line must not show a patient."""
        return "Case(<hidden>)"


_IDENTIFIERS = ("patient_id", "tumour_id")
_integers = attrgetter(*(f.name for f in fields(Case) if f.type in (int, int | None)))
_codes = attrgetter(*(f.name for f in fields(Case) if f.type == str | None))
_identifiers = attrgetter(*_IDENTIFIERS)
_INTEGER_OR_UNKNOWN = frozenset({int, NoneType})
_CODE_OR_UNKNOWN = frozenset({str, NoneType})
_LARGEST = 2**31 - 1


def well_formed(case: Case) -> bool:
    """Say whether every value has the type of its variable, so that a study can be evaluated.

    Integers have at most 32 bits, codes are ASCII, identifiers are text that UTF-8 can hold and
    sequence is known. Whether a code belongs to its variable is not asked: a code that no study
    can name is in nobody's cell. A record that is not well formed takes part in nothing.
    """
    integers = _integers(case)
    codes = _codes(case)
    if type(case.sequence) is not int or not _INTEGER_OR_UNKNOWN.issuperset(map(type, integers)):
        return False
    if any(value is not None and abs(value) > _LARGEST for value in integers):
        return False
    if not _CODE_OR_UNKNOWN.issuperset(map(type, codes)):
        return False
    if not "".join(filter(None, codes)).isascii():
        return False
    return all(type(text) is str and _encodable(text) for text in _identifiers(case))


def _encodable(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)
