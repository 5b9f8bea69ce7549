"""Somebody has a token of hers, or a signed message: copied from a log, a proxy, the interface.

Token, question and authorization have to be of one key, and each says what it is for. So a stolen
token asks nothing and fetches nothing; a stolen question asks the same question for her, sealed to
her; a stolen authorization ends after ten minutes; and no key stands for another.
"""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import pytest
from interface import (
    OTHER_NETWORK,
    Interface,
    authorized,
    bearing,
    problem,
    researcher,
    study,
    token,
)

from upcare_mpc.client.signed_json import authorization_text, request_json

EVENTS = f"/studies/{study().digest.hex()}/events"
RESULT = f"/studies/{study().digest.hex()}/result"


@pytest.fixture
def robbed() -> Interface:
    """Where she has asked a study, and somebody has a token of hers for everything."""
    interface = Interface()
    assert interface.submit().status_code == 201
    interface.platform.calls.clear()
    return interface


def forged(header: dict[str, Any], claims: dict[str, Any], sign: Any) -> dict[str, str]:
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
        for part in (header, claims)
    ]
    signature = base64.urlsafe_b64encode(sign(b".".join(parts))).rstrip(b"=")
    return bearing(b".".join((*parts, signature)).decode())


def claims_of(interface: Interface) -> dict[str, Any]:
    return {
        "aud": interface.me.network.fingerprint.hex(),
        "iat": int(time.time()),
        "exp": int(time.time()) + 60,
        "scope": "catalogue studies:read studies:write results",
        "jti": "x",
    }


def test_her_token_alone_watches_and_fetches_nothing(robbed: Interface) -> None:
    for path in (EVENTS, RESULT, "/studies", f"/studies/{study().digest.hex()}"):
        problem(robbed.ask("GET", path, headers=bearing(token(robbed.me))), "request")
    assert robbed.platform.calls == []


def test_her_token_asks_no_question_of_the_thiefs(robbed: Interface) -> None:
    thief = researcher()
    sent = request_json(thief.request(study("mine"), now=time.time()))

    for path in ("/studies", "/previews"):
        answer = robbed.ask("POST", path, json=sent, headers=bearing(token(robbed.me)))
        problem(answer, "token.key")
    assert robbed.platform.calls == []


def test_her_name_on_the_thiefs_question_is_noticed(robbed: Interface) -> None:
    sent = request_json(researcher().request(study("mine"), now=time.time()))
    sent["signing_key"] = robbed.me.signing_key.hex()

    answer = robbed.ask("POST", "/studies", json=sent, headers=bearing(token(robbed.me)))

    assert "not signed by the key" in problem(answer, "protocol")
    assert len(robbed.platform.asked) == 1


def test_her_token_with_the_thiefs_authorization_is_two_keys(robbed: Interface) -> None:
    headers = bearing(token(robbed.me)) | authorized(researcher(), "result", study())

    problem(robbed.ask("GET", RESULT, headers=headers), "token.key")
    assert robbed.platform.calls == []


def test_the_thiefs_token_with_her_authorization_is_two_keys(robbed: Interface) -> None:
    headers = bearing(token(researcher())) | authorized(robbed.me, "result", study())

    problem(robbed.ask("GET", RESULT, headers=headers), "token.key")


def test_the_thiefs_own_keys_find_no_study_of_hers(robbed: Interface) -> None:
    thief = researcher()
    headers = bearing(token(thief)) | authorized(thief, "result", study())

    problem(robbed.ask("GET", RESULT, headers=headers), "not_found")
    listed = robbed.ask(
        "GET", "/studies", headers=bearing(token(thief)) | authorized(thief, "list")
    )
    assert listed.json()["items"] == []


def test_an_authorization_is_for_one_method_and_one_study(robbed: Interface) -> None:
    hers = bearing(token(robbed.me))

    watch_as_result = hers | authorized(robbed.me, "watch", study())
    other_study = hers | authorized(robbed.me, "result", study("another"))
    list_as_result = hers | authorized(robbed.me, "list")

    for headers in (watch_as_result, other_study, list_as_result):
        problem(robbed.ask("GET", RESULT, headers=headers), "protocol")


def test_an_authorization_ends_after_ten_minutes(robbed: Interface) -> None:
    old = robbed.me.authorize(study().digest, "result", now=time.time() - 601)
    headers = bearing(token(robbed.me)) | {"Upcare-Authorization": authorization_text(old)}

    assert "not in force" in problem(robbed.ask("GET", RESULT, headers=headers), "protocol")


