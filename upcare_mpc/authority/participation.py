"""Going through one key ceremony: the part on the disk, papers out, papers in, until the end.

    state/authority/ceremony-<topic>.secret    ``access.participant.Part`` in hexadecimal; mode 600
    state/authority/ceremony-<topic>.papers    once it has ended: the part without what is secret

The part is on the disk before a paper of it is posted, and what was posted is posted again as it
was. So a ceremony goes on wherever a crash, a lost connection or the operator has stopped it.
"""

import re
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from upcare_mpc.abe.ceremony import Kind
from upcare_mpc.abe.committee import Committee, Share
from upcare_mpc.abe.groups import RandomBytes
from upcare_mpc.abe.threshold import Outcome
from upcare_mpc.access.ceremony import Reading, read_ceremony
from upcare_mpc.access.committees import Anchor
from upcare_mpc.access.participant import Part, Signer, go_on, passed_on, waits_for
from upcare_mpc.access.seats import Proposal
from upcare_mpc.errors import (
    ConfigError,
    LinkError,
    ProtocolError,
    RefusedError,
    SessionError,
    UpcareError,
)
from upcare_mpc.link.board import MAX_PAPERS, Paper, RegistryBoard
from upcare_mpc.storage.durable import flush, replace_text

__all__ = ["Participation", "Parts"]

GOSSIP_S: Final = 30.0
"""How long to look for who told two things, once participants disagree."""

_SHORTEST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 3.0
_QUIET_S: Final = 0.5
_ACTS: Final = {
    Kind.DEALING.value: "all seats are taken: deals",
    Kind.REPORT.value: "all dealings have come: reports",
    Kind.CONFIRMATION.value: "all reports have come: confirms what came out",
}
_FILE = re.compile(r"ceremony-([0-9a-f]{64})\.secret", re.ASCII)


class Parts:
    """The parts of one registry, each in a file. Secret."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def topics(self) -> tuple[bytes, ...]:
        """Return the ceremonies in which the registry has a part."""
        if not self._folder.is_dir():
            return ()
        found = (_FILE.fullmatch(path.name) for path in sorted(self._folder.iterdir()))
        return tuple(bytes.fromhex(match[1]) for match in found if match)

    def load(self, topic: bytes) -> Part | None:
        """Return the part in a ceremony, if there is one.

        Raises:
            ConfigError: The file is damaged.
        """
        return self._read(topic, self._file(topic))

    def _read(self, topic: bytes, file: Path) -> Part | None:
        try:
            text = file.read_text("ascii", "replace")
            return Part.from_bytes(bytes.fromhex(text))
        except FileNotFoundError:
            return None
        except (ProtocolError, ValueError):
            raise ConfigError(
                f"what is kept of the ceremony {topic.hex()[:12]} is damaged; "
                "'upcare authority abandon' gives it up"
            ) from None

    def keep(self, topic: bytes, part: Part) -> None:
        """Keep a part; when this returns it is on the disk."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_text(self._file(topic), f"{bytes(part).hex()}\n")

    def finish(self, topic: bytes, part: Part) -> None:
        """Erase a part, but for its public papers: the board may lose them before others end."""
        public = tuple(paper for paper in part.papers if paper[0] != Kind.SUB_SHARE.value)
        kept = Part(key=bytes(len(part.key)), ceremony=part.ceremony, papers=public)
        replace_text(self._file(topic).with_suffix(".papers"), f"{bytes(kept).hex()}\n")
        self.erase(topic)

    def finished(self, topic: bytes) -> Part | None:
        """Return what is kept of a ceremony that has ended here, to be posted again.

        Raises:
            ConfigError: The file is damaged.
        """
        return self._read(topic, self._file(topic).with_suffix(".papers"))

    def erase(self, topic: bytes) -> None:
        """Erase a part."""
        self._file(topic).unlink(missing_ok=True)
        flush(self._folder)

    def _file(self, topic: bytes) -> Path:
        return self._folder / f"ceremony-{topic.hex()}.secret"


