"""Consents and uses for the tests: one plain example of each, and every other by Hypothesis."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from hypothesis import strategies as st

from upcare_mpc.consent import duo
from upcare_mpc.consent.diseases import NEOPLASMS, categories
from upcare_mpc.consent.gate import Reason
from upcare_mpc.consent.model import Activity, Answer, Consent, Giver, Terms
from upcare_mpc.consent.use import NON_COMMERCIAL, NOT_FOR_PROFIT, Use

PATIENT = bytes(range(16))
TODAY = date(2026, 11, 22)
FORM = "urn:upcare:form:page-1-de"
UNKNOWN = "DUO:0000099"
CLAIMS = frozenset({NOT_FOR_PROFIT, NON_COMMERCIAL})
EVIDENCE = frozenset(duo.OBLIGATIONS)
EVALUATED = [duo.NMDS, duo.GSO, duo.NPUNCU, duo.GS, duo.TS, duo.CC, duo.NPOA, duo.NPU, duo.NCU]
UNDECIDABLE = ["DUO:0000012", "DUO:0000026", "DUO:0000027", "DUO:0000028", UNKNOWN]


def terms(**changes: Any) -> Terms:
    return Terms(**{"permission": duo.HMB, "first_day": date(2026, 1, 1), **changes})


def permission(**changes: Any) -> Consent:
    """A permission of version 1 for opening records; ``terms`` may be given, or parts of them."""
    names = {"permission", "limits", "diseases", "regions", "first_day", "last_day"}
    parts = {name: changes.pop(name) for name in names & changes.keys()}
    return Consent(
        **{
            "patient": PATIENT,
            "data_set": "de-a",
            "activity": Activity.RECORDS,
            "version": 1,
            "answer": Answer.PERMITTED,
            "terms": terms(**parts),
            "given": date(2025, 12, 24),
            "form": FORM,
            **changes,
        }
    )


def no(answer: Answer = Answer.WITHDRAWN, **changes: Any) -> Consent:
    return permission(answer=answer, terms=None, **changes)


def by_guardian(majority: date, **changes: Any) -> Consent:
    return permission(giver=Giver.GUARDIAN, majority=majority, **changes)


def use(**changes: Any) -> Use:
    """A biomedical project that nobody certifies anything of."""
    return Use(
        **{
            "activity": Activity.RECORDS,
            "data_set": "de-a",
            "purposes": frozenset({"DUO:0000037"}),
            **changes,
        }
    )


def limited(limit: str) -> Consent:
    """General research use with one limit, and what that limit demands."""
    return permission(
        permission=duo.GRU,
        limits=frozenset({limit}),
        regions=frozenset({"DE", "FR"}) if limit == duo.GS else None,
        last_day=date(2026, 11, 30) if limit == duo.TS else None,
    )


METHODS = {"purposes": frozenset({duo.GRU, duo.METHODS})}
ORIGINS = {"purposes": frozenset({duo.GRU, "DUO:0000033"})}
GENES = {"purposes": frozenset({"DUO:0000037", duo.GENETIC})}
NPU = {"claims": frozenset({NOT_FOR_PROFIT})}
NCU = {"claims": frozenset({NON_COMMERCIAL})}

LIMITS: list[tuple[str, dict[str, Any], Reason]] = [
    # the limit, a use, and what becomes of it
    (duo.NMDS, METHODS, Reason.METHODS),
    (duo.NMDS, {}, Reason.CONSENTED),
    (duo.NPOA, ORIGINS, Reason.ANCESTRY),
    (duo.NPOA, {"purposes": frozenset({duo.GRU, "DUO:0000032"})}, Reason.ANCESTRY),
    (duo.NPOA, METHODS, Reason.CONSENTED),
    (duo.GSO, {}, Reason.GENETIC),
    (duo.GSO, GENES, Reason.CONSENTED),
    (duo.NPU, {}, Reason.ORGANISATION),
    (duo.NPU, NCU, Reason.ORGANISATION),
    (duo.NPU, NPU, Reason.CONSENTED),
    (duo.NCU, {}, Reason.COMMERCIAL),
    (duo.NCU, NPU, Reason.COMMERCIAL),
    (duo.NCU, NCU, Reason.CONSENTED),
    (duo.NPUNCU, {}, Reason.ORGANISATION),
    (duo.NPUNCU, NPU, Reason.COMMERCIAL),
    (duo.NPUNCU, NCU, Reason.ORGANISATION),
    (duo.NPUNCU, {"claims": frozenset({NOT_FOR_PROFIT, NON_COMMERCIAL})}, Reason.CONSENTED),
    (duo.GS, {}, Reason.REGION),
    (duo.GS, {"region": "US"}, Reason.REGION),
    (duo.GS, {"region": "DE"}, Reason.CONSENTED),
    (duo.TS, {}, Reason.CONSENTED),
    (duo.CC, {}, Reason.CONSENTED),
    *((code, {}, Reason.EVIDENCE) for code in duo.OBLIGATIONS),
    *((code, {"evidence": frozenset({code})}, Reason.CONSENTED) for code in duo.OBLIGATIONS),
    *((code, {}, Reason.UNKNOWN_LIMIT) for code in UNDECIDABLE),
]

DAYS = st.integers(-800, 800).map(lambda days: TODAY + timedelta(days=days))
DISEASES = st.lists(
    st.sampled_from(["C50", "C33", "C34", "C18-C21", "C81-C96", "D05", "C00-C97", "C00-D48"]),
    min_size=1,
    max_size=3,
).map(categories)
REGIONS = st.frozensets(st.sampled_from(["DE", "FR", "AT", "US"]), min_size=1)


@st.composite
def any_terms(draw: st.DrawFn) -> Terms:
    permission = draw(st.sampled_from([duo.HMB, duo.DS, duo.DS, duo.GRU, *duo.PERMISSIONS]))
    codes = EVALUATED + list(duo.OBLIGATIONS)
    limits = draw(st.just(frozenset()) | st.frozensets(st.sampled_from(codes), max_size=3))
    if draw(st.integers(0, 9)) == 0:
        limits |= {draw(st.sampled_from(UNDECIDABLE))}
    first_day = draw(DAYS)
    length = draw(st.none() | st.integers(0, 900))
    if length is None and duo.TS in limits:
        length = 400
    return Terms(
        permission=permission,
        limits=limits,
        diseases=draw(DISEASES) if permission == duo.DS else None,
        regions=draw(REGIONS) if duo.GS in limits else None,
        first_day=first_day,
        last_day=None if length is None else first_day + timedelta(days=length),
    )


@st.composite
def any_consent(draw: st.DrawFn, **fixed: Any) -> Consent:
    answer = draw(st.sampled_from([Answer.PERMITTED, *Answer]))
    giver = draw(st.sampled_from([Giver.PATIENT, Giver.PATIENT, Giver.GUARDIAN]))
    return Consent(
        **{
            "patient": PATIENT,
            "data_set": draw(st.sampled_from(["de-a", "de-a", "fr-b"])),
            "activity": draw(st.sampled_from(Activity)),
            "version": draw(st.integers(1, 3)),
            "answer": answer,
            "terms": draw(any_terms()) if answer is Answer.PERMITTED else None,
            "giver": giver,
            "majority": draw(DAYS) if giver is Giver.GUARDIAN else None,
            "given": draw(DAYS),
            "form": draw(st.sampled_from([FORM, "urn:oid:1.2.3", "https://example.org/form/2"])),
            **fixed,
        }
    )


@st.composite
def any_use(draw: st.DrawFn, **fixed: Any) -> Use:
    purposes = draw(
        st.sampled_from([frozenset({duo.DS}), frozenset({"DUO:0000037"})])
        | st.just(frozenset({duo.DS, duo.GENETIC}))
        | st.frozensets(st.sampled_from(sorted(duo.PURPOSES)), max_size=3)
        | st.just(frozenset({duo.HMB, UNKNOWN}))
    )
    return Use(
        **{
            "activity": draw(st.sampled_from(Activity)),
            "data_set": "de-a",
            "purposes": purposes,
            "claims": draw(st.just(CLAIMS) | st.frozensets(st.sampled_from(sorted(CLAIMS)))),
            "evidence": draw(st.just(EVIDENCE) | st.frozensets(st.sampled_from(sorted(EVIDENCE)))),
            "diseases": draw(st.just(frozenset({"C50"})) | DISEASES),
            "region": draw(st.none() | st.sampled_from(["DE", "FR", "US"])),
            **fixed,
        }
    )


@st.composite
def narrowed(draw: st.DrawFn, wide: Terms) -> Terms:
    """Terms that permit no more than ``wide``: one step narrower, or equal."""
    step = draw(st.integers(0, 6))
    if step == 0:
        limit = draw(st.sampled_from([*EVALUATED, *duo.OBLIGATIONS, UNKNOWN]))
        if limit not in {duo.GS, duo.TS}:
            return replace(wide, limits=wide.limits | {limit})
        if limit == duo.GS:
            regions = draw(REGIONS) & (wide.regions or frozenset({"DE", "FR", "AT", "US"}))
            if regions:
                return replace(wide, limits=wide.limits | {duo.GS}, regions=regions)
    if step == 1:
        return replace(
            wide, first_day=min(wide.first_day + timedelta(30), wide.last_day or date.max)
        )
    if step in {2, 3}:
        last_day = wide.first_day + timedelta(days=draw(st.integers(0, 700)))
        return replace(wide, last_day=min(last_day, wide.last_day or last_day))
    below = {duo.NRES: [duo.GRU], duo.GRU: [duo.HMB, duo.POA], duo.HMB: [duo.DS]}
    if step == 4 and wide.permission in below:
        permission = draw(st.sampled_from(below[wide.permission]))
        return replace(
            wide, permission=permission, diseases=NEOPLASMS if permission == duo.DS else None
        )
    if step == 5 and wide.diseases:
        kept = draw(DISEASES) & wide.diseases
        return replace(wide, diseases=kept or wide.diseases)
    if step == 6 and wide.regions:
        return replace(wide, regions=frozenset({min(wide.regions)}))
    return wide
