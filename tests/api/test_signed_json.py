"""Signed messages as JSON: what is written is read again, and nothing else."""

import base64
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from interface import PARTS, researcher, study

from upcare_mpc.client.signed_json import (
    authorization_text,
    read_authorization,
    read_request,
    read_result,
    receipts_json,
    request_json,
    result_json,
)
from upcare_mpc.errors import ProtocolError

ME = researcher()
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


def test_a_question_comes_back_byte_for_byte() -> None:
    request = ME.request(study(), now=time.time())

    assert read_request(json.loads(json.dumps(request_json(request)))) == request


def test_an_authorization_comes_back_byte_for_byte() -> None:
    authorization = ME.authorize(study().digest, "watch", now=time.time())
    text = authorization_text(authorization)

    assert read_authorization(text) == authorization
    assert text.isascii()
    assert set("=+/ \n").isdisjoint(text)


def test_an_envelope_comes_back_byte_for_byte() -> None:
    assert read_result(json.loads(json.dumps(result_json(PARTS)))) == list(PARTS)


def test_receipts_hold_charges_and_no_output() -> None:
    told = receipts_json(PARTS)

    assert told["receipts"] == result_json(PARTS)["spent"]
    assert "sealed" not in json.dumps(told)


@given(st.sampled_from(sorted(request_json(ME.request(study(), now=0)))), ANYTHING)
def test_no_field_of_a_question_does_worse_than_to_be_refused(name: str, value: Any) -> None:
    try:
        read_request(request_json(ME.request(study(), now=0)) | {name: value})
    except ProtocolError as error:
        told = str(error)
    else:
        told = "read"
    assert told in {"read", "wanted a signed study request"}


@given(ANYTHING)
def test_no_authorization_does_worse_than_to_be_refused(value: Any) -> None:
    text = base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    with pytest.raises(ProtocolError, match="wanted an authorization"):
        read_authorization(text)


@given(st.text())
def test_no_header_does_worse_than_to_be_refused(text: str) -> None:
    with pytest.raises(ProtocolError, match="wanted an authorization"):
        read_authorization(text)


@given(
    st.sampled_from(
        ["descriptor", "request", "certificates", "outputs", "spent", "collection", "findings"]
    ),
    ANYTHING,
)
def test_no_envelope_does_worse_than_to_be_refused(name: str, value: Any) -> None:
    try:
        read_result(result_json(PARTS) | {name: value})
    except ProtocolError as error:
        told = str(error)
    else:
        told = "read"
    assert told in {"read", "wanted the sealed envelope of a result"}
