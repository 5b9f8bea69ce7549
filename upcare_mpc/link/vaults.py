"""Vaults at the platform, as their registry keeps them and as researchers fetch from them.

Both fill ``vault.store.Store``, so that what is done with a folder can be done with these.

Adversary: the platform. It may give any bytes, or none: what is taken is checked where it is used,
by its name or by the registry's signature (``vault.store``, ``vault.opening``). It can keep nobody
waiting for ever: what is fetched has to come within ``calls.CALL_S`` seconds, object by object, and
what is to be written, on the platform's disk, within ten minutes.
"""

import threading
import time
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any, Final, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from upcare_mpc._proto.upcare.vault.v1 import vault_pb2, vault_pb2_grpc
from upcare_mpc.errors import DataError, ProtocolError
from upcare_mpc.link.calls import CALL_S, platform_channel, registry_channel, translated
from upcare_mpc.link.certificates import Identity, Network
from upcare_mpc.link.statements import authorize_access
from upcare_mpc.vault.edition import HEAD
from upcare_mpc.vault.store import check_name

__all__ = ["MAX_DELETED", "FetchedVault", "KeptVault"]

MAX_DELETED: Final = 10_000
"""Most names in one call to delete."""

_MAX_NAMES: Final = 1 << 22
_WRITE_S: Final = 600.0  # a disk may be slow to take what it was given


class KeptVault:
    """A registry's own vault at the platform; use as a context manager.

    Deletions are gathered, and done at ``settle``, or before anything else that is called.

    Raises:
        RefusedError: From every method: the platform says no.
        LinkError: From every method: it cannot be reached, or does not answer in time.
    """

    def __init__(self, address: str, identity: Identity) -> None:
        self._deleted: list[str] = []
        self._channel = registry_channel(address, identity)
        self._stub = vault_pb2_grpc.KeepingStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def put(self, name: str, content: bytes) -> None:
        """As ``Store`` says."""
        self._delete()
        request = vault_pb2.PutRequest(name=check_name(name), content=content)
        with translated():
            self._stub.Put(request, timeout=_WRITE_S)

    def get(self, name: str, *, at_most: int) -> bytes | None:
        """As ``Store`` says."""
        self._delete()
        request = vault_pb2.GetRequest(name=check_name(name), at_most=at_most)
        with translated():
            return _content(self._stub.Get(request, timeout=CALL_S), at_most)

    def delete(self, name: str) -> None:
        """As ``Store`` says; when the class docstring says."""
        self._deleted.append(check_name(name))
        if len(self._deleted) == MAX_DELETED:
            self._delete()

    def names(self) -> list[str]:
        """As ``Store`` says."""
        self._delete()
        found: list[str] = []
        with translated():
            for part in self._stub.Names(vault_pb2.NamesRequest(), timeout=_WRITE_S):
                found += [check_name(name) for name in part.names]
                if len(found) > _MAX_NAMES:
                    raise ProtocolError("the platform lists more objects than a vault can have")
        return found

    def settle(self) -> None:
        """As ``Store`` says."""
        self._delete()
        with translated():
            self._stub.Settle(vault_pb2.SettleRequest(), timeout=_WRITE_S)

    def _delete(self) -> None:
        if self._deleted:
            with translated():
                self._stub.Delete(vault_pb2.DeleteRequest(names=self._deleted), timeout=_WRITE_S)
            self._deleted = []


class FetchedVault:
    """One registry's vault as a researcher fetches from it; use as a context manager.

    Args:
        address: Of the platform for researchers, ``host:port``.
        network: Whose platform it must be.
        signing: The key that filed the request. Secret.
        request: Digest of the request that the registry approved of, 32 bytes.
        registry: Its name.

    Attributes:
        head: What the platform shows as the head of the edition in force. Not checked.

    Raises:
        RefusedError: On entering, and from ``get``: the platform says no.
        LinkError: Likewise: it cannot be reached, or does not answer in time.
        DataError: From ``put`` and ``delete``, always: this is not the reader's vault.
    """

    head: bytes

    def __init__(
        self,
        address: str,
        network: Network,
        signing: Ed25519PrivateKey,
        *,
        request: bytes,
        registry: str,
    ) -> None:
        self._signing = signing
        self._request = request
        self._registry = registry
        self._outgoing: SimpleQueue[Any] = SimpleQueue()
        self._channel = platform_channel(address, network)

    def __enter__(self) -> Self:
        try:
            self._call = vault_pb2_grpc.FetchingStub(self._channel).Fetch(self._asked())
            authorization = authorize_access(
                self._request, f"fetch {self._registry}", self._signing, now=time.time()
            )
            begin = vault_pb2.Begin(authorization=authorization, registry=self._registry)
            answer = self._answer(vault_pb2.FetchRequest(begin=begin))
            if not answer.found:
                raise ProtocolError(f"the platform shows no head of the vault of {self._registry}")
            self.head = answer.content
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._outgoing.put(None)
        self._channel.close()

    def get(self, name: str, *, at_most: int) -> bytes | None:
        """As ``Store`` says; the head is the one that was shown first."""
        if name == HEAD:
            return self.head if len(self.head) <= at_most else None
        request = vault_pb2.GetRequest(name=check_name(name), at_most=at_most)
        return _content(self._answer(vault_pb2.FetchRequest(get=request)), at_most)

    def put(self, name: str, content: bytes) -> None:  # noqa: ARG002
        """Refuse."""
        raise DataError("a vault that is fetched from cannot be written")

    def delete(self, name: str) -> None:  # noqa: ARG002
        """Refuse."""
        raise DataError("a vault that is fetched from cannot be written")

    def names(self) -> list[str]:
        """Refuse: the edition names what there is to fetch."""
        raise DataError("a vault that is fetched from does not list its objects")

    def settle(self) -> None:
        """Nothing to wait for: nothing is written."""

    def _asked(self) -> Iterator[Any]:
        while (request := self._outgoing.get()) is not None:
            yield request

    def _answer(self, request: Any) -> Any:
        """Send a request and wait for its answer, but not for ever."""
        self._outgoing.put(request)
        watchdog = threading.Timer(CALL_S, self._call.cancel)
        watchdog.daemon = True
        watchdog.start()
        try:
            with translated():
                return next(self._call)
        except StopIteration:
            raise ProtocolError("the platform ended before it had answered") from None
        finally:
            watchdog.cancel()


def _content(answer: Any, at_most: int) -> bytes | None:
    return answer.content if answer.found and len(answer.content) <= at_most else None
