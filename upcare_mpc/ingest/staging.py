"""TNM categories and stage from one TNM classification of oBDS 3, oBDS-RKI or ADT_GEKID 2.

All carry the same fields; version 2 writes ``TNM_`` before each name and has no stage.
The standing of a category is its own prefix (a pathological TNM often has a clinical M), else the
one of its element. A classification after treatment (y) or at autopsy (a) is believed last; one
at recurrence (r) does not describe the tumour at diagnosis and is left out.
"""

from collections.abc import Mapping

from upcare_mpc.ingest import codes
from upcare_mpc.ingest.message import Category, Standing

__all__ = ["STANDING", "categories"]

# Which element states which standing; the bare TNM of an operation is pathological.
STANDING = {
    "cTNM": Standing.CLINICAL,
    "pTNM": Standing.PATHOLOGICAL,
    "TNM": Standing.PATHOLOGICAL,
}
_EDITIONS = frozenset("45678")
_LETTERS = (("t", "T"), ("n", "N"), ("m", "M"))
_PREFIXES = {"c": Standing.CLINICAL, "u": Standing.CLINICAL, "p": Standing.PATHOLOGICAL}


def categories(
    stated: Mapping[str, str], default_standing: Standing, *, prefix: str = ""
) -> list[Category]:
    """The usable categories of one TNM classification, and its edition if there are any.

    Args:
        stated: The fields of the classification by name.
        default_standing: The standing of a category without a prefix of its own.
        prefix: ``TNM_`` in version 2.
    """
    if stated.get(f"{prefix}r_Symbol"):
        return []
    late = stated.get(f"{prefix}y_Symbol") or stated.get(f"{prefix}a_Symbol")
    found = []
    for component, letter in _LETTERS:
        value = codes.category(component, stated.get(prefix + letter))
        if value is not None:
            own = _PREFIXES.get(stated.get(f"{prefix}c_p_u_Praefix_{letter}", ""), default_standing)
            found.append(Category(component, Standing.AFTER_TREATMENT if late else own, value))
    stage = codes.stage(stated.get("UICC_Stadium"))
    if stage is not None:
        standing = Standing.AFTER_TREATMENT if late else default_standing
        found.append(Category("stage", standing, stage))
    edition = stated.get(f"{prefix}Version")
    if found and edition in _EDITIONS:
        best = min(category.standing for category in found)
        found.append(Category("edition", best, edition))
    return found
