"""Every way in which a request can fail, on one screen; RFC 9457.

    {"type": "urn:upcare:problem:refused", "title": ..., "status": 409, "detail": ..., "code": ...}

Codes of `upcare_mpc.errors` keep their names, so that a failure is called the same on the command
line, over gRPC and here. What is not in `PROBLEMS` is `internal`: it has a number, which is in the
log too, and no text. No detail holds a path, an address or a value that nobody has sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fastapi.responses import JSONResponse

from upcare_mpc.errors import UpcareError

__all__ = ["MEDIA_TYPE", "PROBLEMS", "ProblemError", "code_of", "declared", "document", "problem"]

MEDIA_TYPE: Final = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to fail.

    Attributes:
        status: Of HTTP.
        title: The same for every failure of this kind.
    """

    status: int
    title: str


PROBLEMS: Final[Mapping[str, Kind]] = {
    "request": Kind(400, "The request is not as documented"),
    "token": Kind(401, "A token of the researcher's is wanted"),
    "token.scope": Kind(403, "The token does not allow this"),
    "token.key": Kind(403, "The request and the token are signed by different keys"),
    "protocol": Kind(403, "What is signed is not accepted"),
    "not_found": Kind(404, "There is no such thing"),
    "method": Kind(405, "This cannot be done here"),
    "slow": Kind(408, "The request took too long to arrive"),
    "refused": Kind(409, "A registry or the platform says no"),
    "too_large": Kind(413, "The request is too large"),
    "input.study": Kind(422, "The study cannot be asked"),
    "idempotency": Kind(422, "The Idempotency-Key was used for another request"),
    "limit": Kind(429, "Too many requests"),
    "internal": Kind(500, "Something went wrong here"),
    "link": Kind(503, "The platform cannot be reached"),
}
_ALWAYS: Final = ("request", "slow", "too_large", "limit", "internal")


class ProblemError(Exception):
    """A request fails; the answer is a problem document.

    Args:
        code: One of ``PROBLEMS``.
        detail: One sentence, safe to show to anyone.
        headers: Of the answer.
    """

    def __init__(self, code: str, detail: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.headers = headers


def code_of(error: UpcareError) -> str:
    """Return the code under which an error is told here: its own, its parent's, or ``internal``."""
    for kind in type(error).__mro__:
        code = getattr(kind, "code", None)
        if code in PROBLEMS:
            return str(code)
    return "internal"


def document(code: str, detail: str, *, incident: str | None = None) -> dict[str, Any]:
    """Return the problem document."""
    kind = PROBLEMS[code]
    return {
        "type": f"urn:upcare:problem:{code}",
        "title": kind.title,
        "status": kind.status,
        "detail": detail,
        "code": code,
    } | ({} if incident is None else {"instance": f"urn:upcare:incident:{incident}"})


def problem(
    code: str,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    incident: str | None = None,
) -> JSONResponse:
    """Return the answer for a failed request."""
    return JSONResponse(
        document(code, detail, incident=incident),
        status_code=PROBLEMS[code].status,
        headers=dict(headers or {}),
        media_type=MEDIA_TYPE,
    )


def declared(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Declare for OpenAPI which problems a route can answer with, beside those of every route."""
    listed: dict[int | str, list[str]] = {}
    for code in PROBLEMS:
        if code in codes or code in _ALWAYS:
            listed.setdefault(PROBLEMS[code].status, []).append(code)
    return {
        status: {
            "description": "; ".join(f"`{code}`: {PROBLEMS[code].title}" for code in names),
            "content": {
                MEDIA_TYPE: {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "examples": {
                        code: {"value": document(code, PROBLEMS[code].title)} for code in names
                    },
                }
            },
        }
        for status, names in listed.items()
    }
