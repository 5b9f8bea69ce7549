"""Who calls, and how an error is said to the caller: what all the platform's services share."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any, Final, NoReturn

import grpc
import grpc.aio

from upcare_mpc.errors import ProtocolError, RefusedError, StudyError, UpcareError
from upcare_mpc.link.certificates import party_of_host

__all__ = ["abort", "answering", "heard", "registry_in", "registry_of", "say"]

STALL_S: Final = 60.0
"""A stream whose caller neither sends what is awaited nor takes what is sent ends after this."""

STATUS: Final[dict[type[UpcareError], Any]] = {
    StudyError: grpc.StatusCode.INVALID_ARGUMENT,
    ProtocolError: grpc.StatusCode.UNAUTHENTICATED,
    RefusedError: grpc.StatusCode.FAILED_PRECONDITION,
}


def registry_in(context: Any) -> str | None:
    """Return the registry that the caller's certificate names; None if it has none that does."""
    for host in context.auth_context().get("x509_subject_alternative_name", ()):
        party = party_of_host(host.decode("ascii", "replace"))
        if party is not None and party[1] == "registry":
            return party[0]
    return None


async def registry_of(context: Any) -> str:
    """Return the registry that the caller's certificate names; end the call if it names none."""
    if (name := registry_in(context)) is not None:
        return name
    await context.abort(grpc.StatusCode.UNAUTHENTICATED, "the certificate is not a registry's")
    raise AssertionError("abort does not return")


@asynccontextmanager
async def answering(
    context: Any, statuses: Mapping[type[UpcareError], Any] = MappingProxyType({})
) -> AsyncIterator[None]:
    """End the call with the text of any error of ours that is raised inside.

    Args:
        context: Of the call.
        statuses: Error classes that have another status in this method than ``abort`` gives.
    """
    try:
        yield
    except UpcareError as error:
        if (status := statuses.get(type(error))) is None:
            await abort(context, error)
        await context.abort(status, str(error))


async def abort(context: Any, error: UpcareError) -> NoReturn:
    """End a call with an error's text; the one map from our errors to gRPC's."""
    code = next(
        (status for kind, status in STATUS.items() if isinstance(error, kind)),
        grpc.StatusCode.INTERNAL,
    )
    await context.abort(code, str(error))
    raise AssertionError("abort does not return")


async def heard(context: Any) -> Any:
    """Return the caller's next message, None at its end; end the call if none comes in time."""
    try:
        message = await asyncio.wait_for(context.read(), STALL_S)
    except TimeoutError:
        await _stalled(context)
    return None if message is grpc.aio.EOF else message


async def say(context: Any, message: Any) -> None:
    """Send a message; end the call if it is not taken in time."""
    try:
        await asyncio.wait_for(context.write(message), STALL_S)
    except TimeoutError:
        await _stalled(context)


async def _stalled(context: Any) -> NoReturn:
    await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, f"nothing moved for {STALL_S:g} s")
    raise AssertionError("abort does not return")