def test_her_question_again_is_her_study_again(robbed: Interface) -> None:
    (hers,) = robbed.platform.asked.values()

    again = robbed.ask(
        "POST", "/studies", json=request_json(hers), headers=bearing(token(robbed.me))
    )

    assert (again.status_code, again.json()["known"]) == (200, True)


def test_her_question_sealed_to_the_thief_is_not_her_question(robbed: Interface) -> None:
    (hers,) = robbed.platform.asked.values()
    sent = request_json(hers) | {"sealing_key": researcher().sealing_key.hex()}

    problem(
        robbed.ask("POST", "/studies", json=sent, headers=bearing(token(robbed.me))), "protocol"
    )


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda me: token(me, now=time.time() - 7200), "expired"),
        (lambda me: token(researcher(OTHER_NETWORK)), "another network"),
    ],
)
def test_a_token_of_yesterday_or_of_another_network_is_none(
    robbed: Interface, made: Any, words: str
) -> None:
    answer = robbed.ask("GET", "/catalogue", headers=bearing(made(robbed.me)))

    assert words in problem(answer, "token")
    assert "invalid_token" in answer.headers["www-authenticate"]


def test_a_token_does_not_choose_how_it_is_checked(robbed: Interface) -> None:
    """RFC 8725, section 2.1: no algorithm, or her public key as the secret of another one."""
    claims, public = claims_of(robbed), robbed.me.signing_key
    kid = public.hex()

    def as_secret(secret: bytes) -> Any:
        return lambda content: hmac.new(secret, content, hashlib.sha256).digest()

    for headers in (
        forged({"alg": "none", "kid": kid}, claims, lambda _: b""),
        forged({"alg": "None", "kid": kid}, claims, lambda _: b""),
        forged({"alg": "HS256", "kid": kid}, claims, as_secret(public)),
        forged({"alg": "HS256", "kid": kid}, claims, as_secret(kid.encode())),
        forged({"alg": "Ed25519", "kid": kid}, claims, lambda _: b"\0" * 64),
        forged({"alg": "Ed25519", "kid": kid}, claims, researcher().signing.sign),
    ):
        problem(robbed.ask("GET", "/catalogue", headers=headers), "token")


def test_a_key_that_comes_with_the_token_is_not_looked_at(robbed: Interface) -> None:
    thief = researcher()
    coordinate = base64.urlsafe_b64encode(thief.signing_key).rstrip(b"=").decode()
    header = {
        "alg": "Ed25519",
        "kid": robbed.me.signing_key.hex(),
        "jwk": {"kty": "OKP", "crv": "Ed25519", "x": coordinate},
        "jku": "https://thief.test/keys",
    }

    answer = robbed.ask(
        "GET", "/catalogue", headers=forged(header, claims_of(robbed), thief.signing.sign)
    )

    problem(answer, "token")


def test_a_narrow_token_stays_narrow(robbed: Interface) -> None:
    narrow = bearing(token(robbed.me, "catalogue"))
    sent = request_json(robbed.me.request(study("new"), now=time.time()))

    assert robbed.ask("GET", "/catalogue", headers=narrow).status_code == 200
    for method, path, more in (
        ("POST", "/studies", {"json": sent}),
        ("POST", "/previews", {"json": sent}),
        ("GET", RESULT, {}),
        ("GET", EVENTS, {}),
    ):
        headers = narrow | authorized(robbed.me, "result", study())
        answer = robbed.ask(method, path, headers=headers, **more)
        problem(answer, "token.scope")
        assert "insufficient_scope" in answer.headers["www-authenticate"]
    assert len(robbed.platform.asked) == 1


def test_neither_log_nor_answer_repeats_what_was_stolen(robbed: Interface) -> None:
    robbed.platform.fails = ZeroDivisionError()
    stolen = token(robbed.me)
    headers = bearing(stolen) | authorized(robbed.me, "list")

    answer = robbed.ask("GET", "/studies", headers=headers)

    problem(answer, "internal")
    assert robbed.logged
    for secret in (stolen, robbed.me.signing_key.hex(), headers["Upcare-Authorization"]):
        assert secret not in answer.text
        assert not any(secret in line for line in robbed.logged)
