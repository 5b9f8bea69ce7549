"""The data dictionary: every variable with its code system and its place in the source formats.

``python -m upcare_mpc.records.dictionary`` prints the page ``docs/data-dictionary.md``. Variables,
codes and meanings come from ``records.variables``, groups and populations from their modules; what
is added here is where a value stands in oBDS 3 and in the ENCR-JRC incidence file.
"""

import sys
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Final

from upcare_mpc.records.ages import AGE_GROUPS, STANDARD_POPULATIONS, SURVIVAL_STANDARDS
from upcare_mpc.records.case import Case
from upcare_mpc.records.site_groups import SITE_GROUPS
from upcare_mpc.records.variables import VARIABLES, Code, Number, Variable

__all__ = ["ORIGINS", "Origin", "page"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a variable comes from.

    Attributes:
        system: Classification that its codes belong to; empty if it has its own codes.
        obds: Element of an oBDS 3 message; empty if it has none.
        encr: Column of the ENCR-JRC incidence file; empty if it has none.
    """

    system: str
    obds: str
    encr: str


_SYST: Final = "SYST/Therapieart "

ORIGINS: Final = {
    "site": Origin("ICD-O-3, else ICD-10", "", ""),
    "site_group": Origin("", "", ""),
    "icd10": Origin("ICD-10-GM, ICD-10-WHO", "Primaertumor_ICD", ""),
    "topography": Origin("ICD-O-3.x", "Primaertumor_Topographie_ICD_O", "Topo"),
    "morphology": Origin("ICD-O-3.x", "Histologie/Morphologie_ICD_O", "Morpho"),
    "behaviour": Origin("ICD-O-3.x", "Histologie/Morphologie_ICD_O", "Beh"),
    "sex": Origin("", "Geschlecht", "Sex"),
    "age": Origin("", "Geburtsdatum, Diagnosedatum", "Age"),
    "age_group": Origin("", "", ""),
    "diagnosis_year": Origin("", "Diagnosedatum", "YoI"),
    "diagnosis_month": Origin("", "Diagnosedatum", "MoI"),
    "diagnosis_precision": Origin("", "Diagnosedatum/@Datumsgenauigkeit", "MoI"),
    "stage": Origin("UICC, collapsed", "UICC_Stadium", "Stage"),
    "grade": Origin("", "Histologie/Grading", "Grade"),
    "t": Origin("TNM, collapsed", "pTNM, cTNM", "pT, cT"),
    "n": Origin("TNM, collapsed", "pTNM, cTNM", "pN, cN"),
    "m": Origin("TNM, collapsed", "pTNM, cTNM", "pM, cM"),
    "tnm_edition": Origin("TNM", "pTNM/Version, cTNM/Version", "TNM_ed"),
    "basis": Origin("ENCR", "Diagnosesicherung", "BoD"),
    "laterality": Origin("", "Seitenlokalisation", ""),
    "region": Origin("NUTS", "", "Geo_Code"),
    "nuts1": Origin("NUTS", "", ""),
    "nuts2": Origin("NUTS", "", ""),
    "sequence": Origin("", "", ""),
    "tx_surgery": Origin("OPS chapter 5", "OP", "Surgery"),
    "tx_radio": Origin("", "ST", "Rt"),
    "tx_chemo": Origin("", _SYST + "CH, CI, CZ, CIZ", "Cht"),
    "tx_targeted": Origin("", _SYST + "ZS, CZ, IZ, CIZ", "Tt"),
    "tx_immuno": Origin("", _SYST + "IM, CI, IZ, CIZ", "It"),
    "tx_hormone": Origin("", _SYST + "HO", "Ht"),
    "tx_transplant": Origin("", _SYST + "SZ", "SCT"),
    "vital_status": Origin("", "Tod", "Vit_stat"),
    "follow_up_days": Origin("", "Sterbedatum, latest date of any document", "Surv_time"),
    "recurrence_days": Origin("", "Verlauf", ""),
    "cause": Origin("ICD-10", "Todesursache_ICD", "CoD, where ICD is 10"),
    "cause_group": Origin("", "", ""),
    "death_by_tumour": Origin("", "Tod_tumorbedingt", ""),
}

_HEAD: Final = """# Data dictionary

Generated from `upcare_mpc/records` by `python -m upcare_mpc.records.dictionary`.

One record is one tumour of one patient, whatever format it arrived in. These are its variables,
and the names that a study may use; [the study language](study-language.md) says how. A value may
always be *unknown*: not stated, not usable, or not recorded by the registry. Unknown never means
"no".

Not in the model, so never stored: names, addresses, insurance and bank data, dates of birth, and
every date but year and month of diagnosis. A patient is a pseudonym that only the registry can
make again.

The last two columns say where a value stands in an oBDS 3 message and in the ENCR-JRC incidence
file; *derived* is worked out from other variables. ADT_GEKID 2 has the same elements under older
names.

## Variables

"""

_TREATMENTS: Final = """
A treatment is "no" only where the registry declares that it records all treatments of that kind
(`complete` in its party file), or where an ENCR file says so; else it is unknown.

## Site groups

ICD-10 decides where it is stated; else topography, morphology and behaviour lead to the same
groups (`upcare_mpc/records/site_groups.py`, which says how far its sources were checked).

"""

_POPULATIONS: Final = """
## Standard populations

Persons of 100,000 (`upcare_mpc/records/ages.py` names the sources).

"""

_SURVIVAL: Final = """
## Standards for survival

International Cancer Survival Standards, percent.

"""


def page() -> str:
    """Return the whole page as Markdown."""
    variables = [
        (
            f"`{variable.name}`",
            _values(variable),
            variable.meaning,
            ORIGINS[variable.name].system,
            *_places(variable.name),
        )
        for variable in VARIABLES.values()
    ]
    groups = [(f"`{name}`", SITE_GROUPS[name] or "C00-D48 otherwise") for name in SITE_GROUPS]
    names = tuple(STANDARD_POPULATIONS)
    persons = zip(AGE_GROUPS, *STANDARD_POPULATIONS.values(), strict=True)
    ages = tuple(next(iter(SURVIVAL_STANDARDS.values())))
    weights = [(name, *standard.values()) for name, standard in SURVIVAL_STANDARDS.items()]
    parts = (
        _HEAD,
        _table(("variable", "values", "meaning", "code system", "oBDS 3", "ENCR"), variables),
        _TREATMENTS,
        _table(("group", "ICD-10"), groups),
        _POPULATIONS,
        _table(("age", *names), persons),
        _SURVIVAL,
        _table(("standard", *ages), weights),
    )
    return "".join(parts)


def _values(variable: Variable) -> str:
    match variable.type:
        case Code(values) if values == tuple(SITE_GROUPS):
            return "[site groups](#site-groups)"
        case Code(values):
            return ", ".join(f"`{value}`" for value in values)
        case Number(low, high, unit):
            return f"{low} to {high} {unit}"
        case pattern:
            return f"codes like `{pattern.example}`"


def _places(name: str) -> tuple[str, str]:
    origin = ORIGINS[name]
    stored = name in {field.name for field in fields(Case)}
    if not stored or name == "sequence":
        return "derived", "derived"
    return origin.obds, origin.encr


def _table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join("| " + " | ".join(map(str, line)) + " |\n" for line in lines)


if __name__ == "__main__":
    sys.stdout.write(page())
