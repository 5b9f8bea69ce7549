"""The link between registries in one session: mutual TLS over gRPC.

One bidirectional stream for each pair, opened by the party with the higher roster index. Hello
is exchanged and checked before anything else is read; then whole frames go both ways, cut into
pieces of 1 MiB, the last of what is left. Sending never waits, ``drain`` does, while more than
8 MiB are queued to some peer. A peer that is lost fails every pending receive at once; one that
is silent, or takes nothing while much is queued, fails it after ``silence_s``.

Adversary: a hostile network, and a peer that may send any bytes. It can end the session; it
cannot speak as another party (its certificate names it), nor into another session (Hello), nor
make this process keep more than ``mailbox.MAX_UNCLAIMED_BYTES`` that nobody asked for.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from upcare_mpc._proto.upcare.link.v1 import link_pb2
from upcare_mpc.errors import LinkError, ProtocolError, UpcareError
from upcare_mpc.link.certificates import Identity, host_of, party_of_host
from upcare_mpc.link.frames import PIECE_BYTES, Piece, read_piece, write_piece
from upcare_mpc.link.mailbox import Mailbox

__all__ = ["GrpcChannel", "SessionHello"]

MAX_FRAME_BYTES = 64 << 20
HELLO_BYTES = 4 << 10
QUEUE_BYTES = 8 << 20
CONNECT_S = 15.0
SILENCE_S = 30.0

_SERVICE = "upcare.link.v1.Link"
_METHOD = f"/{_SERVICE}/Exchange"
_OPTIONS = [
    ("grpc.max_receive_message_length", PIECE_BYTES + (64 << 10)),
    ("grpc.max_send_message_length", PIECE_BYTES + (64 << 10)),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),  # else pings cost the connection
    ("grpc.so_reuseport", 0),
    ("grpc.http2.max_frame_size", 1 << 22),  # fewer, larger pieces inside HTTP/2
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionHello:
    """What this party says first, and what every peer must say: all but the index."""

    session_digest: bytes
    study_digest: bytes
    program_digest: bytes


class _Peer:
    """One peer's queue, mailbox and state."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.mailbox = Mailbox(name)
        self.outgoing: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.queued = 0
        self.room = asyncio.Event()
        self.room.set()
        self.linked = asyncio.Event()
        self.closed = asyncio.Event()
        self.flushed = asyncio.Event()  # all that was queued to a peer that dialled is sent
        self.accepted = False  # one stream a peer, from its first message on
        self.waiting_since: float | None = None
        self.took_at = 0.0  # when the peer last took a piece, or its queue became long
        self.call: Any = None  # grpc.aio has no public type for it

    def fail(self, error: UpcareError | None = None) -> None:
        """End the link: pending receives fail, senders stop waiting."""
        self.mailbox.fail(error)
        self.room.set()
        self.linked.set()
        self.closed.set()


