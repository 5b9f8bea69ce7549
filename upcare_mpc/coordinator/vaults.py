"""Vaults over gRPC: registries bring sealed records, researchers fetch them.

    state/vault/<registry>/    one folder a registry, as ``vault.store.Folder`` keeps it

What is checked here keeps vaults apart and in order: no registry reaches another's, a mistake is
refused at once, and nobody fills the disk. Readers rely on none of it: they check all they take.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import grpc
from cryptography import x509

from upcare_mpc._proto.upcare.vault.v1 import vault_pb2, vault_pb2_grpc
from upcare_mpc.access.papers import Filing
from upcare_mpc.coordinator.board import authorized_topic
from upcare_mpc.coordinator.callers import answering, heard, registry_of, say
from upcare_mpc.errors import DataError, InputError, ProtocolError, RefusedError
from upcare_mpc.journal import canonical_json
from upcare_mpc.link.certificates import verify_signature
from upcare_mpc.storage.board import Board
from upcare_mpc.vault.edition import HEAD, MAX_HEAD_BYTES, Edition, open_head, signed_bytes
from upcare_mpc.vault.encoding import name_of
from upcare_mpc.vault.store import LARGEST, Folder, check_name

__all__ = ["FetchingService", "KeepingService", "Vaults"]

MAX_DELETED: Final = 10_000
MAX_STREAMS: Final = 4
"""Fetches of one request that run at once."""

_LARGEST: Final = max(MAX_HEAD_BYTES, *LARGEST.values())
_FILE_BYTES: Final = 4096  # what the smallest file takes on a disk
_NAMES: Final = 10_000

_T = TypeVar("_T")


class Vaults:
    """The vaults of all registries.

    Args:
        folder: Of all of them.
        room: Bytes for each.
    """

    def __init__(self, folder: Path, *, room: int) -> None:
        self._folder = folder
        self._room = room
        self._vaults: dict[str, Vault] = {}

    def of(self, registry: str) -> "Vault":
        """Return a registry's vault; the name is one that a certificate has."""
        if registry not in self._vaults:
            self._vaults[registry] = Vault(self._folder / registry, registry, room=self._room)
        return self._vaults[registry]


