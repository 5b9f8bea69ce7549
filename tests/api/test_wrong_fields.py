"""What is wrong with a request: what was wanted, what sort of thing was got, and no value."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from upcare_mpc.api.models import Closing, SignedStudy
from upcare_mpc.api.wrong_fields import in_words

GOOD = {
    "study": "{}",
    "signing_key": "44" * 32,
    "sealing_key": "55" * 32,
    "not_after": 1_800_000_000,
    "nonce": "66" * 16,
    "method": "submit",
    "collection": "",
    "signature": "77" * 64,
}
SECRET = "S3CRET"


def told(model: type[BaseModel], content: Any) -> str:
    """What a body that is not as documented is answered."""
    with pytest.raises(ValidationError) as wrong:
        model.model_validate(content)
    return in_words([error | {"loc": ("body", *error["loc"])} for error in wrong.value.errors()])


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"nonce": 5}, "nonce: wanted a string, got a number"),
        ({"nonce": None}, "nonce: wanted a string, got null"),
        ({"nonce": True}, "nonce: wanted a string, got true or false"),
        ({"nonce": [1, 2]}, "nonce: wanted a string, got a list of 2 items"),
        ({"nonce": {}}, "nonce: wanted a string, got an object"),
        (
            {"nonce": "zz"},
            "nonce: wanted a string that matches ^[0-9a-f]{32}$, got a string of 2 characters",
        ),
        ({"study": ""}, "study: wanted at least 1 characters, got a string of 0 characters"),
        (
            {"study": "x" * 70_000},
            "study: wanted at most 65536 characters, got a string of 70000 characters",
        ),
        ({"not_after": "12"}, "not_after: wanted a whole number, got a string of 2 characters"),
        ({"not_after": 1.5}, "not_after: wanted a whole number, got a number"),
        ({"not_after": -1}, "not_after: wanted at least 0, got less"),
        ({"not_after": 1 << 60}, "not_after: wanted at most 253402300800, got more"),
        ({SECRET: 1}, "body: wanted the documented fields alone, got another one"),
    ],
    ids=str,
)
def test_each_sort_of_mistake_has_one_clear_line(changed: dict[str, Any], line: str) -> None:
    assert told(SignedStudy, GOOD | changed) == line


def test_a_field_that_is_missing_is_named() -> None:
    content = {name: value for name, value in GOOD.items() if name != "signature"}

    assert told(SignedStudy, content) == "signature: wanted a value, got nothing"


def test_fields_within_fields_are_named_and_those_that_are_not_ours_are_not() -> None:
    request = GOOD | {SECRET: SECRET}

    assert told(Closing, {"request": request, "without": ["de-a", "A!"]}) == (
        "request: wanted the documented fields alone, got another one; without.1: wanted a string "
        "that matches ^[a-z][a-z0-9-]{1,30}$, got a string of 2 characters"
    )
    assert told(Closing, {"request": GOOD, "without": ["x"] * 65}) == (
        "without: wanted at most 64 items, got a list of 65 items"
    )
    assert told(Closing, [1]) == "body: wanted an object, got a list of 1 items"


@given(
    st.dictionaries(
        st.sampled_from([*GOOD, SECRET]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.just(SECRET)
        | st.lists(st.just(SECRET)) | st.dictionaries(st.just(SECRET), st.just(SECRET)),
        min_size=1,
    )
)  # fmt: skip
def test_nothing_that_was_sent_is_repeated(changed: dict[str, Any]) -> None:
    try:
        SignedStudy.model_validate(json.loads(json.dumps(GOOD | changed)))
    except ValidationError as wrong:
        line = in_words([error | {"loc": ("body", *error["loc"])} for error in wrong.errors()])
        assert SECRET not in line
        assert line.isprintable()
        assert "what is documented" not in line  # each sort has its words
        assert len(line) < 1000
