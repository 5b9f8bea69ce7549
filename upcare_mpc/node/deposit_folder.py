"""The deposits of closed collections at one node, from closing to release: one folder for each.

    FOLDER/COLLECTION/0, 1, ..   the deposits, as they came
    FOLDER/COLLECTION/digests    SHA-256 of each, one behind the other

A folder is written under another name and renamed when it is whole, and whole means: what the list
says that the holders sign. What is read later is compared with these digests again.

Adversary: the platform, which hands them out. It can keep deposits back; it cannot make this node
store more than a collection can have, or than there is room for.
"""

import asyncio
import shutil
from collections.abc import Collection as Names
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final

from upcare_mpc.deposits.collection import MAX_DEPOSITS, Collection
from upcare_mpc.deposits.envelopes import most_bytes
from upcare_mpc.deposits.findings import list_digest
from upcare_mpc.errors import ProtocolError, RefusedError
from upcare_mpc.link.certificates import Identity
from upcare_mpc.link.deposits import Holder
from upcare_mpc.storage.durable import flush

__all__ = ["DepositFolder"]

RESERVE_BYTES: Final = 1 << 30  # of the disk; a registry's own records grow too
_DIGESTS: Final = "digests"
_HASH: Final = 32


class DepositFolder:
    """The deposits at one node.

    Args:
        folder: Where; made when it is needed.
        platform: Address of the platform, for registries.
        identity: Of this registry.
    """

    def __init__(self, folder: Path, platform: str, identity: Identity) -> None:
        self._folder = folder
        self._platform = platform
        self._identity = identity

    def place(self, collection: bytes) -> Path:
        """Where the deposits of a collection are."""
        return self._folder / collection.hex()

    def digests(self, collection: bytes) -> list[bytes]:
        """Digests of the deposits that were fetched, by place.

        Raises:
            RefusedError: None were.
        """
        try:
            content = (self.place(collection) / _DIGESTS).read_bytes()
        except FileNotFoundError:
            raise RefusedError("has not fetched the deposits of this collection") from None
        return [content[at : at + _HASH] for at in range(0, len(content), _HASH)]

    async def fetch(self, collection: Collection, *, count: int, listed: bytes) -> None:
        """Bring all deposits here, unless they are; another thread writes them.

        Args:
            collection: Closed.
            count: How many there are.
            listed: Digest of their list.

        Raises:
            ProtocolError: The platform hands out others than the list says.
            RefusedError: There is no room for them, or the platform says no.
            LinkError: It cannot be reached, or does not answer in time.
            OSError: They cannot be written.
        """
        if count > MAX_DEPOSITS:
            raise ProtocolError(f"a collection has at most {MAX_DEPOSITS} deposits")
        if await asyncio.to_thread(self._whole, collection.digest, count, listed):
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        at_most = most_bytes(collection)
        if shutil.disk_usage(self._folder).free < count * at_most + RESERVE_BYTES:
            raise RefusedError(f"has no room for {count} deposits")
        platform = Holder(self._platform, self._identity)
        deposits = platform.fetch(collection.digest, count=count, at_most=at_most)
        writing = asyncio.ensure_future(
            asyncio.to_thread(self._write, collection.digest, deposits, listed)
        )
        try:
            with platform:  # left when this is cancelled: it ends the call that the thread is at
                await asyncio.shield(writing)
        finally:
            await asyncio.wait([writing])  # nobody else writes there before

    async def remove(self, collection: bytes) -> None:
        """Delete the deposits of a collection, if there are any."""
        await asyncio.to_thread(shutil.rmtree, self.place(collection), ignore_errors=True)

    def clean(self, live: Names[bytes]) -> None:
        """Delete all but the whole folders of some collections."""
        names = {collection.hex() for collection in live}
        for left in self._folder.iterdir() if self._folder.exists() else ():
            if left.name not in names:
                shutil.rmtree(left)

    def _whole(self, collection: bytes, count: int, listed: bytes) -> bool:
        place = self.place(collection)
        if not place.exists():
            return False
        files = (place / str(number) for number in range(count))
        try:
            digests = [sha256(file.read_bytes()).digest() for file in files]
            kept = (place / _DIGESTS).read_bytes()
        except FileNotFoundError:
            return False
        # Files are not flushed one by one: what a crash has left of them shows here.
        return list_digest(collection, digests) == listed and kept == b"".join(digests)

    def _write(self, collection: bytes, deposits: Iterator[bytes], listed: bytes) -> None:
        place = self.place(collection)
        fresh, digests = place.with_name(f"{place.name}.new"), list[bytes]()
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        try:
            for number, deposit in enumerate(deposits):
                (fresh / str(number)).write_bytes(deposit)
                digests.append(sha256(deposit).digest())
            if list_digest(collection, digests) != listed:
                raise ProtocolError("the platform hands out other deposits than it has announced")
            (fresh / _DIGESTS).write_bytes(b"".join(digests))
            shutil.rmtree(place, ignore_errors=True)
            fresh.rename(place)
            flush(self._folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
