"""The public interface as an ASGI application.

    create_app(upstream, network, agreement, log=...)     hand it to a server

Adversary: whoever reaches it and sends any bytes, holds another key, another network's token or a
stolen one; and whoever runs it, who can refuse and delay, sees who asks what, and opens no answer.
Nothing about a study is kept here, and no log line tells who asked what.

Every answer carries the headers of `HEADERS`; every failure is a problem document (`problems`).
"""

import asyncio
import os
import re
import time
from collections.abc import Callable
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from upcare_mpc import __version__
from upcare_mpc.api.limits import Limits, address_of
from upcare_mpc.api.models import EventItem, Problem
from upcare_mpc.api.problems import MEDIA_TYPE, ProblemError, code_of, problem
from upcare_mpc.api.routes import router
from upcare_mpc.api.service import Service
from upcare_mpc.api.wrong_fields import in_words
from upcare_mpc.client.gateway import Gateway
from upcare_mpc.config import Agreement
from upcare_mpc.errors import UpcareError
from upcare_mpc.link.certificates import Network

__all__ = ["HEADERS", "create_app", "openapi"]

HEADERS: Final = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "x-robots-tag": "noindex",
    "cross-origin-resource-policy": "same-origin",
}
_OF_TLS: Final = {"strict-transport-security": "max-age=31536000"}
_OF_STATUS: Final = {404: "not_found", 405: "method"}
_DESCRIPTION: Final = (
    "One question to many cancer registries, one differentially private answer. Questions are "
    "signed by the researcher; results pass sealed to her; this service can read none. "
    "All failures are problem documents (RFC 9457)."
)


def create_app(
    upstream: Gateway,
    network: Network,
    agreement: Agreement,
    *,
    log: Callable[[str], None],
    limits: Limits | None = None,
) -> ASGIApp:
    """Make the application.

    Args:
        upstream: The way to the platform.
        network: Trust anchor of the network; tokens are for it.
        agreement: What its registries have agreed on.
        log: Takes one line; none of them tells who asks what.
        limits: The figures, unless those of ``Limits``.
    """
    app = _bare()
    service = Service(upstream, network, agreement, log=log, limits=limits or Limits())
    app.state.service = service
    app.add_exception_handler(ProblemError, _say_problem)
    app.add_exception_handler(UpcareError, _say_error)
    app.add_exception_handler(RequestValidationError, _say_invalid)
    app.add_exception_handler(HTTPException, _say_status)
    app.add_exception_handler(Exception, _say_failure)
    return _Guard(app, service)


def openapi() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document."""
    return _bare().openapi()


def _bare() -> FastAPI:
    app = FastAPI(
        title="UPCARE",
        version=__version__,
        description=_DESCRIPTION,
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.include_router(router)

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
            )
            app.openapi_schema = _with_our_problems(found)
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]  # FastAPI's documented way
    return app


def _with_our_problems(found: dict[str, Any]) -> dict[str, Any]:
    """Put our problems where FastAPI expects its own; docstrings become summaries."""
    schemas = found["components"]["schemas"]
    for theirs in ("HTTPValidationError", "ValidationError"):
        schemas.pop(theirs, None)
    for model in (Problem, EventItem):  # answered, but as no route's own model
        schemas[model.__name__] = model.model_json_schema()
    for path in found["paths"].values():
        for operation in path.values():
            content = operation["responses"].get("422", {}).get("content", {})
            if MEDIA_TYPE not in content:
                operation["responses"].pop("422", None)
            summary, _, rest = operation["description"].partition("\n")
            operation["summary"], operation["description"] = summary, rest.strip() or summary
    return found


class _Guard:
    """What holds before any route: headers, an address's rate, the size and time of a body."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = HEADERS | (_OF_TLS if scope.get("scheme") == "https" else {})
        begun = False

        async def guarded(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                MutableHeaders(scope=message).update(headers)
            await send(message)

        try:
            host = (scope.get("client") or ("unknown", 0))[0]
            self._service.addresses.take(address_of(host), time.monotonic())
            body = await self._body(scope, receive)
            await self._app(scope, _replayed(body, receive), guarded)
        except ProblemError as error:
            answer = problem(error.code, error.detail, headers=error.headers)
            answer.headers["connection"] = "close"  # there may be more of it that nobody reads
            await answer(scope, receive, guarded)
        except Exception as error:  # noqa: BLE001 - a traceback may hold values
            if not begun:
                await _failure(self._service, error)(scope, receive, guarded)

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """Read all of it, and no more than there may be.

        Raises:
            ProblemError: It is too large, or too slow.
        """
        most = self._service.limits.body_bytes
        stated = Headers(scope=scope).get("content-length", "0")
        if stated.isdecimal() and int(stated[:20]) > most:
            raise ProblemError("too_large", f"wanted at most {most} bytes")
        body = bytearray()
        try:
            async with asyncio.timeout(self._service.limits.body_s):
                while True:
                    message = await receive()
                    body += message.get("body", b"")
                    if len(body) > most:
                        raise ProblemError("too_large", f"wanted at most {most} bytes")
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError:
            seconds = self._service.limits.body_s
            raise ProblemError("slow", f"wanted all of it within {seconds:g} s") from None


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Hand the body on as one message, then whatever else arrives."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _failure(service: Service, error: Exception) -> JSONResponse:
    """Answer what nobody expected with a number, which the log has too; no value is in either."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = place.tb_frame.f_code.co_qualname if place is not None else "nowhere"
    incident = os.urandom(8).hex()
    service.log(f"failed {incident}: {type(error).__name__} in {where}")
    return problem("internal", f"tell the operator the number {incident}", incident=incident)


async def _say_problem(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ProblemError)  # it is registered for these
    return problem(error.code, error.detail, headers=error.headers)


async def _say_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, UpcareError)  # likewise
    code = code_of(error)
    if code == "internal":
        return _failure(request.app.state.service, error)
    return problem(code, str(error), headers={"Retry-After": "5"} if code == "link" else None)


async def _say_invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # likewise
    return problem("request", in_words(error.errors()))


async def _say_status(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # likewise
    code = _OF_STATUS.get(error.status_code, "request")
    if code == "method":
        allowed = ", ".join(sorted(_methods_at(request))) or (error.headers or {})["Allow"]
        return problem(code, f"wanted {allowed}", headers={"Allow": allowed})
    detail = {"not_found": "there is nothing at this place"}
    return problem(code, detail.get(code, "the body cannot be read as JSON"), headers=error.headers)


def _methods_at(request: Request) -> set[str]:
    """The methods of all routes at this path; the framework names those of the first alone."""
    return {
        method.upper()
        for template, operations in request.app.openapi()["paths"].items()
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), request.url.path)
        for method in operations
    }


async def _say_failure(request: Request, error: Exception) -> JSONResponse:
    return _failure(request.app.state.service, error)
