"""Site groups: the cancers that reports count together, from ICD-10 or from ICD-O-3.

A German message states ICD-10 and may lack ICD-O; an ENCR file states ICD-O and no ICD-10. Both
lead to the same group here: ICD-10 decides where it is stated, else topography, morphology and
behaviour do. Every malignant, in situ, benign or uncertain tumour that no group names is ``other``.

Sources: the groups are those of the common data model, whose ICD-10 blocks follow the chapters of
the German and French reports (all cancers are C00-C97, as a rule without C44). The morphologies of
haematological tumours, mesothelioma, Kaposi sarcoma and melanoma are the ICD-O-3 blocks. Both were
written without the manuals at hand, so a registry should compare ``tests/records`` with its own
tables before it relies on a rare group.

Limits: benign and uncertain tumours of the brain (D32-D33, D42-D43) are ``other``; of the bladder,
in situ and uncertain ones belong to it (D09.0, D41.4).
"""

import re
from typing import Final

__all__ = [
    "GROUP_OF_CODE",
    "IN_SITU",
    "MELANOMA",
    "MORPHOLOGIES",
    "NEEDS_MORPHOLOGY",
    "OTHER",
    "SITE_GROUPS",
    "TUMOUR",
    "site_group",
]

SITE_GROUPS: Final = {
    "oral_pharynx": "C00-C14",
    "oesophagus": "C15",
    "stomach": "C16",
    "small_intestine": "C17",
    "colorectum": "C18-C21",
    "liver": "C22",
    "gallbladder_biliary": "C23-C24",
    "pancreas": "C25",
    "larynx": "C32",
    "lung": "C33-C34",
    "melanoma": "C43",
    "skin_nonmelanoma": "C44",
    "mesothelioma": "C45",
    "kaposi": "C46",
    "soft_tissue": "C47 C49",
    "breast": "C50",
    "breast_in_situ": "D05",
    "vulva_vagina": "C51-C52",
    "cervix": "C53",
    "cervix_in_situ": "D06",
    "corpus": "C54-C55",
    "ovary": "C56",
    "prostate": "C61",
    "testis": "C62",
    "kidney": "C64-C66 C68",
    "bladder": "C67 D09.0 D41.4",
    "brain_cns": "C70-C72",
    "thyroid": "C73",
    "hodgkin": "C81",
    "nhl": "C82-C88 C96",
    "myeloma": "C90",
    "leukaemia": "C91-C95",
    "mds_mpn": "D45-D47",
    "unknown_primary": "C26 C39 C76-C80",
    "other": "",
}
"""The ICD-10 codes of each group; ``other`` has all of C00-D48 that no other group names."""

OTHER: Final = "other"

# Morphologies that decide whatever the topography is; the first block that holds one counts.
MORPHOLOGIES: Final = (
    ("mesothelioma", 9050, 9055),
    ("kaposi", 9140, 9140),
    ("nhl", 9590, 9597),
    ("hodgkin", 9650, 9667),
    ("nhl", 9670, 9729),
    ("myeloma", 9731, 9734),
    ("nhl", 9735, 9738),
    ("nhl", 9741, 9741),  # malignant mast-cell tumours; 9740 and 9742 follow
    ("mds_mpn", 9740, 9740),
    ("leukaemia", 9742, 9742),
    ("nhl", 9750, 9769),
    ("leukaemia", 9800, 9948),
    ("mds_mpn", 9950, 9992),
)
MELANOMA: Final = range(8720, 8791)
NEEDS_MORPHOLOGY: Final = frozenset({"C42", "C44", "C77"})
IN_SITU: Final = {"C50": "breast_in_situ", "C53": "cervix_in_situ", "C67": "bladder"}
_MALIGNANT, _SITU, _UNCERTAIN = "3", "2", "1"
TUMOUR = re.compile(r"C[0-9]{2}|D[0-3][0-9]|D4[0-8]")


def site_group(
    icd10: str | None, topography: str | None, morphology: str | None, behaviour: str | None
) -> str | None:
    """Return the group of a tumour, or ``None`` if its codes do not tell.

    Args:
        icd10: ICD-10, ``C50.9`` or ``C50``; decides alone where it is stated.
        topography: ICD-O-3, ``C50.9``.
        morphology: ICD-O-3, ``8500``.
        behaviour: ICD-O-3, ``3``.
    """
    if icd10 is not None:
        return _of_icd10(icd10)
    if topography is None or behaviour is None:
        return None
    return _of_icd_o(topography[:3], morphology, behaviour)


def _of_icd10(code: str) -> str | None:
    if not TUMOUR.match(code):
        return None
    return GROUP_OF_CODE.get(code) or GROUP_OF_CODE.get(code[:3], OTHER)


def _of_icd_o(site: str, morphology: str | None, behaviour: str) -> str | None:
    number = int(morphology) if morphology is not None and morphology.isdecimal() else None
    if number is None and site in NEEDS_MORPHOLOGY:
        return None
    if number is not None and behaviour in {_MALIGNANT, _UNCERTAIN}:
        for group, first, last in MORPHOLOGIES:
            if first <= number <= last:
                return group
    if behaviour == _SITU:
        return IN_SITU.get(site, OTHER)
    if behaviour == _UNCERTAIN and site == "C67":
        return "bladder"
    if behaviour != _MALIGNANT:
        return OTHER
    if site == "C44":
        return "melanoma" if number in MELANOMA else "skin_nonmelanoma"
    return GROUP_OF_CODE.get(site, OTHER)


def _blocks() -> dict[str, str]:
    """Spell out the blocks: ``C18-C21`` is C18, C19, C20 and C21."""
    groups: dict[str, str] = {}
    for group, blocks in SITE_GROUPS.items():
        for block in blocks.split():
            first, _, last = block.partition("-")
            if last:
                for number in range(int(first[1:]), int(last[1:]) + 1):
                    groups[f"{first[0]}{number:02}"] = group
            else:
                groups[first] = group
    return groups


GROUP_OF_CODE: Final = _blocks()
