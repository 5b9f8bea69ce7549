"""What is wrong with the fields of a request: what was wanted and what sort of thing was got.

No value is repeated, and no name that is not ours: either may be a secret that went to the wrong
place. Pydantic's own sentences would say some of it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

__all__ = ["in_words"]

_SAID: Final = 5  # fields, of many that are wrong
_WANTED: Final[Mapping[str, str]] = {
    "extra_forbidden": "the documented fields alone",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number",
    "int_type": "a whole number",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
    "json_invalid": "JSON",
    "list_type": "a list",
    "missing": "a value",
    "model_attributes_type": "an object",
    "model_type": "an object",
    "string_pattern_mismatch": "a string that matches {pattern}",
    "string_too_long": "at most {max_length} characters",
    "string_too_short": "at least {min_length} characters",
    "string_type": "a string",
    "string_unicode": "a string of Unicode characters",
    "too_long": "at most {max_length} items",
}
_GOT: Final[Mapping[str, str]] = {
    "extra_forbidden": "another one",
    "greater_than_equal": "less",
    "json_invalid": "something else",
    "less_than_equal": "more",
    "missing": "nothing",
    "string_unicode": "something else",
}


def in_words(errors: Sequence[Mapping[str, Any]]) -> str:
    """One line for the first few errors of a validation, as Pydantic lists them."""
    return "; ".join(_line(error) for error in errors[:_SAID])


def _line(error: Mapping[str, Any]) -> str:
    kind = error["type"]
    wanted = _WANTED.get(kind, "what is documented").format_map(error.get("ctx", {}))
    place = ".".join(map(str, _place(kind, error["loc"])))
    return f"{place or 'body'}: wanted {wanted}, got {_GOT.get(kind) or _sort(error['input'])}"


def _place(kind: str, place: Sequence[str | int]) -> Sequence[str | int]:
    """The field, below the part of the request; of one that is not ours, where it stands."""
    if kind == "json_invalid":
        return ()
    return place[1:-1] if kind == "extra_forbidden" else place[1:]


def _sort(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return f"a string of {len(value)} characters"
        case list():
            return f"a list of {len(value)} items"
        case dict():
            return "an object"
        case _:
            return "something else"
