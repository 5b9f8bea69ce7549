"""Every way to fail: one map, one form, and nothing in it that should not be."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from fractions import Fraction
from pathlib import Path

import httpx
import pytest
from interface import Interface, authorized, bearing, problem, researcher, study, token

from upcare_mpc import errors
from upcare_mpc.api.limits import Limits
from upcare_mpc.api.problems import PROBLEMS, code_of
from upcare_mpc.client.signed_json import request_json

API = Path(__file__).parents[2] / "docs" / "api.md"


def every_error(kind: type[errors.UpcareError]) -> list[type[errors.UpcareError]]:
    found = [kind]
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            found += every_error(child)
    return found


def question(interface: Interface, **changed: object) -> dict[str, object]:
    return request_json(interface.me.request(study(), now=time.time())) | changed


def _wrong_fields() -> httpx.Response:
    interface = Interface()
    sent = question(interface, nonce="zz", extra=1)
    return interface.ask("POST", "/studies", json=sent, headers=bearing(token(interface.me)))


def _no_token() -> httpx.Response:
    return Interface().ask("GET", "/catalogue")


def _other_scope() -> httpx.Response:
    interface = Interface()
    return interface.ask("GET", "/catalogue", headers=bearing(token(interface.me, "results")))


def _other_key() -> httpx.Response:
    interface = Interface()
    return interface.ask(
        "POST", "/studies", json=question(interface), headers=bearing(token(researcher()))
    )


def _bad_signature() -> httpx.Response:
    interface = Interface()
    sent = question(interface, nonce="00" * 16)
    return interface.ask("POST", "/studies", json=sent, headers=bearing(token(interface.me)))


def _nothing_there() -> httpx.Response:
    return Interface().ask("GET", "/nothing")


def _other_method() -> httpx.Response:
    return Interface().ask("DELETE", "/studies")


def _slow_body() -> httpx.Response:
    async def body() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(30)

    return Interface(Limits(body_s=0.05)).ask("POST", "/studies", content=body())


def _no_result() -> httpx.Response:
    interface = Interface()
    interface.submit()
    headers = bearing(token(interface.me)) | authorized(interface.me, "result", study())
    return interface.ask("GET", f"/studies/{study().digest.hex()}/result", headers=headers)


def _long_body() -> httpx.Response:
    return Interface().ask("POST", "/studies", content=b"x" * (200 << 10))


def _no_such_kind() -> httpx.Response:
    return Interface().submit(study(kind="oracle", oracle={}))


def _key_used_twice() -> httpx.Response:
    interface = Interface()
    interface.submit(headers={"Idempotency-Key": "a"})
    return interface.submit(study("another"), headers={"Idempotency-Key": "a"})


def _too_often() -> httpx.Response:
    interface = Interface(Limits(address_burst=1, address_rate=0.001))
    interface.ask("GET", "/health")
    return interface.ask("GET", "/health")


def _a_fault_of_ours() -> httpx.Response:
    interface = Interface()
    interface.platform.fails = ZeroDivisionError("secret")
    return interface.ask("GET", "/catalogue", headers=bearing(token(interface.me)))


def _no_platform() -> httpx.Response:
    interface = Interface()
    interface.platform.fails = errors.LinkError("the platform cannot be reached")
    return interface.ask("GET", "/catalogue", headers=bearing(token(interface.me)))


WAYS: dict[str, Callable[[], httpx.Response]] = {
    "request": _wrong_fields,
    "token": _no_token,
    "token.scope": _other_scope,
    "token.key": _other_key,
    "protocol": _bad_signature,
    "not_found": _nothing_there,
    "method": _other_method,
    "slow": _slow_body,
    "refused": _no_result,
    "too_large": _long_body,
    "input.study": _no_such_kind,
    "idempotency": _key_used_twice,
    "limit": _too_often,
    "internal": _a_fault_of_ours,
    "link": _no_platform,
}


@pytest.mark.parametrize("code", PROBLEMS)
def test_every_problem_happens_as_it_is_written_down(code: str) -> None:
    answer = WAYS[code]()

    assert problem(answer, code)
    assert answer.status_code == PROBLEMS[code].status
    assert answer.headers["cache-control"] == "no-store"


def test_the_documentation_has_the_same_table() -> None:
    rows = re.findall(
        r"^\| `([a-z_.]+)` \| (\d+) \| (.+?) \|", API.read_text("utf-8"), re.MULTILINE
    )

    assert rows == [(code, str(kind.status), kind.title) for code, kind in PROBLEMS.items()]


@pytest.mark.parametrize("kind", every_error(errors.UpcareError), ids=lambda kind: kind.code)
def test_every_error_of_ours_is_told_as_a_problem(kind: type[errors.UpcareError]) -> None:
    interface = Interface()
    budget = {"measure": "epsilon", "asked": Fraction(2), "left": Fraction(1)}
    told = kind("all", **budget) if kind is errors.BudgetExceeded else kind("a word")
    interface.platform.fails = told

    answer = interface.ask("GET", "/catalogue", headers=bearing(token(interface.me)))

    code = code_of(told)
    detail = problem(answer, code)
    if code == "internal":
        assert "a word" not in answer.text
        assert answer.json()["instance"].rpartition(":")[2] in interface.logged[0]
    else:
        assert detail == str(told)
        assert kind.code == code or kind.code.startswith(f"{code}.")


def test_what_nobody_expected_shows_nothing_and_has_a_number() -> None:
    interface = Interface()
    interface.platform.fails = KeyError("/srv/secret/10.0.0.1")

    answer = interface.ask("GET", "/catalogue", headers=bearing(token(interface.me)))

    problem(answer, "internal")
    number = answer.json()["instance"].rpartition(":")[2]
    assert [line for line in interface.logged if number in line and "KeyError" in line]
    for text in (answer.text, *interface.logged):
        assert "secret" not in text
        assert "Traceback" not in text


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[" * 100_000,
        b'{"study": ' + b"9" * 5000 + b"}",
        b'{"study": "\\ud800"}',
        b"\xff\xfe",
        b"null",
        b'"text"',
    ],
)
def test_a_body_that_is_no_question_is_one_clear_line(content: bytes) -> None:
    interface = Interface()
    headers = bearing(token(interface.me)) | {"Content-Type": "application/json"}

    answer = interface.ask("POST", "/studies", content=content, headers=headers)

    detail = problem(answer, "request")
    assert detail.isprintable()
    assert interface.logged == []


def test_a_wrong_field_is_named_and_its_value_is_not_repeated() -> None:
    interface = Interface()
    sent = question(interface, nonce="S3CRET")

    answer = interface.ask("POST", "/studies", json=sent, headers=bearing(token(interface.me)))

    assert problem(answer, "request") == (
        "nonce: wanted a string that matches ^[0-9a-f]{32}$, got a string of 6 characters"
    )
    assert "S3CRET" not in answer.text


def test_a_field_that_is_not_documented_is_not_repeated() -> None:
    interface = Interface()
    sent = question(interface, S3CRET="S3CRET")

    answer = interface.ask("POST", "/studies", json=sent, headers=bearing(token(interface.me)))

    detail = problem(answer, "request")
    assert detail == "body: wanted the documented fields alone, got another one"
    assert "S3CRET" not in answer.text
