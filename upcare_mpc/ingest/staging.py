"""TNM categories and stage from one TNM classification of oBDS 3, oBDS-RKI or ADT_GEKID 2.

All carry the same fields; version 2 writes ``TNM_`` before each name and has no stage.
The standing of a category is its own prefix (a pathological TNM often has a clinical M), else the
one of its element. A classification after treatment (y) or at autopsy (a) is believed last; one
at recurrence (r) does not describe the tumour at diagnosis and is left out.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from upcare_mpc.ingest import codes
from upcare_mpc.ingest.message import Category, Standing

__all__ = ["STANDING", "Staging", "staging"]

# Which element states which standing; the bare TNM of an operation is pathological.
STANDING = {
    "cTNM": Standing.CLINICAL,
    "pTNM": Standing.PATHOLOGICAL,
    "TNM": Standing.PATHOLOGICAL,
}
_EDITIONS = frozenset("45678")
_PREFIXES = {"c": Standing.CLINICAL, "u": Standing.CLINICAL, "p": Standing.PATHOLOGICAL}
_FIELDS = (
    "T", "N", "M", "c_p_u_Praefix_T", "c_p_u_Praefix_N", "c_p_u_Praefix_M", "r_Symbol",
    "y_Symbol", "a_Symbol", "Version",
)  # fmt: skip
_PREFIXED = {prefix: tuple(prefix + field for field in _FIELDS) for prefix in ("", "TNM_")}
_CACHED = 65_536  # registries see some thousands; the bound is for hostile files


class Staging(NamedTuple):
    """What one TNM classification says, and the variables in which it states no code."""

    categories: tuple[Category, ...]
    no_codes: tuple[str, ...]


def staging(
    stated: Mapping[str, str | None], default_standing: Standing, *, prefix: str = ""
) -> Staging:
    """The usable categories of one TNM classification, and its edition if there are any.

    Args:
        stated: The texts of the classification by name.
        default_standing: The standing of a category without a prefix of its own.
        prefix: ``TNM_`` in version 2.
    """
    texts = map(stated.get, _PREFIXED[prefix])
    return _staging(default_standing, stated.get("UICC_Stadium"), *texts)


@lru_cache(_CACHED)
def _staging(default_standing: Standing, stage: str | None, *texts: str | None) -> Staging:
    t, n, m, *own, recurrence, after_treatment, autopsy, edition = (
        text.strip() if text else "" for text in texts
    )
    if recurrence:
        return Staging((), ())
    late = after_treatment or autopsy
    found: list[Category] = []
    no_codes: list[str] = []
    for component, text, letter in (
        ("t", t, own[0]),
        ("n", n, own[1]),
        ("m", m, own[2]),
        ("stage", stage, ""),
    ):
        value, odd = codes.german(component, text)
        if odd:
            no_codes.append(component)
        if value is not None:
            standing = _PREFIXES.get(letter, default_standing)
            found.append(Category(component, Standing.AFTER_TREATMENT if late else standing, value))
    if found and edition in _EDITIONS:
        best = min(category.standing for category in found)
        found.append(Category("edition", best, edition))
    return Staging(tuple(found), tuple(no_codes))
