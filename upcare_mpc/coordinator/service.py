"""The platform's two gRPC faces: one for researchers, one for registries.

Researchers connect over TLS that authenticates the platform; their messages are signed. Registries
connect over mutual TLS on another port; the certificate names them.

                              for registries    for researchers    where
    studies                   Attendance        Research           here
    deposits                  Depositing        Depositing         ``depositing``
    deposits, for holders     Collecting                           ``depositing``
    keys to sealed records    Board             Filing             ``board``
    sealed records            Keeping           Fetching           ``vaults``
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import grpc
import grpc.aio

from upcare_mpc._proto.upcare.board.v1 import board_pb2_grpc
from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2, coordinator_pb2_grpc
from upcare_mpc._proto.upcare.deposit.v1 import deposit_pb2_grpc
from upcare_mpc._proto.upcare.vault.v1 import vault_pb2_grpc
from upcare_mpc.config import PlatformFile
from upcare_mpc.coordinator.board import BoardService, FilingService
from upcare_mpc.coordinator.callers import abort, registry_of
from upcare_mpc.coordinator.depositing import CollectingService, DepositingService
from upcare_mpc.coordinator.listing import listed
from upcare_mpc.coordinator.platform import Platform
from upcare_mpc.coordinator.vaults import FetchingService, KeepingService, Vaults
from upcare_mpc.errors import ConfigError, ProtocolError, UpcareError
from upcare_mpc.link.certificates import Identity
from upcare_mpc.storage.board import Board

__all__ = ["serve"]

MESSAGE_BYTES = 16 << 20
BYTES_PER_GIGABYTE = 10**9
_OPTIONS = [
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ("grpc.max_send_message_length", MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),  # registries ping every 10 s
    ("grpc.max_concurrent_streams", 32),  # of one connection; more of them wait
    ("grpc.so_reuseport", 0),
]


async def serve(
    platform: Platform, board: Board, identity: Identity, file: PlatformFile
) -> list[Any]:
    """Start both servers; the caller stops them.

    Raises:
        ConfigError: A port is in use.
    """
    pair = [(identity.key_pem, identity.certificate_pem)]
    mutual = grpc.ssl_server_credentials(
        pair, root_certificates=identity.network.ca_pem, require_client_auth=True
    )
    vaults = Vaults(
        file.folder / "state" / "vault", room=file.gigabytes_per_registry * BYTES_PER_GIGABYTE
    )
    depositing = DepositingService(platform.deposits, platform.studies, identity)
    collecting = CollectingService(platform.deposits)
    registries = grpc.aio.server(options=_OPTIONS)
    coordinator_pb2_grpc.add_AttendanceServicer_to_server(_Attendance(platform), registries)
    board_pb2_grpc.add_BoardServicer_to_server(BoardService(board), registries)
    vault_pb2_grpc.add_KeepingServicer_to_server(KeepingService(vaults), registries)
    deposit_pb2_grpc.add_DepositingServicer_to_server(depositing, registries)
    deposit_pb2_grpc.add_CollectingServicer_to_server(collecting, registries)
    researchers = grpc.aio.server(options=_OPTIONS)
    coordinator_pb2_grpc.add_ResearchServicer_to_server(_Research(platform), researchers)
    board_pb2_grpc.add_FilingServicer_to_server(FilingService(board), researchers)
    deposit_pb2_grpc.add_DepositingServicer_to_server(depositing, researchers)
    vault_pb2_grpc.add_FetchingServicer_to_server(FetchingService(vaults, board), researchers)
    for server, address, credentials in (
        (registries, file.registries, mutual),
        (researchers, file.researchers, grpc.ssl_server_credentials(pair)),
    ):
        try:
            server.add_secure_port(address, credentials)
        except RuntimeError:
            raise ConfigError(f"{address} cannot be listened on; is the port in use?") from None
        await server.start()
    platform.tend()
    return [registries, researchers]


class _Attendance(coordinator_pb2_grpc.AttendanceServicer):
    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def Attend(self, _requests: Any, context: Any) -> None:  # noqa: N802
        """Keep a registry's stream."""
        first = await context.read()  # before any refusal: an unread message would mask it
        name = await registry_of(context)
        if first is grpc.aio.EOF or first.join.version != "1":
            await context.abort(
                grpc.StatusCode.FAILED_PRECONDITION, "protocol version 1 is spoken here"
            )
        try:
            self._platform.catalogue.hear(name, first.join)
        except ProtocolError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        await self._platform.attendance.serve(name, context)


class _Research(coordinator_pb2_grpc.ResearchServicer):
    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def Preview(self, request: Any, context: Any) -> Any:  # noqa: N802
        """What registries would say."""
        try:
            quotes = await self._platform.preview(request.request)
        except UpcareError as error:
            await abort(context, error)
        return coordinator_pb2.PreviewResponse(quotes=quotes)

    async def Submit(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Start or find a study."""
        try:
            digest, known = await self._platform.submit(request.request)
        except UpcareError as error:
            await abort(context, error)
        return coordinator_pb2.SubmitResponse(study_digest=digest, known=known)

    async def Close(self, request: Any, context: Any) -> Any:  # noqa: N802
        """End the collecting of a study's deposits."""
        try:
            digest, count = await self._platform.close(request.request, request.without)
        except UpcareError as error:
            await abort(context, error)
        return coordinator_pb2.CloseResponse(study_digest=digest, deposits=count)

    async def Watch(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """Follow a study."""
        try:
            async for event, last in self._platform.watch(request.authorization):
                yield coordinator_pb2.WatchResponse(
                    sequence=event.sequence,
                    time=datetime.fromisoformat(event.time).timestamp(),
                    phase=event.kind,
                    text=event.text,
                    last=last,
                )
        except UpcareError as error:
            await abort(context, error)

    async def Result(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """Hand out a finished study."""
        try:
            parts = self._platform.result(request.authorization)
        except UpcareError as error:
            await abort(context, error)
        for part in parts:
            yield part

    async def List(self, request: Any, context: Any) -> Any:  # noqa: N802
        """What this researcher has asked."""
        try:
            return await listed(self._platform.studies, self._platform.deposits, request)
        except UpcareError as error:
            await abort(context, error)

    async def Catalogue(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        """What registries state about their data; for whoever asks."""
        attending = self._platform.attendance.attending
        entries = self._platform.catalogue.entries(attending=attending)
        return coordinator_pb2.CatalogueResponse(entries=entries)
