"""The patients' page of one registry, as an ASGI application.

    create_app(registry, visits, ...)     hand it to a server

There is no account, nothing from elsewhere, and nothing here that leaves the registry, but for what
a patient deposits herself, encrypted. One page has a script: the one that encrypts her answers.
Adversary: whoever reaches the page and sends any bytes; any other site that the patient has open;
whoever reads the log, which holds no pseudonym, code, address or path; whoever finds the phone a
quarter of an hour later. Not the registry itself, and not who looks over the patient's shoulder.

Every answer carries the headers of `HEADERS`; every error is a sentence in the patient's language.
"""

from collections.abc import Callable
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from upcare_mpc.errors import UpcareError
from upcare_mpc.storage.patients import Visits
from upcare_mpc.web import questionnaire
from upcare_mpc.web.attempts import Attempts
from upcare_mpc.web.dossier import Registry
from upcare_mpc.web.language import marked
from upcare_mpc.web.questionnaires import Questionnaires
from upcare_mpc.web.routes import router
from upcare_mpc.web.visit import NoVisitError, rendered, spoken_in

__all__ = ["HEADERS", "create_app"]

HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "x-robots-tag": "noindex",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_OF_TLS: Final = {"strict-transport-security": "max-age=31536000"}

_SENTENCES: Final = {
    400: marked("Your browser has sent something that this page does not understand."),
    403: marked("This form is not from your present visit. Please begin again."),
    404: marked("There is no such page."),
    405: marked("There is no such page."),
    408: marked("That took too long. Please try again."),
    413: marked("Your browser has sent more than this page reads."),
    429: marked("Somebody has tried too many codes. Please wait a minute and try again."),
    500: marked("Something went wrong here, and nothing was changed. Please try again later."),
    503: marked("Your record cannot be looked up at the moment. Please try again later."),
}


def create_app(
    registry: Registry,
    visits: Visits,
    questionnaires: Questionnaires | None,
    *,
    title: str,
    log: Callable[[str], None],
) -> ASGIApp:
    """Make the application.

    Args:
        registry: Whose page it is.
        visits: Its codes and visits.
        questionnaires: What its patients can answer; None if it has no connection to a platform.
        title: What patients call the registry.
        log: Takes one line; none of them tells who a patient is.
    """
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.registry = registry
    app.state.visits = visits
    app.state.questionnaires = questionnaires
    app.state.title = title
    app.state.attempts = Attempts()
    app.state.log = log
    app.include_router(questionnaire.router)
    app.include_router(router)
    app.add_exception_handler(NoVisitError, _begin_again)
    app.add_exception_handler(HTTPException, _say_status)
    app.add_exception_handler(RequestValidationError, _say_bad_request)
    app.add_exception_handler(UpcareError, _say_unavailable)
    app.add_exception_handler(Exception, _say_failure)
    return _Guard(app, log)


class _Guard:
    """Puts the headers on every answer; turns what nobody expected into one line of log."""

    def __init__(self, app: ASGIApp, log: Callable[[str], None]) -> None:
        self._app = app
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = HEADERS | (_OF_TLS if scope.get("scheme") == "https" else {})

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = MutableHeaders(scope=message)
                for name, value in headers.items():
                    given.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, guarded)
        except Exception as error:  # noqa: BLE001 - answered already; a traceback may hold values
            place = error.__traceback__
            while place is not None and place.tb_next is not None:
                place = place.tb_next
            where = f"{place.tb_frame.f_code.co_qualname}" if place is not None else "nowhere"
            self._log(f"failed: {type(error).__name__} in {where}")


def _say(request: Request, status: int) -> Response:
    sentence = _SENTENCES.get(status, _SENTENCES[500])
    return rendered(request, spoken_in(request), "sentence.html", status=status, sentence=sentence)


async def _begin_again(request: Request, _: Exception) -> Response:
    return RedirectResponse(f"/{spoken_in(request).code}/?over=1", 303)


async def _say_status(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # it is registered for these
    return _say(request, error.status_code)


async def _say_bad_request(request: Request, _: Exception) -> Response:
    return _say(request, 400)


async def _say_unavailable(request: Request, error: Exception) -> Response:
    request.app.state.log(f"unavailable: {error}")
    return _say(request, 503)


async def _say_failure(request: Request, _: Exception) -> Response:
    return _say(request, 500)
