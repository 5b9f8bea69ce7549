"""TNM categories and stage from one TNM element of oBDS 3 or ADT_GEKID 2.

Both versions carry the same fields; version 2 writes ``TNM_`` before each name and has no stage.
The standing of a category is its own prefix (a pathological TNM often has a clinical M), else the
one of its element. A classification after treatment (y) or at autopsy (a) is believed last; one
at recurrence (r) does not describe the tumour at diagnosis and is left out.
"""

from upcare_mpc.ingest import codes
from upcare_mpc.ingest.elements import Element, fields, text
from upcare_mpc.ingest.message import Category, Standing

__all__ = ["STANDING", "categories"]

# Which element states which standing; the bare TNM of an operation is pathological.
STANDING = {
    "cTNM": Standing.CLINICAL,
    "pTNM": Standing.PATHOLOGICAL,
    "TNM": Standing.PATHOLOGICAL,
}
_PREFIXES = {"c": Standing.CLINICAL, "u": Standing.CLINICAL, "p": Standing.PATHOLOGICAL}


def categories(tnm: Element, element_standing: Standing, *, prefix: str = "") -> list[Category]:
    """The usable categories of one TNM element; ``prefix`` is ``TNM_`` in version 2."""
    stated = fields(tnm)
    if text(stated.get(f"{prefix}r_Symbol")):
        return []
    late = text(stated.get(f"{prefix}y_Symbol")) or text(stated.get(f"{prefix}a_Symbol"))
    found = []
    for component in ("t", "n", "m"):
        letter = component.upper()
        value = codes.category(component, text(stated.get(f"{prefix}{letter}")))
        if value is not None:
            own = text(stated.get(f"{prefix}c_p_u_Praefix_{letter}"))
            standing = _PREFIXES.get(own or "", element_standing)
            found.append(Category(component, Standing.AFTER_TREATMENT if late else standing, value))
    stage = codes.stage(text(stated.get("UICC_Stadium")))
    if stage is not None:
        found.append(
            Category("stage", Standing.AFTER_TREATMENT if late else element_standing, stage)
        )
    return found
