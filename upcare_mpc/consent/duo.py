"""GA4GH Data Use Ontology: which codes there are, and which purposes a permission covers.

A patient's consent is tagged with one *permission* and any number of *modifiers*; a study with one
or more *purposes*. All are written ``DUO:`` and seven digits. Codes and meanings are those of the
release 2021-02-23 (EBISPOT/DUO, duo.csv and duo.owl, CC BY 4.0).

A study is tagged at its most specific level, and a permission covers what is below it:

    disease specific (DS) < health, medical, biomedical (HMB) < any research (GRU) < anything (NRES)
    population origins or ancestry (POA)                      < any research (GRU) < anything (NRES)

So a lung cancer study may use data given for cancer, and a cancer study may not use data given for
lung cancer. The ontology files NPU and NCU under NPUNCU, the strictest of the three, so is-a says
nothing about modifiers: ``gate`` evaluates each by itself.

Where the ontology leaves it open, the narrower reading is taken here. A purpose that says how and
not what for (age, sex, controls, genetics) is covered by HMB, DS or POA only beside one that says
what for. Methods development and population research alone are covered by GRU and NRES only.
"""

import re
from collections.abc import Set as AbstractSet
from typing import Final

__all__ = [
    "ANCESTRY",
    "CC",
    "COL",
    "DS",
    "GENETIC",
    "GRU",
    "GS",
    "GSO",
    "HMB",
    "IRB",
    "METHODS",
    "MOR",
    "NCU",
    "NMDS",
    "NPOA",
    "NPU",
    "NPUNCU",
    "NRES",
    "OBLIGATIONS",
    "PERMISSIONS",
    "POA",
    "PUB",
    "PURPOSES",
    "RTN",
    "TS",
    "covering",
    "is_code",
    "known_purposes",
]

# Permissions.
NRES: Final = "DUO:0000004"
HMB: Final = "DUO:0000006"
DS: Final = "DUO:0000007"
POA: Final = "DUO:0000011"
GRU: Final = "DUO:0000042"

PERMISSIONS: Final = {NRES: "nres", GRU: "gru", HMB: "hmb", DS: "ds", POA: "poa"}
"""The permissions with their short names."""

# Modifiers that are evaluated; every other one is a limit nobody here can check.
NMDS: Final = "DUO:0000015"  # no methods development
GSO: Final = "DUO:0000016"  # genetic studies only
NPUNCU: Final = "DUO:0000018"  # not-for-profit organisation and non-commercial use
GS: Final = "DUO:0000022"  # only within some countries
TS: Final = "DUO:0000025"  # only until some day
CC: Final = "DUO:0000043"  # clinical care too: permits what is never asked for here
NPOA: Final = "DUO:0000044"  # no population, origins or ancestry research
NPU: Final = "DUO:0000045"  # not-for-profit organisation
NCU: Final = "DUO:0000046"  # non-commercial use

# Modifiers that ask for a document or a promise.
PUB: Final = "DUO:0000019"  # publication of results
COL: Final = "DUO:0000020"  # collaboration
IRB: Final = "DUO:0000021"  # ethics approval
MOR: Final = "DUO:0000024"  # no publication before some day
RTN: Final = "DUO:0000029"  # return of derived data

OBLIGATIONS: Final = {PUB: "pub", COL: "col", IRB: "irb", MOR: "mor", RTN: "rtn"}
"""The modifiers that ask for a document or a promise, with their short names."""

METHODS: Final = "DUO:0000031"
GENETIC: Final = "DUO:0000038"
ANCESTRY: Final = frozenset({POA, "DUO:0000032", "DUO:0000033"})  # what NPOA prohibits

_OF_A_DISEASE: Final = frozenset({DS, "DUO:0000040"})
_OF_HEALTH: Final = _OF_A_DISEASE | {HMB, "DUO:0000037", "DUO:0000039"}
_OF_ORIGINS: Final = frozenset({POA, "DUO:0000033"})
_HOW: Final = frozenset({"DUO:0000034", "DUO:0000035", "DUO:0000036", GENETIC})

PURPOSES: Final = _OF_HEALTH | ANCESTRY | _HOW | {GRU, NRES, METHODS}
"""Every purpose that a study may state; any other covers nothing and is covered by nothing."""


def is_code(text: str) -> bool:
    """Say whether a text has the form of a code, known or not."""
    return re.fullmatch(r"DUO:[0-9]{7}", text, re.ASCII) is not None


def known_purposes(purposes: AbstractSet[str]) -> bool:
    """Say whether there is a purpose, and all of them are known."""
    return bool(purposes) and purposes <= PURPOSES


def covering(purposes: AbstractSet[str]) -> frozenset[str]:
    """Return the permissions that cover all purposes of a study; DS for the right disease only."""
    if not known_purposes(purposes):
        return frozenset()
    covers = {NRES}
    if NRES not in purposes:
        covers.add(GRU)
    if purposes & _OF_HEALTH and purposes <= _OF_HEALTH | _HOW:
        covers.add(HMB)
        if purposes & _OF_A_DISEASE:
            covers.add(DS)
    if purposes & _OF_ORIGINS and purposes <= ANCESTRY | _HOW:
        covers.add(POA)
    return frozenset(covers)
