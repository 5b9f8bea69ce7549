import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from said import PATIENT, any_consent, by_guardian, no, permission, terms

from upcare_mpc.consent import duo
from upcare_mpc.consent.diseases import categories
from upcare_mpc.consent.model import MAX_BYTES, Answer, Consent, Giver
from upcare_mpc.errors import InputError


def altered(**changes: Any) -> bytes:
    content = json.loads(permission().canonical()) | changes
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


@settings(deadline=None)
@given(any_consent())
def test_canonical_bytes_read_back(consent: Consent) -> None:
    received = consent.canonical()

    assert Consent.from_canonical(received) == consent
    assert len(received) <= MAX_BYTES


@settings(deadline=None)
@given(any_consent(), any_consent())
def test_two_consents_have_two_digests(one: Consent, other: Consent) -> None:
    assert (one.digest == other.digest) == (one == other)


def test_the_largest_consent_is_within_the_limit() -> None:
    odd = categories(sorted(f"C{n:02}" for n in range(0, 98, 2)))
    countries = frozenset(f"{a}{b}" for a in "ABCDEFGH" for b in "ABCDEFGH")
    codes = frozenset({duo.GS, *(f"DUO:{n:07}" for n in range(50, 81))})
    largest = permission(
        permission=duo.DS, diseases=odd, regions=countries, limits=codes, form="urn:" + "x" * 110
    )

    assert Consent.from_canonical(largest.canonical()) == largest


@pytest.mark.parametrize(
    ("build", "told"),
    [
        (lambda: terms(permission="DUO:0000001"), "permission: wanted one of"),
        (lambda: terms(permission=duo.NCU), "permission: wanted one of"),
        (lambda: terms(limits=frozenset({"NCU"})), "limits: wanted"),
        (lambda: terms(limits=frozenset(f"DUO:{n:07}" for n in range(33))), "limits: wanted"),
        (lambda: terms(permission=duo.DS), "diseases: wanted with"),
        (lambda: terms(diseases=frozenset({"C50"})), "diseases: wanted with"),
        (lambda: terms(permission=duo.DS, diseases=frozenset()), "diseases: wanted categories"),
        (lambda: terms(permission=duo.DS, diseases=frozenset({"E10"})), "diseases: wanted cat"),
        (lambda: terms(limits=frozenset({duo.GS})), "regions: wanted with"),
        (lambda: terms(regions=frozenset({"DE"})), "regions: wanted with"),
        (lambda: terms(limits=frozenset({duo.GS}), regions=frozenset({"de"})), "countries like DE"),
        (lambda: terms(limits=frozenset({duo.TS})), "last_day: wanted with"),
        (lambda: terms(last_day=date(2025, 12, 31)), "not before first_day"),
        (lambda: permission(patient=b"short"), "pseudonym of 16 bytes"),
        (lambda: permission(data_set="DE A"), "data_set"),
        (lambda: permission(version=0), "version: wanted a whole number"),
        (lambda: permission(version=2**31), "version: wanted a whole number"),
        (lambda: permission(terms=None), "terms: wanted with the answer permitted"),
        (lambda: permission(answer=Answer.REFUSED), "terms: wanted with the answer permitted"),
        (lambda: permission(giver=Giver.GUARDIAN), "majority: wanted with a guardian's"),
        (lambda: permission(majority=date(2030, 1, 1)), "majority: wanted with a guardian's"),
        (lambda: permission(form="no uri"), "form: wanted a URI"),
        (lambda: permission(form="urn:" + "x" * 111), "form: wanted a URI"),
    ],
)
def test_a_consent_that_cannot_be_is_refused(build: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        build()


@pytest.mark.parametrize(
    ("received", "told"),
    [
        (permission().canonical() + b" ", "another spelling"),
        (json.dumps(json.loads(permission().canonical())).encode(), "another spelling"),
        (altered(upcare_consent=2), "version 1"),
        (altered(upcare_consent=True), "version 1"),
        (altered(upcare_consent="1"), "version 1"),
        (altered(note="x"), "the keys of version 1"),
        (altered(version="1"), "version: wanted a whole number"),
        (altered(version=True), "version: wanted a whole number"),
        (altered(patient=PATIENT.hex().upper()), "pseudonym of 16 bytes"),
        (altered(patient=None), "patient: wanted a text"),
        (altered(activity="all"), "wanted statistics or records"),
        (altered(answer="yes"), "wanted permitted or refused or withdrawn"),
        (altered(given="2026-02-30"), "wanted a day"),
        (altered(given="20260101"), "wanted a day"),
        (altered(terms=[]), "terms: wanted the keys"),
        (altered(terms={"permission": duo.HMB}), "terms: wanted the keys"),
        (b"{}", "version 1"),
        (b"x" * (MAX_BYTES + 1), f"at most {MAX_BYTES} bytes"),
    ],
)
def test_bytes_that_are_not_canonical_are_refused_in_one_line(received: bytes, told: str) -> None:
    with pytest.raises(InputError, match=told) as refused:
        Consent.from_canonical(received)

    assert "\n" not in str(refused.value)


def test_every_single_byte_counts() -> None:
    """Whatever byte is changed, either it is refused or it is another consent."""
    received = by_guardian(date(2031, 5, 1), last_day=date(2040, 1, 1)).canonical()
    for place in range(len(received)):
        changed = received[:place] + bytes([received[place] ^ 1]) + received[place + 1 :]
        try:
            read = Consent.from_canonical(changed)
        except InputError:
            continue
        assert read.canonical() == changed != received


def test_a_consent_does_not_show_whose_it_is() -> None:
    assert PATIENT.hex() not in repr(permission())
    assert str(PATIENT) not in repr(no())