class GrpcChannel:
    """This party's end of all links of one session; fills ``mpc.channel.Channel``.

    Args:
        identity: Certificate and key of this party.
        roster: Names of the session's registries; computing ones first.
        parties: m, how many of them compute.
        index: This party's place in the roster.
        hello: What both ends must agree on.
        silence_s: Seconds after which a pending receive gives up on a silent peer.
    """

    def __init__(
        self,
        identity: Identity,
        roster: Sequence[str],
        *,
        parties: int,
        index: int,
        hello: SessionHello,
        silence_s: float = SILENCE_S,
    ) -> None:
        self.index = index
        self.bytes_sent = 0
        self._identity = identity
        self._hello = hello
        self._silence_s = silence_s
        # Contributing registries do not talk to each other.
        linked = [i for i in range(len(roster)) if i != index and (i < parties or index < parties)]
        self._peers = {i: _Peer(roster[i]) for i in linked}
        self._server: Any = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._dialled: list[Any] = []

    # -- setting up -----------------------------------------------------------------------------

    async def listen(self, host: str, ports: Sequence[int]) -> int:
        """Listen on the first free port of ``ports`` (0 means any) and give its number.

        Raises:
            LinkError: No port is free.
        """
        credentials = grpc.ssl_server_credentials(
            [(self._identity.key_pem, self._identity.certificate_pem)],
            root_certificates=self._identity.network.ca_pem,
            require_client_auth=True,
        )
        for port in ports:
            server = grpc.aio.server(options=_OPTIONS)
            server.add_generic_rpc_handlers((_service(self._accept),))
            try:
                bound = server.add_secure_port(f"{host}:{port}", credentials)
            except RuntimeError:
                continue
            await server.start()
            self._server = server
            return int(bound)
        raise LinkError("no port of [link].ports is free")

    async def connect(self, endpoints: Mapping[int, str]) -> None:
        """Dial every peer with a lower index and wait until all links stand.

        Raises:
            LinkError: A peer cannot be reached, or its certificate is not accepted.
            ProtocolError: A peer is in another session.
        """
        for index, peer in self._peers.items():
            if index < self.index:
                self._spawn(self._dial(peer, index, endpoints[index]))
        for peer in self._peers.values():
            try:
                await asyncio.wait_for(peer.linked.wait(), CONNECT_S)
            except TimeoutError:
                peer.fail(LinkError(f"{peer.name} did not connect within {CONNECT_S:.0f} s"))
            if peer.closed.is_set():
                await peer.mailbox.receive(0)  # raises the link's failure
        self._spawn(self._watch_silence())

    async def close(self) -> None:
        """Send what is queued, say goodbye, and end all links."""
        for peer in self._peers.values():
            peer.outgoing.put_nowait(None)
        waits = [peer.closed.wait() for peer in self._peers.values() if peer.linked.is_set()]
        if waits:
            await asyncio.wait([asyncio.ensure_future(wait) for wait in waits], timeout=3.0)
        for task in self._tasks:
            task.cancel()
        for channel in self._dialled:
            await channel.close()
        if self._server is not None:
            await self._server.stop(grace=3.0)  # at once, if what was written has left

    # -- the port -------------------------------------------------------------------------------

    def send(self, peer: int, label: int, payload: bytes | memoryview) -> None:
        """Queue one frame, as the messages that will leave."""
        total = len(payload)
        if total > MAX_FRAME_BYTES:
            raise ProtocolError(f"a frame has at most {MAX_FRAME_BYTES} bytes, got {total}")
        target, view = self._peers[peer], memoryview(payload)
        self.bytes_sent += total
        for start in range(0, max(total, 1), PIECE_BYTES):
            message = write_piece(label, total, view[start : start + PIECE_BYTES])
            target.queued += len(message)
            target.outgoing.put_nowait(message)
        if target.queued > QUEUE_BYTES and target.room.is_set() and not target.closed.is_set():
            target.took_at = time.monotonic()
            target.room.clear()

    def receive(self, peer: int, label: int) -> "asyncio.Future[memoryview]":
        """Give a future for a peer's frame."""
        target = self._peers[peer]
        if not target.mailbox.waiting:
            target.waiting_since = time.monotonic()
        return target.mailbox.receive(label)

    async def drain(self) -> None:
        """Wait while some peer's queue is long."""
        for peer in self._peers.values():
            if not peer.room.is_set():
                await peer.room.wait()

    # -- streams --------------------------------------------------------------------------------

    def _own_hello(self) -> link_pb2.Hello:
        return link_pb2.Hello(
            session_digest=self._hello.session_digest,
            index=self.index,
            study_digest=self._hello.study_digest,
            program_digest=self._hello.program_digest,
        )

    def _check_hello(self, hello: link_pb2.Hello, expected: int) -> None:
        name = self._peers[expected].name if expected in self._peers else "a peer"
        if hello.index != expected:
            raise ProtocolError(f"{name} says it has place {hello.index} in the roster")
        for field, what in (
            ("session_digest", "session"),
            ("study_digest", "study"),
            ("program_digest", "program or version"),
        ):
            if getattr(hello, field) != getattr(self._hello, field):
                raise ProtocolError(f"{name} runs another {what}")

    async def _dial(self, peer: _Peer, index: int, endpoint: str) -> None:
        """Open the stream to a peer, check its Hello, then read until it ends."""
        credentials = grpc.ssl_channel_credentials(
            root_certificates=self._identity.network.ca_pem,
            private_key=self._identity.key_pem,
            certificate_chain=self._identity.certificate_pem,
        )
        options = [*_OPTIONS, ("grpc.ssl_target_name_override", host_of(peer.name, "registry"))]
        channel = grpc.aio.secure_channel(endpoint, credentials, options=options)
        self._dialled.append(channel)
        try:
            call = channel.stream_stream(_METHOD)()
            await call.write(link_pb2.ExchangeRequest(hello=self._own_hello()).SerializeToString())
            first = await asyncio.wait_for(call.read(), CONNECT_S)
            self._check_hello(_hello_in(first, peer.name), index)
            self._spawn(self._write(peer, call.write, call.done_writing))
            peer.linked.set()
            await self._read(peer, _pieces_of(call))
        except UpcareError as error:
            peer.fail(error)
        except grpc.aio.AioRpcError as error:
            peer.fail(_link_error(peer.name, error))
        except (grpc.aio.BaseError, asyncio.InvalidStateError):  # the stream ended as we wrote
            peer.fail()
        except TimeoutError:
            peer.fail(LinkError(f"{peer.name} did not answer within {CONNECT_S:.0f} s"))
        finally:
            peer.fail()

    async def _accept(self, context: Any) -> None:
        """Serve one incoming stream: authenticate, check Hello, then read until it ends."""
        name = _certified_registry(context)
        index = next((i for i, peer in self._peers.items() if peer.name == name), -1)
        if index < self.index:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "not a peer of this session")
        peer = self._peers[index]
        if peer.accepted:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "already linked")
        peer.accepted = True
        try:
            await self._greet(peer, index, context)
            # Until the peer says goodbye or we do: ours ends the stream, so it is seen at once.
            await _first_of(self._read(peer, _pieces_of(context)), peer.flushed.wait())
        except UpcareError as error:
            peer.fail(error)
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        finally:
            peer.fail()

    async def _greet(self, peer: _Peer, index: int, context: Any) -> None:
        """Check the Hello of a peer that dialled, answer it, and begin to send."""
        try:
            first = await asyncio.wait_for(context.read(), CONNECT_S)
        except TimeoutError:
            raise LinkError(f"{peer.name} did not say Hello within {CONNECT_S:.0f} s") from None
        self._check_hello(_hello_in(first, peer.name), index)
        await context.write(link_pb2.ExchangeResponse(hello=self._own_hello()).SerializeToString())

        async def finish() -> None:
            peer.flushed.set()

        self._spawn(self._write(peer, context.write, finish))
        peer.linked.set()

    async def _read(self, peer: _Peer, pieces: AsyncIterator[Piece]) -> None:
        """Deliver whole frames until the stream ends."""
        begun: list[memoryview] = []
        label, total, have = 0, 0, 0
        try:
            async for piece in pieces:
                if not begun:
                    label, total, have = piece.label, piece.total, 0
                    if total > MAX_FRAME_BYTES:
                        raise ProtocolError(f"{peer.name} announced a frame of {total} bytes")
                elif piece.label != label:
                    raise ProtocolError(f"{peer.name} mixed the pieces of two frames")
                if len(piece.content) != min(PIECE_BYTES, total - have):
                    raise ProtocolError(f"{peer.name} sent a frame of a wrong length")
                begun.append(piece.content)
                have += len(piece.content)
                peer.waiting_since = time.monotonic()
                if have == total:
                    whole = memoryview(b"".join(begun)) if len(begun) > 1 else begun[0]
                    peer.mailbox.deliver(label, whole)
                    begun = []
        except ProtocolError as error:
            peer.fail(error)
        except grpc.aio.AioRpcError as error:
            peer.fail(_link_error(peer.name, error))

    async def _write(
        self,
        peer: _Peer,
        write: Callable[[bytes], Awaitable[None]],
        finish: Callable[[], Awaitable[None]],
    ) -> None:
        """Send queued messages until told to stop."""
        try:
            while (message := await peer.outgoing.get()) is not None:
                await write(message)
                peer.took_at = time.monotonic()
                peer.queued -= len(message)
                if peer.queued <= QUEUE_BYTES:
                    peer.room.set()
            await finish()
        except (grpc.aio.AioRpcError, grpc.aio.BaseError, asyncio.InvalidStateError):
            peer.fail()

    async def _watch_silence(self) -> None:
        """Give up on peers that owe a frame and say nothing, or let a long queue stand."""
        while True:
            await asyncio.sleep(min(1.0, self._silence_s / 4))
            now = time.monotonic()
            for peer in self._peers.values():
                waiting = peer.mailbox.waiting and peer.waiting_since is not None
                if waiting and now - (peer.waiting_since or now) > self._silence_s:
                    peer.fail(LinkError(f"{peer.name} was silent for {self._silence_s:.0f} s"))
                elif not peer.room.is_set() and now - peer.took_at > self._silence_s:
                    peer.fail(LinkError(f"{peer.name} took nothing for {self._silence_s:.0f} s"))

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _service(accept: Callable[[Any], Awaitable[None]]) -> grpc.GenericRpcHandler:
    """The service of ``link.proto`` on plain bytes."""

    async def exchange(_requests: Any, context: Any) -> None:
        await accept(context)

    handler = grpc.stream_stream_rpc_method_handler(exchange)
    return grpc.method_handlers_generic_handler(_SERVICE, {"Exchange": handler})


