"""Tokens: what is signed, what is accepted, and what is not."""

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from interface import NETWORK, OTHER_NETWORK, researcher

from upcare_mpc.client.tokens import SCOPES, new_token, read_token
from upcare_mpc.errors import ConfigError, ProtocolError

NOW = 1_800_000_000.0
ME = researcher()


def signed(claims: Any, *, key: Ed25519PrivateKey = ME.signing, **header: Any) -> str:
    """A token with any header and claims, signed with Ed25519."""
    head = {"alg": "Ed25519", "typ": "JWT", "kid": ME.signing_key.hex()} | header
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (head, claims)
    ]
    signature = key.sign(b".".join(parts))
    return b".".join((*parts, base64.urlsafe_b64encode(signature).rstrip(b"="))).decode()


def claims(**changed: Any) -> dict[str, Any]:
    return {
        "aud": NETWORK.fingerprint.hex(),
        "iat": int(NOW),
        "exp": int(NOW) + 60,
        "scope": "catalogue",
        "jti": "a",
    } | changed


def read(text: str, *, now: float = NOW) -> Any:
    return read_token(text, network=NETWORK.fingerprint, now=now)


def test_a_token_says_whose_it_is_and_what_it_allows() -> None:
    made = new_token(ME, ["results", "catalogue"], seconds=60, now=NOW)

    found = read(made)

    assert found.key == ME.signing_key
    assert found.scopes == {"catalogue", "results"}
    assert found.expires == NOW + 60


def test_what_another_library_would_sign_is_accepted() -> None:
    assert read(signed(claims())).scopes == {"catalogue"}


def test_two_tokens_are_two() -> None:
    first, second = (new_token(ME, SCOPES, seconds=60, now=NOW) for _ in range(2))

    assert first != second


@pytest.mark.parametrize(
    ("token", "words"),
    [
        (signed(claims(aud=OTHER_NETWORK.fingerprint.hex())), "another network"),
        (signed(claims(aud=[NETWORK.fingerprint.hex()])), "another network"),
        (signed(claims(exp=int(NOW))), "expired"),
        (signed(claims(iat=int(NOW) - 7 * 24 * 3600)), "24 hours"),
        (signed(claims(iat=int(NOW) + 600, exp=int(NOW) + 900)), "not in force yet"),
        (signed(claims(iat=int(NOW) + 30, exp=int(NOW) + 20)), "ends before it begins"),
        (signed(claims(exp=str(int(NOW) + 60))), "whole seconds"),
        (signed(claims(exp=True)), "whole seconds"),
        (signed(claims(exp=10**400)), "whole seconds"),
        (signed(claims(scope=["catalogue"])), "scope"),
        (signed(claims(jti="")), "jti"),
        (signed({}), "another network"),
        (signed([1]), "cannot be read"),
        (signed("text"), "cannot be read"),
        (signed(claims(), key=Ed25519PrivateKey.generate()), "not signed by its key"),
        (signed(claims(), kid="00"), "cannot be read"),
        (signed(claims(), kid=None), "cannot be read"),
        (signed(claims(), kid=researcher().signing_key.hex()), "not signed by its key"),
        (signed(claims(), alg="none"), "cannot be read"),
        (signed(claims(), alg="HS256"), "cannot be read"),
        (signed(claims(), alg="EdDSA"), "cannot be read"),
        (signed(claims(), crit=["b64"], b64=False), "cannot be read"),
        ("", "cannot be read"),
        ("a.b.c", "cannot be read"),
        ("a" * 3000, "cannot be read"),
    ],
)
def test_what_is_wrong_with_it_is_said(token: str, words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        read(token)


def test_a_word_that_is_no_scope_allows_nothing() -> None:
    assert read(signed(claims(scope="catalogue everything"))).scopes == {"catalogue"}


@given(st.text(max_size=200) | st.from_regex(r"[\w-]*\.[\w-]*\.[\w-]*", fullmatch=True))
def test_no_text_does_worse_than_to_be_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        read(text)


@given(st.recursive(st.none() | st.integers() | st.text(max_size=9), st.lists, max_leaves=4))
def test_no_claim_does_worse_than_to_be_refused(value: Any) -> None:
    said = []
    for name in claims():
        try:
            read(signed(claims(**{name: value})))
        except ProtocolError as error:
            said.append(str(error))

    assert all(line.isprintable() for line in said)


@pytest.mark.parametrize(
    ("scopes", "seconds"), [([], 60), (["everything"], 60), (SCOPES, 0), (SCOPES, 90_000)]
)
def test_no_token_is_made_that_would_not_be_accepted(scopes: Any, seconds: int) -> None:
    with pytest.raises(ConfigError, match="token: wanted"):
        new_token(ME, scopes, seconds=seconds, now=NOW)