@dataclass(slots=True, kw_only=True)
class Participation:
    """One registry in one ceremony.

    Attributes:
        proposal: Of the ceremony.
        previous: The committee that hands over, if one does.
        anchor: Of the network.
        signer: The registry.
        parts: Where its part is kept.
        board: To post on and to read.
        tell: Called with a line whenever something happens, or somebody is awaited.
    """

    proposal: Proposal
    previous: Committee | None
    anchor: Anchor
    signer: Signer
    parts: Parts
    board: RegistryBoard
    tell: Callable[[str], None]
    _papers: list[Paper] = field(default_factory=list)
    _posted: set[bytes] = field(default_factory=set)

    def reading(self) -> Reading:
        """Read all papers that are on the board.

        Raises:
            LinkError: It cannot be reached.
            RefusedError: It says no.
            InputError: The proposal cannot be one of the committee that hands over.
        """
        after = self._papers[-1].number if self._papers else 0
        self._papers += self.board.read(self.proposal.topic, after=after)
        if len(self._papers) > MAX_PAPERS:
            raise ProtocolError("the platform shows more papers than a ceremony can have")
        return read_ceremony(
            self.proposal,
            self._papers,
            previous=self.previous,
            group=self.anchor.group,
            certify_at=self.anchor.certify_at,
        )

    def go_through(
        self, part: Part, *, share: Share | None, random: RandomBytes, patience_s: float
    ) -> tuple[Part, Outcome]:
        """Say what there is to say and look again, until everybody has confirmed.

        Args:
            part: As it is on the disk.
            share: Of ``previous``, if this registry deals in handing over. Secret.
            random: For the dealing.
            patience_s: How long to wait.

        Returns:
            The part at the end, and what came of the ceremony.

        Raises:
            SessionError: Somebody was awaited for too long, whom the text names; or too few dealers
                are left.
            ProtocolError: Somebody signed two things, or participants disagree.
            LinkError: The platform could not be reached when time was up.
        """
        deadline = time.monotonic() + patience_s
        told, pause = "", 0.0
        while True:
            seen = len(self._papers)
            try:
                self._post(part.papers)
                reading = self.reading()
                if (outcome := reading.outcome()) is not None:
                    return part, outcome
                self._pass_on(reading)
                more = self._go_on(part, reading, share, random)
                waits = waits_for(reading, more, self.signer.registry)
                late: UpcareError = self._late(waits, patience_s)
            except LinkError as error:
                more, waits, late = part, "the platform", error
            except _Disagreement as error:
                more, waits, late = part, f"an explanation: {error}", ProtocolError(str(error))
                deadline = min(deadline, time.monotonic() + GOSSIP_S)
            if more != part:
                self._tell_acts(more.papers[len(part.papers) :])
                part, pause = more, 0.0
                continue
            if pause >= _QUIET_S and waits != told:
                self.tell(f"waits for {waits}")
                told = waits
            if time.monotonic() >= deadline:
                raise late
            pause = 0.0 if len(self._papers) > seen else pause
            pause = min(max(1.5 * pause, _SHORTEST_PAUSE_S), _LONGEST_PAUSE_S)
            time.sleep(min(pause, max(deadline - time.monotonic(), 0.0)))

    def _go_on(
        self, part: Part, reading: Reading, share: Share | None, random: RandomBytes
    ) -> Part:
        """Do what can be done, and keep it on the disk before anybody hears of it."""
        try:
            more = go_on(part, reading, self.signer, share=share, random=random)
        except ProtocolError as error:
            if reading.convicted:
                raise
            raise _Disagreement(str(error)) from None
        if more != part:
            self.parts.keep(self.proposal.topic, more)
        return more

    def _post(self, papers: Iterable[tuple[str, bytes]]) -> None:
        for kind, content in papers:
            if content not in self._posted:
                self.board.post(self.proposal.topic, kind, content)
                self._posted.add(content)

    def _pass_on(self, reading: Reading) -> None:
        with suppress(RefusedError):  # there is a limit, and all of it is somebody else's
            self._post(passed_on(reading, self.signer.registry))

    def _tell_acts(self, papers: Iterable[tuple[str, bytes]]) -> None:
        for kind, _ in papers:
            if kind in _ACTS:
                self.tell(_ACTS[kind])

    def _late(self, waits: str, patience_s: float) -> SessionError:
        return SessionError(
            f"the ceremony {self.proposal.topic.hex()[:12]} waited {patience_s:g} s for {waits}; "
            "'upcare authority join' goes on with it"
        )


class _Disagreement(Exception):
    """Participants hold different messages; whoever told two of them is yet to be found."""
