"""An application: one text, one nonce, and the attributes that follow from it."""

import json
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from applications import application
from hypothesis import given
from hypothesis import strategies as st

from upcare_mpc.access.application import MAX_APPLICATION_BYTES, Application, attributes_of
from upcare_mpc.consent.compile import attributes
from upcare_mpc.errors import InputError, ProtocolError

SALT = bytes(16)
LINES = st.text(
    st.characters(min_codepoint=33, max_codepoint=126) | st.sampled_from("äéßŁ"),
    min_size=1,
    max_size=200,
)


def changed(change: dict[str, Any], **more: Any) -> bytes:
    content = json.loads(application(salt=SALT).canonical) | change | more
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


@given(title=LINES, line=LINES, region=st.sampled_from([None, "DE", "FR"]))
def test_reads_back_what_was_written(title: str, line: str, region: str | None) -> None:
    asked = application(title=title, evidence={"DUO:0000019": line}, region=region)

    assert Application.from_canonical(asked.canonical) == asked


def test_bytes_are_those_of_the_page() -> None:
    asked = application(salt=SALT)

    assert asked.canonical == (
        b'{"claims":["non-commercial"],"diseases":["C50"],"epoch":"2026-11",'
        b'"evidence":{"DUO:0000021":"ethics vote 12/2026"},"project":"p-17",'
        b'"purposes":["DUO:0000007"],"region":"DE","registries":["de-a","de-b"],'
        b'"salt":"00000000000000000000000000000000",'
        b'"title":"Survival after breast cancer","upcare_application":1}'
    )
    label = b"upcare/v1/access-application|"
    assert asked.nonce == sha256(label + asked.canonical).digest()


@pytest.mark.parametrize(
    "change",
    [
        {"project": "p-18"},
        {"title": "Survival after prostate cancer"},
        {"purposes": frozenset({"DUO:0000042"})},
        {"registries": ("de-a",)},
        {"epoch": "2026-12"},
        {"claims": frozenset()},
        {"evidence": {"DUO:0000021": "ethics vote 13/2026"}},
        {"region": "FR"},
        {"salt": b"\1" * 16},
    ],
)
def test_every_word_is_in_the_nonce(change: dict[str, Any]) -> None:
    asked = application(salt=SALT)

    assert replace(asked, **change).nonce != asked.nonce


def test_is_like_itself_asked_again_and_like_nothing_else() -> None:
    asked = application()

    assert asked.is_like(application())
    assert not asked.is_like(application(title="Another"))


def test_attributes_are_those_of_its_use_at_each_registry_and_its_project() -> None:
    asked = application()
    both = [
        attributes(use, site=site, epoch="2026-11")
        for site, use in zip(("de-a", "de-b"), asked.uses, strict=True)
    ]

    assert attributes_of(asked) == tuple(sorted({"project:p-17", *both[0], *both[1]}))
    assert {"site:de-a", "site:de-b", "use:non-commercial", "region:de"} < set(attributes_of(asked))
    assert "requester:not-for-profit" not in attributes_of(asked)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"project": "P-17"}, "project: wanted"),
        ({"project": "p17\n"}, "project: wanted"),
        ({"title": ""}, "title: wanted one line"),
        ({"title": "two\nlines"}, "title: wanted one line"),
        ({"title": "right\u202eto left"}, "title: wanted one line"),
        ({"title": "e\u0301"}, "title: wanted one line"),
        ({"title": "x" * 201}, "title: wanted one line"),
        ({"purposes": frozenset()}, "purposes: wanted 1 to 16 DUO codes"),
        ({"purposes": frozenset({"DUO:9999999"})}, "got 'DUO:9999999'"),
        ({"purposes": frozenset({"DUO:0000046"})}, "got 'DUO:0000046'"),  # a limit, no purpose
        ({"diseases": frozenset()}, "diseases"),
        ({"registries": ()}, "registries: wanted 1 to 64"),
        ({"registries": ("de-b", "de-a")}, "registries: wanted 1 to 64, ascending"),
        ({"registries": ("de-a", "de-a")}, "registries: wanted 1 to 64, ascending"),
        ({"registries": ("d\u0435-a",)}, "registries: wanted names"),  # a Cyrillic letter
        ({"epoch": "2026-13"}, "epoch: wanted a month"),
        ({"claims": frozenset({"rich"})}, "claims: wanted"),
        ({"evidence": {"DUO:0000046": "x"}}, "evidence: wanted"),
        ({"evidence": {"DUO:0000021": "\x1b[31m"}}, "evidence: wanted one line"),
        ({"region": "de"}, "region: wanted"),
        ({"salt": b""}, "salt: wanted 16 bytes"),
    ],
)
def test_is_refused_with_the_place(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        application(**change)


@pytest.mark.parametrize(
    "received",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b"{" * 10**5,
        application().canonical + b" ",
        application().canonical.replace(b'"upcare_application":1', b'"upcare_application":2'),
        changed({}, more=1),
        changed({"purposes": ["DUO:0000042", "DUO:0000007"]}),
        changed({"purposes": "DUO:0000007"}),
        changed({"diseases": ["C50-C50"]}),
        changed({"evidence": []}),
        changed({"region": 1}),
        changed({"salt": "zz"}),
        changed({"title": "x" * MAX_APPLICATION_BYTES}),
    ],
)
def test_other_bytes_are_refused_with_one_text(received: bytes) -> None:
    with pytest.raises(ProtocolError) as refused:
        Application.from_canonical(received)

    assert str(refused.value) == "these are not the bytes of an application, version 1"