class Vault:
    """One registry's. One thread does all writing, in order, to its end; reading goes beside."""

    def __init__(self, path: Path, registry: str, *, room: int) -> None:
        self._path = path
        self._registry = registry
        self._room = room
        self._folder = Folder(path)
        self._fresh: set[str] = set()  # put since the last settling
        self._taken: int | None = None
        self._writer = ThreadPoolExecutor(1, thread_name_prefix=f"vault-{registry}")

    async def writing(self, work: Callable[[], _T]) -> _T:
        """Have the writing thread do something."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, work)

    def put(self, name: str, content: bytes, certificate: bytes) -> bool:
        """Keep an object, or replace the head.

        Args:
            name: From the registry.
            content: From the registry.
            certificate: PEM; what the registry signs with.

        Returns:
            Whether there was room.

        Raises:
            InputError: The content is not what the name says.
            ProtocolError: A head that this registry did not sign.
            RefusedError: A head that is older than the one that is there.
        """
        if check_name(name) == HEAD:
            self._check_head(content, certificate)
        elif not any(_is_one(kind, name, content) for kind in LARGEST):
            raise InputError("an object of a vault is named by what it holds")
        elif name in self._fresh or (self._path / name).exists():
            return True
        else:
            taken = self._bytes_taken() + max(len(content), _FILE_BYTES)
            if taken > self._room:
                return False
            self._taken = taken
        with self._all_or_anew():
            self._folder.put(name, content)
        self._fresh.add(name)
        return True

    def delete(self, names: list[str]) -> None:
        """Remove objects.

        Raises:
            InputError: Too many, or one that is not the name of an object.
        """
        if len(names) > MAX_DELETED or HEAD in names:
            raise InputError(f"at most {MAX_DELETED} objects are deleted at once, and no head")
        if not self._fresh.isdisjoint(map(check_name, names)):
            self.settle()
        with self._all_or_anew():
            for name in names:
                self._folder.delete(name)

    def settle(self) -> None:
        """Bring what was put and deleted to the disk, and count anew."""
        with self._all_or_anew():
            self._folder.settle()
        self._fresh.clear()
        self._taken = None

    def get(self, name: str, *, at_most: int) -> bytes | None:
        """Return an object; any thread."""
        return self._folder.get(name, at_most=min(at_most, _LARGEST))

    def names(self) -> list[str]:
        """Return the names of all objects; any thread."""
        return self._folder.names()

    def head(self) -> bytes | None:
        """Return the head; any thread."""
        return self.get(HEAD, at_most=MAX_HEAD_BYTES)

    @contextmanager
    def _all_or_anew(self) -> Iterator[None]:
        """If the disk fails, forget what has not settled, so that it can be put again."""
        try:
            yield
        except DataError:
            self._folder = Folder(self._path)
            self._fresh.clear()
            self._taken = None
            raise

    def _bytes_taken(self) -> int:
        if self._taken is None:
            try:
                sizes = [path.stat().st_size for path in self._path.iterdir()]
            except OSError:  # its text holds a path
                raise DataError("the vault cannot be read") from None
            self._taken = sum(max(size, _FILE_BYTES) for size in sizes)
        return self._taken

    def _check_head(self, head: bytes, certificate: bytes) -> None:
        present = self.head()
        if head == present:
            return
        encoded, signature = open_head(head)
        edition = Edition.from_bytes(encoded)
        if edition.registry != self._registry:
            raise ProtocolError(f"{self._registry} brings an edition of {edition.registry}")
        verify_signature(
            x509.load_pem_x509_certificate(certificate), signed_bytes(encoded), signature
        )
        if present is not None:
            last = _sequence(present)
            if edition.sequence < last:
                raise RefusedError(f"edition {last} is here; edition {edition.sequence} is older")
            if edition.sequence == last:
                raise RefusedError(f"another edition {last} is here already")


class KeepingService(vault_pb2_grpc.KeepingServicer):
    """For registries, which mutual TLS names; each reaches its own vault alone.

    The platform learns what anybody who sees a vault does, of whole blocks and groups: how many
    there are of which size, which policies they are under, and what changes from day to day. It
    holds no key that opens any of it.
    """

    def __init__(self, vaults: Vaults) -> None:
        self._vaults = vaults

    async def Put(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Keep an object."""
        vault = await self._of_caller(context)
        (certificate,) = context.auth_context()["x509_pem_cert"]
        async with answering(
            context,
            {
                InputError: grpc.StatusCode.INVALID_ARGUMENT,
                ProtocolError: grpc.StatusCode.INVALID_ARGUMENT,
            },
        ):
            name, content = request.name, request.content
            if not await vault.writing(lambda: vault.put(name, content, certificate)):
                await context.abort(
                    grpc.StatusCode.RESOURCE_EXHAUSTED, "the vault of this registry is full"
                )
        return vault_pb2.PutResponse()

    async def Get(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Return an object."""
        vault = await self._of_caller(context)
        async with answering(context, {InputError: grpc.StatusCode.INVALID_ARGUMENT}):
            return await _got(vault, request)

    async def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Remove objects."""
        vault = await self._of_caller(context)
        names = list(request.names)
        async with answering(context, {InputError: grpc.StatusCode.INVALID_ARGUMENT}):
            await vault.writing(lambda: vault.delete(names))
        return vault_pb2.DeleteResponse()

    async def Names(self, _request: Any, context: Any) -> None:  # noqa: N802
        """List all objects."""
        vault = await self._of_caller(context)
        async with answering(context):
            names = await asyncio.to_thread(vault.names)
        for at in range(0, len(names), _NAMES):
            part = vault_pb2.NamesResponse(names=names[at : at + _NAMES])
            await say(context, part)

    async def Settle(self, _request: Any, context: Any) -> Any:  # noqa: N802
        """Bring everything to the disk."""
        vault = await self._of_caller(context)
        async with answering(context):
            await vault.writing(vault.settle)
        return vault_pb2.SettleResponse()

    async def _of_caller(self, context: Any) -> Vault:
        registry = await registry_of(context)
        async with answering(context):
            return self._vaults.of(registry)


class FetchingService(vault_pb2_grpc.FetchingServicer):
    """For researchers, who sign.

    The platform learns who fetches from which vault, which groups and blocks, and when, and tells
    the registries that it was done. It does not learn whether anything opens.
    """

    def __init__(self, vaults: Vaults, board: Board) -> None:
        self._vaults = vaults
        self._board = board
        self._streams: Counter[bytes] = Counter()

    async def Fetch(self, _requests: Any, context: Any) -> None:  # noqa: N802
        """Hand out the head, then each object that is asked for."""
        first = await heard(context)
        if first is None or first.WhichOneof("message") != "begin":
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "a fetch begins with Begin")
        async with answering(context, {InputError: grpc.StatusCode.NOT_FOUND}):
            topic, vault = await asyncio.to_thread(self._admit, first.begin)
            with self._one_more(topic):
                head = await asyncio.to_thread(self._noted_head, topic, vault, first.begin.registry)
                await say(context, vault_pb2.FetchResponse(found=True, content=head))
                await self._hand_out(vault, context)

    async def _hand_out(self, vault: Vault, context: Any) -> None:
        while (asked := await heard(context)) is not None:
            if asked.WhichOneof("message") != "get" or asked.get.name == HEAD:
                await context.abort(
                    grpc.StatusCode.INVALID_ARGUMENT, "after Begin, objects are asked for by name"
                )
            got = await _got(vault, asked.get)
            await say(context, vault_pb2.FetchResponse(found=got.found, content=got.content))

    def _admit(self, begin: vault_pb2.Begin) -> tuple[bytes, Vault]:
        registry = begin.registry
        topic = authorized_topic(self._board, begin.authorization, f"fetch {registry}")
        (filing,) = self._board.read(topic, at_most=1)
        if registry not in Filing.from_bytes(filing.content).request.sites:
            raise RefusedError("the request is not for the records of this registry")
        if not self._board.has(topic, sender=registry, kind="approval"):
            raise RefusedError("the registry has not approved this request")
        return topic, self._vaults.of(registry)

    def _noted_head(self, topic: bytes, vault: Vault, registry: str) -> bytes:
        """Return the head once it is noted, for the registries, that it is fetched."""
        head = vault.head()
        if head is None:
            raise InputError(f"{registry} has no sealed records here")
        note = canonical_json({"edition": _sequence(head), "registry": registry})
        self._board.note_fetch(topic, note.encode(), time=datetime.now(UTC))
        return head

    @contextmanager
    def _one_more(self, topic: bytes) -> Iterator[None]:
        if self._streams[topic] == MAX_STREAMS:
            raise RefusedError(f"{MAX_STREAMS} fetches of this request are running already")
        self._streams[topic] += 1
        try:
            yield
        finally:
            self._streams[topic] -= 1
            self._streams += Counter()  # forgets those at zero


async def _got(vault: Vault, asked: vault_pb2.GetRequest) -> vault_pb2.GetResponse:
    name, at_most = asked.name, asked.at_most
    content = await asyncio.to_thread(vault.get, name, at_most=at_most)
    return vault_pb2.GetResponse(found=content is not None, content=content or b"")


def _is_one(kind: str, name: str, content: bytes) -> bool:
    return len(content) <= LARGEST[kind] and name_of(kind, content) == name


def _sequence(head: bytes) -> int:
    return Edition.from_bytes(open_head(head)[0]).sequence
