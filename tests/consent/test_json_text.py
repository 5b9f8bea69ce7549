import time

import pytest

from upcare_mpc.consent.json_text import MAX_DEPTH, read_json
from upcare_mpc.errors import InputError

LIMIT = 2**18


def read(text: str | bytes) -> object:
    received = text if isinstance(text, bytes) else text.encode()
    return read_json(received, name="it", max_bytes=LIMIT)


def nested(levels: int) -> str:
    return '{"a":' * (levels - 1) + "{}" + "}" * (levels - 1)


def test_an_object_is_read() -> None:
    assert read('{"a": ["\\"[[[{{", 1]}') == {"a": ['"[[[{{', 1]}
    assert read(nested(MAX_DEPTH))


@pytest.mark.parametrize(
    ("hostile", "told"),
    [
        (b"\xff{}", "wanted UTF-8"),
        ("", "not JSON, from character 1 on"),
        ("[]", "wanted a JSON object"),
        ('{"a": 1', "not JSON, from character 8 on"),
        ('{"a": 1, "a": 2}', "a key is given twice"),
        ('{"a": {"b": 1, "b": 1}}', "a key is given twice"),
        ('{"a": NaN}', "a number is not of usual size"),
        ('{"a": ' + "9" * 5000 + "}", "a number is not of usual size"),
        (nested(MAX_DEPTH + 1), "at most 16 levels"),
        ("[" * 100_000, "at most 16 levels"),
        ('{"a": "' + "x" * LIMIT + '"}', f"at most {LIMIT} bytes"),
    ],
)
def test_anything_else_is_refused_in_one_line(hostile: str | bytes, told: str) -> None:
    with pytest.raises(InputError, match=told) as refused:
        read(hostile)

    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ['{"' + '\\"' * 120_000, '{"' * 120_000, '{"a' + "\\" * 240_001])
def test_strings_without_an_end_are_looked_at_once(text: str) -> None:
    begin = time.monotonic()

    with pytest.raises(InputError):
        read(text)

    assert time.monotonic() - begin < 20  # a guard: quadratic work would take hours