async def _first_of(*works: Coroutine[Any, Any, Any]) -> None:
    """Run several until one ends, then cancel the others."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


def _hello_in(first: Any, name: str) -> link_pb2.Hello:
    """The Hello that the first message of a stream must be."""
    if first is grpc.aio.EOF:
        raise LinkError(f"{name} closed the link before its Hello")
    try:
        if len(first) > HELLO_BYTES:
            raise DecodeError
        message = link_pb2.ExchangeRequest.FromString(first)  # a response has the same form
        if not message.HasField("hello"):
            raise DecodeError
    except DecodeError:
        raise ProtocolError(f"{name} did not begin with a Hello") from None
    hello: link_pb2.Hello = message.hello
    return hello


async def _pieces_of(stream: Any) -> AsyncIterator[Piece]:
    """The pieces of frames that a stream carries; anything else on it is refused."""
    while (message := await stream.read()) is not grpc.aio.EOF:
        yield read_piece(message)


def _certified_registry(context: Any) -> str | None:
    """The registry that the TLS certificate of a caller names."""
    for host in context.auth_context().get("x509_subject_alternative_name", ()):
        party = party_of_host(host.decode("ascii", "replace"))
        if party is not None and party[1] == "registry":
            return party[0]
    return None


def _link_error(name: str, error: grpc.aio.AioRpcError) -> UpcareError:
    """Say in words why a stream broke; peers' own words are kept only where they are ours."""
    detail = error.details() or ""
    if error.code() == grpc.StatusCode.FAILED_PRECONDITION:
        return ProtocolError(f"{name} refused the session: it runs another one or another version")
    if error.code() == grpc.StatusCode.UNAUTHENTICATED:
        return LinkError(f"{name} does not know this registry as a peer of the session")
    if any(word in detail.lower() for word in ("handshake", "certificate", "ssl", "verification")):
        return LinkError(
            f"no trusted connection to {name}: its certificate or ours is not accepted"
        )
    return LinkError(f"the link to {name} is lost")
