"""Strict JSON: size and depth are bounded before parsing, and a key given twice is refused."""

import json
import re
from typing import Any, Final

from upcare_mpc.errors import InputError

__all__ = ["MAX_DEPTH", "read_json"]

MAX_DEPTH: Final = 16

# A string that is not closed reaches to the end, so every character is looked at once.
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)


def read_json(received: bytes, *, name: str, max_bytes: int) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        received: Anything at all.
        name: What to call it in error texts.
        max_bytes: How much of it is read.

    Raises:
        InputError: It is none, or beyond a limit. The text quotes nothing of it.
    """
    if len(received) > max_bytes:
        raise InputError(f"{name}: wanted at most {max_bytes} bytes, got {len(received)}")
    try:
        text = received.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: wanted UTF-8, got another byte at {error.start}") from None
    _check_depth(text, name)
    try:
        content = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise InputError(f"{name}: not JSON, from character {error.pos + 1} on") from None
    except ValueError:
        raise InputError(
            f"{name}: a key is given twice, or a number is not of usual size"
        ) from None
    if not isinstance(content, dict):
        raise InputError(f"{name}: wanted a JSON object, got another value")
    return content


def _check_depth(text: str, name: str) -> None:
    depth = 0
    for found in _STRING_OR_BRACKET.finditer(text):
        match found.group()[0]:
            case "[" | "{":
                depth += 1
            case "]" | "}":
                depth -= 1
        if depth > MAX_DEPTH:
            raise InputError(f"{name}: wanted at most {MAX_DEPTH} levels, got more")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a key is given twice")
    return content


def _no_constant(_written: str) -> None:
    raise ValueError("not a number")
