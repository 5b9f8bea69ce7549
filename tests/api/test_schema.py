"""The OpenAPI document, and requests made up from it: none is a server error, none undocumented."""

import copy
import json
import re
import time
from typing import Any

import pytest
import schemathesis
from click.testing import CliRunner
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from interface import PARTS, Interface, authorized, bearing, study, token
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from upcare_mpc.api.app import openapi
from upcare_mpc.api.limits import Limits
from upcare_mpc.api.problems import MEDIA_TYPE, PROBLEMS
from upcare_mpc.cli.main import upcare
from upcare_mpc.client.signed_json import request_json

UNLIMITED = Limits(address_rate=1e9, address_burst=10**9, key_rate=1e9, key_burst=10**9)


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method, path, operation)
        for path, methods in openapi()["paths"].items()
        for method, operation in methods.items()
    ]


def test_the_command_prints_it() -> None:
    ran = CliRunner().invoke(upcare, ["api", "openapi"])

    assert json.loads(ran.stdout) == openapi()
    assert openapi()["openapi"].startswith("3.1")


def test_it_is_served(interface: Interface) -> None:
    assert interface.ask("GET", "/openapi.json").json() == openapi()


@pytest.mark.parametrize(
    ("method", "path", "operation"), operations(), ids=[f"{m} {p}" for m, p, _ in operations()]
)
def test_every_route_is_described_with_all_its_failures(
    method: str, path: str, operation: dict[str, Any]
) -> None:
    responses = operation["responses"]

    assert operation["summary"].endswith(".")
    assert {"400", "408", "413", "429", "500"} <= responses.keys()
    if "security" in operation:
        assert {"401", "403"} <= responses.keys()
    for status, response in responses.items():
        if status >= "400":
            assert list(response["content"]) == [MEDIA_TYPE]
            for code in re.findall(r"`([a-z_.]+)`", response["description"]):
                assert str(PROBLEMS[code].status) == status


def test_every_problem_is_declared_somewhere_but_those_of_no_route() -> None:
    declared = set(re.findall(r"urn:upcare:problem:([a-z_.]+)", json.dumps(openapi()["paths"])))

    assert PROBLEMS.keys() - declared == {"method"}


CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def asked() -> Interface:
    """An interface at which one study was asked."""
    interface = Interface(UNLIMITED)
    interface.platform.parts = PARTS
    assert interface.submit().status_code == 201
    return interface


def dressed(case: Any, asked: Interface, dress: int) -> None:
    """Make a made-up request better: a token; a true digest and authorization; a true question."""
    who, path = asked.me, case.path
    if dress >= 1:
        case.headers.update(bearing(token(who)))
    if dress >= 2 and "{digest}" in path:
        last = path.rpartition("/")[2]
        method = {"events": "watch", "{digest}": "list"}.get(last, "result")
        about = None if method == "list" else study()
        case.path_parameters["digest"] = study().digest.hex()
        case.headers.update(authorized(who, method, about))
    elif dress >= 2 and case.method == "GET" and path == "/v1/studies":
        case.headers.update(authorized(who, "list"))
    elif dress >= 2 and case.method == "POST":
        case.body = request_json(who.request(study(), now=time.time()))


@pytest.mark.parametrize(
    ("number", "mode"),
    [
        pytest.param(number, mode, id=f"{mode.value} {method} {path}")
        for number, (method, path, operation) in enumerate(operations())
        for mode in GenerationMode
        if "parameters" in operation or "requestBody" in operation or mode.is_positive
    ],
)
def test_nothing_made_up_from_the_schema_breaks_it_or_is_undocumented(
    asked: Interface, number: int, mode: GenerationMode
) -> None:
    schema = schemathesis.openapi.from_asgi("/v1/openapi.json", asked.app)
    operation = list(schema.get_all_operations())[number].ok()
    seen = set()

    @settings(
        max_examples=20,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(mode), dress=st.integers(0, 2))
    def fuzz(case: Any, dress: int) -> None:
        dressed(case, asked, dress)
        response = case.call()
        case.validate_response(response, checks=CHECKS)
        seen.add(response.status_code)

    fuzz()
    assert seen


def test_an_undocumented_status_would_be_seen(asked: Interface) -> None:
    document = copy.deepcopy(openapi())
    del document["paths"]["/v1/studies"]["get"]["responses"]["401"]
    schema = schemathesis.openapi.from_dict(document)
    schema.app = asked.app
    case = schema["/v1/studies"]["GET"].Case(headers=authorized(asked.me, "list"))

    with pytest.raises(FailureGroup, match="Undocumented status code"):
        case.validate_response(case.call(), checks=CHECKS)
