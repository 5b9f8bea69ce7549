"""What stands between a request and a page: the language, the visit, and what was sent.

A visit is a cookie that no script reads and no other site sends (HttpOnly, SameSite=Strict, Secure
where there is TLS). What changes anything has to be sent by POST, by this site's own form, with the
visit's *proof* in it, which follows from the cookie and which no other site can know.

What was sent is read only if it is a short form, and within seconds.
"""

import asyncio
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeAlias
from urllib.parse import parse_qs

from fastapi import Depends, HTTPException, Request
from fastapi.responses import HTMLResponse

from upcare_mpc.storage.patients import Visits
from upcare_mpc.web.dossier import Dossier, Registry
from upcare_mpc.web.language import LANGUAGES, NAMES, Language, language, preferred

__all__ = [
    "COOKIE",
    "Form",
    "NoVisitError",
    "Sent",
    "Spoken",
    "Visit",
    "Visiting",
    "body_of",
    "registry_of",
    "rendered",
    "spoken_in",
    "visits_of",
]

COOKIE: Final = "upcare-visit"
Form: TypeAlias = Mapping[str, Sequence[str]]

_MAX_FORM_BYTES: Final = 4096
_MAX_FIELDS: Final = 40
_FORM_SECONDS: Final = 10
_OURS: Final = frozenset({None, "same-origin", "none"})


class NoVisitError(Exception):
    """There is no visit, or it is over."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Visit:
    """A patient who is looking at a page.

    Attributes:
        request: What she asked for.
        language: Of the page.
        token: Of the visit. Secret.
        dossier: Hers.
    """

    request: Request
    language: Language
    token: str
    dossier: Dossier

    @property
    def registry(self) -> Registry:
        """Whose page it is."""
        return registry_of(self.request)

    @property
    def proof(self) -> str:
        """What a form of this visit carries, so that no other site can send it."""
        return hmac.digest(self.token.encode(), b"upcare/v1/patient-proof", "sha256").hex()

    def check(self, form: Form) -> None:
        """Check that a form is one of this visit.

        Raises:
            HTTPException: It is not.
        """
        self.check_proof(form.get("proof", [""])[0])

    def check_proof(self, proof: str) -> None:
        """Check what a form of this visit carries.

        Raises:
            HTTPException: It is that of another visit, or of none.
        """
        if not hmac.compare_digest(proof.encode(), self.proof.encode()):
            raise HTTPException(403)

    def page(self, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
        """Render a template for this patient."""
        values |= {"proof": self.proof, "inside": True}
        return rendered(self.request, self.language, template, status=status, **values)


def spoken_in(request: Request) -> Language:
    """Return the language that the path begins with, else the one that the browser prefers."""
    code = request.url.path.split("/")[1]
    if code in LANGUAGES:
        return language(code)
    return language(preferred(request.headers.get("accept-language")))


def _spoken(request: Request, code: str) -> Language:
    if code not in LANGUAGES:
        raise HTTPException(404)
    return spoken_in(request)


def _visiting(request: Request, spoken: Annotated[Language, Depends(_spoken)]) -> Visit:
    token = request.cookies.get(COOKIE, "")
    registry = registry_of(request)
    patient = visits_of(request).patient(token, now=registry.clock()) if token else None
    if patient is None:
        raise NoVisitError
    dossier = registry.dossier(patient)
    return Visit(request=request, language=spoken, token=token, dossier=dossier)


async def _sent(request: Request) -> Form:
    body = await body_of(
        request, "application/x-www-form-urlencoded", most=_MAX_FORM_BYTES, seconds=_FORM_SECONDS
    )
    try:
        return parse_qs(
            body.decode("ascii"),
            keep_blank_values=True,
            max_num_fields=_MAX_FIELDS,
            errors="strict",
        )
    except ValueError:  # more fields, or other bytes, than a form has
        raise HTTPException(400) from None


async def body_of(request: Request, kind: str, *, most: int, seconds: float) -> bytes:
    """Read what this site's own page has sent.

    Args:
        request: From anybody.
        kind: Its type has to be this.
        most: So many bytes.
        seconds: So long is waited for all of it.

    Raises:
        HTTPException: It is of another site or type, or too long, or takes too long.
    """
    length = request.headers.get("content-length", "")
    if request.headers.get("sec-fetch-site") not in _OURS:
        raise HTTPException(403)
    if request.headers.get("content-type", "").partition(";")[0].strip() != kind:
        raise HTTPException(400)
    if not length.isdecimal():
        raise HTTPException(400)
    if len(length) > len(str(most)) or int(length) > most:
        raise HTTPException(413)
    try:
        return await asyncio.wait_for(_body(request, most), seconds)
    except TimeoutError:
        raise HTTPException(408) from None


async def _body(request: Request, most: int) -> bytes:
    """Read what was sent, which need not be as short as its header says."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise HTTPException(413)
    return bytes(body)


Spoken: TypeAlias = Annotated[Language, Depends(_spoken)]
Visiting: TypeAlias = Annotated[Visit, Depends(_visiting)]
Sent: TypeAlias = Annotated[Form, Depends(_sent)]


def registry_of(request: Request) -> Registry:
    """Return the registry whose page it is."""
    registry: Registry = request.app.state.registry
    return registry


def visits_of(request: Request) -> Visits:
    """Return the registry's visits."""
    visits: Visits = request.app.state.visits
    return visits


def rendered(
    request: Request, spoken: Language, template: str, *, status: int = 200, **values: Any
) -> HTMLResponse:
    """Render a template."""
    place = request.url.path.partition("/")[2].partition("/")[2]
    page = spoken.templates.get_template(template).render(
        {
            "registry": request.app.state.title,
            "elsewhere": [(code, NAMES[code], f"/{code}/{place}") for code in LANGUAGES],
            "inside": False,
            **values,
        }
    )
    return HTMLResponse(page, status_code=status)
