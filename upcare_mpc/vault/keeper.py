"""What a registry keeps on its own disk about its vault, and how an edition comes into force.

    sealed-<sequence>.state     ``state``, after the edition with this number
    writer.lock                 one process at a time writes

The order in which an edition comes into force:

1. all its objects are in the store, for good;
2. its state is in the folder, for good;
3. the store's head is replaced, for good: from here on it is in force;
4. what only older editions needed is deleted, objects first, then states.

A crash before 3 leaves the old edition in force and its state beside it; after 3, the new one; the
next to publish finishes 4. The head in the store is what decides, so the store is one that the
registry trusts to keep it: its own folder, from which ``store.copy`` brings editions to the
platform.

The state of an edition is deleted with it, and with it the data keys of what was withdrawn. Backups
of this folder, and blocks of the disk until they are written over, are the operator's to mind.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Final

from upcare_mpc.abe.groups import RandomBytes
from upcare_mpc.abe.keys import PublicKey
from upcare_mpc.errors import ConfigError, DataError, ProtocolError
from upcare_mpc.vault.changes import Change
from upcare_mpc.vault.edition import HEAD, MAX_HEAD_BYTES, Edition, open_head
from upcare_mpc.vault.policies import check_registry
from upcare_mpc.vault.publishing import Sign, publish
from upcare_mpc.vault.state import State
from upcare_mpc.vault.store import Store, sweep

__all__ = ["Keeper"]

_SPOOL_BYTES: Final = 2**28  # in memory; more goes to the disk
_STATES: Final = "sealed-*.state"


class Keeper:
    """A registry's side of its vault."""

    def __init__(self, folder: Path, store: Store, *, registry: str) -> None:
        """Open the folder, or make it.

        Args:
            folder: The registry's alone; made with mode 700.
            store: The registry's own, of this registry alone.
            registry: Its name.
        """
        self._folder = folder
        self._store = store
        self._registry = check_registry(registry)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:  # its text holds a path, as below
            raise ConfigError("the folder of the sealed records' keys cannot be made") from None

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the vault for writing.

        Raises:
            ConfigError: Another process is writing.
        """
        lock = self._folder / "writer.lock"
        lock.touch(mode=0o600)
        with lock.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConfigError("another process is writing the vault") from None
            yield

    def state(self) -> State:
        """Return what is known of the edition in force.

        Raises:
            DataError: It is missing or damaged, or the store's head is.
        """
        edition = self._in_force()
        if edition is None:
            return State.empty(self._registry)
        try:
            content = self._path(edition.sequence).read_bytes()
        except OSError:
            raise DataError(
                f"the list of sealed records of edition {edition.sequence} cannot be read; put it "
                "back, or seal all records anew"
            ) from None
        state = State.from_bytes(content)
        if (state.registry, state.sequence) != (self._registry, edition.sequence):
            raise DataError("the list of sealed records belongs to another registry or edition")
        return state

    def publish(
        self,
        changes: Iterable[Change],
        *,
        day: date,
        public: PublicKey,
        sign: Sign,
        random: RandomBytes,
        anew: bool = False,
    ) -> State:
        """Publish the next edition; only while ``writing``.

        Args:
            changes: As ``publishing.publish`` takes them, as the others.
            day: Of the edition.
            public: Of the network.
            sign: Signs with the registry's key.
            random: Source of randomness.
            anew: Seal everything from the beginning: for when the store has lost a block, or the
                folder the list. The changes are then all records that there are to be; none of
                the others counts as withdrawn.

        Returns:
            The state after it. Its departures are gone from the store.

        Raises:
            UpcareError: As ``publishing.publish``; the old edition stays in force.
        """
        if anew:
            before = State.empty(self._registry, after=self._in_force())
        else:
            self.finish()
            before = self.state()
        with SpooledTemporaryFile(_SPOOL_BYTES, dir=str(self._folder)) as spool:
            state, head = publish(
                before,
                changes,
                day=day,
                public=public,
                store=self._store,
                spool=spool,
                sign=sign,
                random=random,
            )
        self._store.settle()
        self._keep(state)
        self._store.put(HEAD, head)
        self._store.settle()
        self.finish()
        return state

    def finish(self) -> None:
        """Delete what the edition in force does not need; only while ``writing``.

        A crash may have come before it; after a restart this is to be called before ``store.copy``
        and before receipts are written. The state of another edition is deleted only beside that of
        the one in force.

        Raises:
            DataError: As ``store.sweep``.
        """
        sweep(self._store)
        edition = self._in_force()
        wanted = self._path(edition.sequence if edition else 0)
        if wanted.exists():
            for path in [*self._folder.glob(_STATES), *self._folder.glob(f"{_STATES}.new")]:
                if path != wanted:
                    path.unlink()
            _flush(self._folder)

    def _in_force(self) -> Edition | None:
        head = self._store.get(HEAD, at_most=MAX_HEAD_BYTES)
        if head is None:
            return None
        try:
            return Edition.from_bytes(open_head(head)[0])
        except ProtocolError:
            raise DataError("the edition in force in the vault is damaged") from None

    def _keep(self, state: State) -> None:
        path = self._path(state.sequence)
        fresh = path.with_name(f"{path.name}.new")
        try:
            fresh.touch(mode=0o600)
            with fresh.open("wb") as file:
                file.writelines(state.pieces())
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)
            _flush(self._folder)
        except OSError:
            raise DataError("the list of sealed records cannot be written") from None

    def _path(self, sequence: int) -> Path:
        return self._folder / f"sealed-{sequence}.state"


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
