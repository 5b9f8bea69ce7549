"""Calling the platform for somebody else: what she has signed goes through as it is.

The public interface uses it. It holds no key: it can pass signed messages on, or not, and see who
asks what and when, as the platform does. Results pass sealed.
"""

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import grpc
import grpc.aio

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2, coordinator_pb2_grpc
from upcare_mpc.client.platform import (
    Answer,
    CatalogueEntry,
    Event,
    ListedStudy,
    answer_of,
    entry_of,
    event_of,
    listed_of,
)
from upcare_mpc.client.signed_json import Authorization, ResultParts, SignedRequest
from upcare_mpc.client.words import one_line
from upcare_mpc.errors import LinkError, ProtocolError, RefusedError, StudyError, UpcareError
from upcare_mpc.link.calls import CALL_S
from upcare_mpc.link.certificates import Network, host_of

__all__ = ["Gateway"]

_OPTIONS: Final = [
    ("grpc.ssl_target_name_override", host_of("platform", "platform")),
    ("grpc.max_receive_message_length", 16 << 20),
    ("grpc.max_send_message_length", 16 << 20),
    ("grpc.keepalive_time_ms", 10_000),  # a platform that is gone ends a stream
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.use_local_subchannel_pool", 1),  # a story takes no call's place on a connection
]
_SAID: Final[dict[Any, type[UpcareError]]] = {
    grpc.StatusCode.INVALID_ARGUMENT: StudyError,
    grpc.StatusCode.UNAUTHENTICATED: ProtocolError,
    grpc.StatusCode.FAILED_PRECONDITION: RefusedError,
}
"""What the platform means by a status; the other end is ``coordinator.callers``."""


class Gateway:
    """A way to the platform; to be made and closed in the event loop that uses it.

    Every method raises:
        StudyError: The platform cannot use the study, or knows no such study of this key.
        ProtocolError: It does not accept the signature.
        RefusedError: It says no.
        LinkError: It cannot be reached, is silent, or says what cannot be understood.
    """

    def __init__(self, address: str, network: Network) -> None:
        self._address = address
        self._network = network
        self._channel = self._connect()
        self._stub = coordinator_pb2_grpc.ResearchStub(self._channel)

    async def close(self) -> None:
        """Close the connection."""
        await self._channel.close()

    async def preview(self, request: SignedRequest) -> list[Answer]:
        """Ask what every registry would say; spends nothing."""
        message = coordinator_pb2.PreviewRequest(request=request)
        with _said():
            response = await self._stub.Preview(message, timeout=CALL_S)
        with _understood():
            return [answer_of(quote) for quote in response.quotes]

    async def catalogue(self, *, within_s: float = CALL_S) -> list[CatalogueEntry]:
        """List what the registries state about their data."""
        with _said():
            response = await self._stub.Catalogue(
                coordinator_pb2.CatalogueRequest(), timeout=within_s
            )
        with _understood():
            return [entry_of(entry) for entry in response.entries]

    async def submit(self, request: SignedRequest) -> tuple[bytes, bool]:
        """Submit a study; return its digest, and whether it was already there."""
        message = coordinator_pb2.SubmitRequest(request=request)
        with _said():
            response = await self._stub.Submit(message, timeout=CALL_S)
        return response.study_digest, bool(response.known)

    async def close_study(
        self, request: SignedRequest, without: Sequence[str]
    ) -> tuple[bytes, int]:
        """Close a study that is collecting; return its digest, and how many deposits it took."""
        message = coordinator_pb2.CloseRequest(request=request, without=without)
        with _said():
            response = await self._stub.Close(message, timeout=CALL_S)
        return response.study_digest, int(response.deposits)

    async def studies(
        self, authorization: Authorization, *, after: bytes = b"", limit: int
    ) -> tuple[list[ListedStudy], bool]:
        """List a page of the studies of the key that has signed, newest first.

        Args:
            authorization: Hers, for ``list``.
            after: Digest of the study that the page comes after; empty for the first page.
            limit: How many at most, 1 to 100.

        Returns:
            The page, and whether older studies follow.
        """
        return await self._listed(
            coordinator_pb2.ListRequest(authorization=authorization, after=after, limit=limit)
        )

    async def study(self, authorization: Authorization, digest: bytes) -> ListedStudy | None:
        """How far one study of the key that has signed is; None if it has asked no such study."""
        listed, _ = await self._listed(
            coordinator_pb2.ListRequest(authorization=authorization, study_digest=digest)
        )
        return next((study for study in listed if study.digest == digest), None)

    async def _listed(self, message: coordinator_pb2.ListRequest) -> tuple[list[ListedStudy], bool]:
        with _said():
            response = await self._stub.List(message, timeout=CALL_S)
        with _understood():
            return [listed_of(study) for study in response.studies], response.more

    async def watch(self, authorization: Authorization) -> AsyncGenerator[tuple[int, Event], None]:
        """Follow a study's story: the number of each event, and the event.

        It has a connection of its own, closed with the generator.
        """
        message = coordinator_pb2.WatchRequest(authorization=authorization)
        async with self._connect() as channel:
            with _said():
                async for event in coordinator_pb2_grpc.ResearchStub(channel).Watch(message):
                    yield event.sequence, event_of(event)

    async def result(self, authorization: Authorization) -> ResultParts:
        """Fetch the sealed envelope of a finished study."""
        message = coordinator_pb2.ResultRequest(authorization=authorization)
        with _said():
            return [part async for part in self._stub.Result(message, timeout=CALL_S)]

    def _connect(self) -> Any:
        credentials = grpc.ssl_channel_credentials(self._network.ca_pem)
        return grpc.aio.secure_channel(self._address, credentials, options=_OPTIONS)


@contextmanager
def _said() -> Iterator[None]:
    """Turn what the platform says into the error that it stands for."""
    try:
        yield
    except grpc.RpcError as error:
        kind = _SAID.get(error.code())
        if kind is None:
            raise LinkError("the platform cannot be reached, or did not answer in time") from None
        raise kind(one_line(str(error.details() or ""))) from None


@contextmanager
def _understood() -> Iterator[None]:
    """Turn words of the platform that cannot be read into a failure of the link to it."""
    try:
        yield
    except (ProtocolError, ValueError, OverflowError, OSError):
        raise LinkError("the platform says what cannot be understood") from None
