"""Codes of the source formats -> codes of the common record (`records.variables`).

Every function takes the text as delivered and returns a code of the common record, or ``None``
for anything that is missing, unknown or not a code. None of them raises: one unusable value makes
one variable of one patient unknown, no more.

Sources: the allowed values in the schemas of oBDS 3.0.4 and ADT_GEKID 2.2.3 and of the ENCR-JRC
incidence file. The derivation of an ICD-O topography from ICD-10 is ours, written without the
ICD-O-3 manual at hand: C codes of solid tumours are taken over, but for the exceptions below.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

from upcare_mpc.records.variables import VARIABLES, Number

__all__ = [
    "basis",
    "behaviour_from_icd10",
    "category",
    "german",
    "german_therapies",
    "grade",
    "icd10",
    "morphology",
    "number",
    "only_cause",
    "recurs",
    "stage",
    "topography",
    "topography_from_icd10",
    "treats",
]

_THERAPIES = {
    "CH": ("chemo",),
    "HO": ("hormone",),
    "IM": ("immuno",),
    "ZS": ("targeted",),
    "CI": ("chemo", "immuno"),
    "CZ": ("chemo", "targeted"),
    "CIZ": ("chemo", "immuno", "targeted"),
    "IZ": ("immuno", "targeted"),
    "SZ": ("transplant",),
    "KM": ("transplant",),  # version 2
}
_SURGICAL_INTENTIONS = {None, "K", "P", "X"}
_SURGICAL_CHAPTER = "5-"
_PARTS_OF_A_COURSE = (
    "Verlauf_Lokaler_Tumorstatus",
    "Verlauf_Tumorstatus_Lymphknoten",
    "Verlauf_Tumorstatus_Fernmetastasen",
)
_CACHED = 8192  # the codes of a classification come again and again; the bound is for hostile files

_GRADE = {code: code for code in "1234"}
_BASIS = {code: code for code in "01245678"} | {"7.1": "7", "7.2": "6", "7.3": "7"}
_NUMBER = re.compile(r"[0-9]{1,9}")
_ICD10 = re.compile(r"([A-Z][0-9]{2})(?:\.?([0-9]{1,2}))?")
_TOPOGRAPHY = re.compile(r"(C[0-9]{2})(?:\.?([0-9])[0-9]?)?")
_MORPHOLOGY = re.compile(r"([0-9]{4})(?:/([0-9]))?")
_BEHAVIOUR = {"0": "0", "1": "1", "2": "2", "3": "3", "6": "3"}
_STAGE = re.compile(r"(0|IV|I{1,3}|[1-4])(?:(?:[A-E]|IS|S)[0-9]?)?", re.IGNORECASE)
_ROMAN = {"I": "1", "II": "2", "III": "3", "IV": "4"}
_CATEGORY = {
    "t": re.compile(r"[cpuyra]*T?(is|[0-4])(?![0-9])"),
    "n": re.compile(r"[cpuyra]*N?([0-3])(?![0-9])"),
    "m": re.compile(r"[cpuyra]*M?([01])(?![0-9])"),
}

# ICD-10 sites whose tumours ICD-O codes elsewhere, by their own or by several sites, or not at all:
# mesothelioma, Kaposi sarcoma, secondary and multiple tumours. C81-C96 are haematological.
_NO_SHARED_SITE = {"C45", "C46", "C77", "C78", "C79"}
_LAST_SOLID_SITE = 80


def number(variable: str, text: str | None) -> int | None:
    """Read a whole number in the range of a variable of the record."""
    allowed = VARIABLES[variable].type
    if text is None or not _NUMBER.fullmatch(text) or not isinstance(allowed, Number):
        return None
    value = int(text)
    return value if allowed.accepts(value) else None


@lru_cache(_CACHED)
def icd10(text: str | None) -> str | None:
    """Normalise an ICD-10 code: ``c509`` and ``C50.9`` are ``C50.9``."""
    matched = _ICD10.fullmatch(text.strip().upper()) if text else None
    if matched is None:
        return None
    return f"{matched[1]}.{matched[2]}" if matched[2] else matched[1]


@lru_cache(_CACHED)
def topography(text: str | None) -> str | None:
    """Normalise an ICD-O topography; a site without subsite is ``.9`` (not otherwise specified)."""
    matched = _TOPOGRAPHY.fullmatch(text.strip().upper()) if text else None
    return f"{matched[1]}.{matched[2] or '9'}" if matched else None


@lru_cache(_CACHED)
def topography_from_icd10(code: str | None) -> str | None:
    """Derive the topography of a solid malignant tumour from its ICD-10 code."""
    if code is None or not code.startswith("C"):
        return None
    site, _, subsite = code.partition(".")
    if site in _NO_SHARED_SITE or int(site[1:]) > _LAST_SOLID_SITE:
        return None
    if site == "C43":  # melanoma of the skin: the same subsites under skin
        site = "C44"
    elif site == "C22":  # ICD-O knows the liver and its bile ducts, ICD-10 also the type of tumour
        subsite = "1" if subsite == "1" else "0"
    elif site == "C80":
        subsite = "9"
    elif code == "C26.1":  # spleen
        site, subsite = "C42", "2"
    return topography(f"{site}.{subsite or '9'}")


@lru_cache(_CACHED)
def morphology(text: str | None) -> tuple[str | None, str | None]:
    """Split ``8500/3`` into morphology and behaviour; either may be unknown.

    Behaviour 6 (metastatic site) is a malignant tumour, 3, of the primary.
    """
    matched = _MORPHOLOGY.fullmatch(text.strip()) if text else None
    if matched is None:
        return None, None
    return matched[1], _BEHAVIOUR.get(matched[2] or "")


def behaviour_from_icd10(code: str | None) -> str | None:
    """Derive the behaviour from the chapter: C is malignant, D00-D09 in situ."""
    if code is None:
        return None
    if code.startswith("C"):
        return "3"
    return "2" if code.startswith("D0") else None


def grade(text: str | None) -> str | None:
    """Keep grades 1-4; low, high, borderline and immunophenotype codes are unknown."""
    return _GRADE.get(text.strip()) if text else None


def basis(text: str | None) -> str | None:
    """Keep the basis of diagnosis 0-8; the finer 7.1 and 7.3 are 7, 7.2 (metastasis) is 6."""
    return _BASIS.get(text.strip()) if text else None


@lru_cache(_CACHED)
def stage(text: str | None) -> str | None:
    """Collapse a UICC stage, Roman or Arabic, to 0-4: ``IIIC1`` is ``3``, ``0is`` is ``0``."""
    matched = _STAGE.fullmatch(text.strip()) if text else None
    return _ROMAN.get(matched[1].upper(), matched[1]) if matched else None


@lru_cache(_CACHED)
def category(component: str, text: str | None) -> str | None:
    """Collapse a T, N or M category to its first digit, or ``is``: ``1mi`` is ``1``."""
    matched = _CATEGORY[component].match(text.strip()) if text else None
    return matched[1] if matched else None


def treats(intention: str | None, procedures: Iterable[str]) -> bool:
    """Say whether an operation treats: no other intention, and if it has OPS codes, chapter 5."""
    listed = list(procedures)
    return intention in _SURGICAL_INTENTIONS and (
        not listed or any(code.startswith(_SURGICAL_CHAPTER) for code in listed)
    )


def recurs(course: Mapping[str, str]) -> bool:
    """Say whether a course, given as its fields by name, is a recurrence.

    It is one overall (Y), or of the tumour, its nodes or its metastases (R). Progression (P) of a
    tumour that was never gone is not. Version 2 has no overall code for a recurrence.
    """
    return course.get("Gesamtbeurteilung_Tumorstatus") == "Y" or any(
        course.get(part) == "R" for part in _PARTS_OF_A_COURSE
    )


def only_cause(stated: Iterable[str | None]) -> str | None:
    """The cause of death, if the codes agree; of several, none is marked as the underlying one."""
    found = {icd10(code) for code in stated} - {None}
    return found.pop() if len(found) == 1 else None


# How each variable of oBDS 3, oBDS-RKI and ADT_GEKID 2 is translated, and which of its codes say
# that the value is not known, does not apply or has no place in the record.
_U, _NEVER = re.compile("U"), re.compile(r"(?!)")
_GERMAN: Mapping[str, tuple[Callable[[str], str | None], re.Pattern[str]]] = {
    "sex": (
        {"W": "female", "M": "male", "D": "other", "X": "other", "S": "other"}.get,
        _U,
    ),
    "laterality": (
        {"L": "left", "R": "right", "B": "both", "M": "median", "T": "none"}.get,
        _U,
    ),
    "death_by_tumour": ({"J": "yes", "N": "no"}.get, _U),
    "icd10": (icd10, _NEVER),
    "cause": (icd10, _NEVER),
    "topography": (topography, _NEVER),
    "morphology": (lambda text: morphology(text)[0], _NEVER),
    "basis": (basis, re.compile("9")),
    "grade": (grade, re.compile("[0XLMHBUT]")),
    "stage": (stage, re.compile("okk|X")),
    "t": (lambda text: category("t", text), re.compile("[cpuyra]*T?(X|a|mic).*")),
    "n": (lambda text: category("n", text), re.compile("[cpuyra]*N?X.*")),
    "m": (lambda text: category("m", text), re.compile("[cpuyra]*M?X.*")),
}
_OTHER_THERAPIES = {"AS", "WS", "WW", "SO"}


@lru_cache(_CACHED)
def german(variable: str, text: str | None) -> tuple[str | None, bool]:
    """Translate a value of a German format; say whether it was given and is no code at all."""
    stated = text.strip() if text else ""
    if not stated:
        return None, False
    translate, unknown = _GERMAN[variable]
    value = translate(stated)
    return value, value is None and not unknown.fullmatch(stated)


@lru_cache(_CACHED)
def german_therapies(text: str | None) -> tuple[tuple[str, ...], bool]:
    """Kinds of therapy (``tx_*`` without prefix) in one code of ``Therapieart``, as `german`.

    Version 3 has one code for a combination, version 2 one for each of its parts.
    """
    stated = text.strip() if text else ""
    kinds = _THERAPIES.get(stated, ())
    return kinds, bool(stated and not kinds and stated not in _OTHER_THERAPIES)
