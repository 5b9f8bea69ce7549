"""The noise bank of one node: sealed shares on disk, their keys in this process's memory alone.

A *bank* belongs to one committee and one law. It is made by a fill (its *epoch*), used from the
front, and replaced as a whole by the next fill. A segment is handed out only if the mark on disk
allows it AND its key is still here, and both are gone before it is. A crash or a restart loses the
keys; of a disk and a memory, whichever was not put back refuses. So nothing that happens to one
machine lets it hand out a segment twice, short of putting back both.

Banks of an earlier life of the process cannot be read; their files are deleted at the start.

Nothing here depends on records: which laws, and how much is left, follow from the configuration
and from the studies that were approved.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from upcare_mpc.errors import ProtocolError, RefusedError
from upcare_mpc.mpc.noise import Law
from upcare_mpc.mpc.programs.fill import LIFE_BYTES, Fill
from upcare_mpc.mpc.programs.segments import SEALED_BYTES, Segments
from upcare_mpc.storage.bank import BankMarks
from upcare_mpc.study.draw import Draw, segments_of

__all__ = ["MAX_LAWS", "Bank", "NoiseBank"]

MAX_LAWS = 4  # banks at a node; the one least recently wanted goes


@dataclass(slots=True, kw_only=True)
class Bank:
    """What is ready for one committee and law.

    Attributes:
        names: The computing registries.
        law: Law of the noise.
        epoch: Digest of the fill; empty if nothing is ready.
        segments: How many the fill had.
        lives: Life of each registry's process in that fill.
        keys: Number of a segment to its key; burnt ones are missing. Secret.
    """

    names: tuple[str, ...]
    law: Law
    epoch: bytes = b""
    segments: int = 0
    lives: dict[str, bytes] = field(default_factory=dict)
    keys: dict[int, bytes] = field(default_factory=dict, repr=False)

    @property
    def next(self) -> int:
        """Number of the first segment that is ready."""
        return min(self.keys, default=self.segments)


class NoiseBank:
    """All banks of one node.

    Args:
        folder: Where the sealed segments lie; its content is deleted.
        marks: What is burnt, on disk.
        cells: Noise values to keep ready for each law; 0 keeps none.
        life: 16 random bytes that name this process among its earlier and later lives.
    """

    def __init__(self, folder: Path, marks: BankMarks, *, cells: int, life: bytes) -> None:
        if len(life) != LIFE_BYTES:
            raise AssertionError(f"a life has {LIFE_BYTES} bytes")
        self.room = segments_of(cells)
        self.life = life
        self._folder = folder
        self._marks = marks
        self._banks: OrderedDict[tuple[bytes, bytes], Bank] = OrderedDict()
        self._filling: dict[bytes, Segments] = {}
        marks.forget()
        if folder.exists():
            for file in folder.iterdir():
                file.unlink()
        elif cells:
            folder.mkdir(mode=0o700)

    @property
    def banks(self) -> list[tuple[bytes, Bank]]:
        """Each bank with the digest of its committee, the one most recently wanted last."""
        return [(committee, bank) for (committee, _), bank in self._banks.items()]

    def want(self, committee: bytes, names: Sequence[str], law: Law) -> None:
        """Keep a bank of this law from now on: a study that this node has checked asks for it."""
        if not self.room:
            return
        key = committee, law.digest
        self._banks.setdefault(key, Bank(names=tuple(names), law=law))
        self._banks.move_to_end(key)
        while len(self._banks) > MAX_LAWS:
            self._empty(self._banks.popitem(last=False)[1])

    def begin(self, fill: Fill, *, name: str) -> Law:
        """Agree to a fill, once.

        Args:
            fill: Proposed by the platform; the caller has checked roster and certificates.
            name: This registry.

        Returns:
            The law to draw.

        Raises:
            RefusedError: Not a law that this node has worked out itself, more than it has room for,
                or another life of this node.
        """
        bank = self._banks.get((fill.committee, fill.law))
        if bank is None:
            raise RefusedError("keeps no noise bank of this law with these registries")
        if fill.segments > self.room:
            raise RefusedError(
                f"has room for {self.room} segments of noise, {fill.segments} were proposed"
            )
        if fill.roster[fill.place(name)].life != self.life:
            raise RefusedError("was started again since; its noise banks are new")
        self._marks.begin(fill.digest, fill.segments)
        return bank.law

    def store(self, fill: Fill, segments: Segments) -> None:
        """Write what the fill's worker has sealed; not ready before ``confirm``."""
        if (len(segments.keys), len(segments.sealed)) != (
            fill.segments,
            fill.segments * SEALED_BYTES,
        ):
            raise ProtocolError(f"a fill has {fill.segments} segments, got {len(segments.keys)}")
        self._filling[fill.digest] = segments
        for index in range(fill.segments):
            content = segments.sealed[index * SEALED_BYTES : (index + 1) * SEALED_BYTES]
            self._file(fill.digest, index).write_bytes(content)

    def confirm(self, fill: Fill) -> None:
        """All parties have stored their shares: the new bank takes the place of the old one.

        All have signed the fill, and so their present lives: banks shared with an earlier life of
        one of them are discarded.
        """
        bank = self._banks.get((fill.committee, fill.law))
        if bank is None:  # not wanted any more
            self.drop(fill)
            return
        self._marks.confirm(fill.digest)
        lives = {seat.name: seat.life for seat in fill.roster}
        for other in self._banks.values():
            if other is bank or any(lives.get(n, life) != life for n, life in other.lives.items()):
                self._empty(other)
        bank.epoch, bank.segments, bank.lives = fill.digest, fill.segments, lives
        bank.keys = dict(enumerate(self._filling.pop(fill.digest).keys))

    def drop(self, fill: Fill) -> None:
        """The fill has failed: nothing of it is left."""
        self._filling.pop(fill.digest, None)
        self._marks.drop(fill.digest)
        for index in range(fill.segments):
            self._file(fill.digest, index).unlink(missing_ok=True)

    def take(self, committee: bytes, law: bytes, draw: Draw) -> Segments:
        """Burn a draw and hand out its segments; before this registry's approval leaves.

        Raises:
            RefusedError: It cannot be had. If this node and the others do not have the same bank,
                its own is discarded, since it can never be used again.
        """
        bank = self._banks.get((committee, law))
        if bank is None or bank.epoch != draw.epoch:
            if bank is not None:
                self._empty(bank)
            raise RefusedError("has another noise bank than the others; it is discarded")
        self._marks.burn(draw)
        wanted = range(draw.first, draw.first + draw.count)
        keys = tuple(bank.keys[index] for index in wanted if index in bank.keys)
        try:
            sealed = b"".join(self._file(bank.epoch, index).read_bytes() for index in wanted)
        except FileNotFoundError:
            sealed = b""
        self._forget(bank, below=draw.first + draw.count)
        if len(keys) != draw.count or len(sealed) != draw.count * SEALED_BYTES:
            self._empty(bank)
            raise RefusedError("has lost segments of its noise bank; it is discarded")
        return Segments(keys=keys, sealed=sealed)

    def _empty(self, bank: Bank) -> None:
        """Burn what is left of a bank."""
        if bank.epoch:
            self._marks.drop(bank.epoch)
            self._forget(bank, below=bank.segments)
            bank.epoch, bank.segments, bank.lives = b"", 0, {}

    def _forget(self, bank: Bank, *, below: int) -> None:
        for index in [index for index in bank.keys if index < below]:
            del bank.keys[index]
            self._file(bank.epoch, index).unlink(missing_ok=True)

    def _file(self, epoch: bytes, index: int) -> Path:
        return self._folder / f"{epoch.hex()}-{index}"
