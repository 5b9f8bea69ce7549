"""What noise the registries keep ready, as the platform knows it from what they say.

From it follows which draw a session takes, and which bank is to be filled. Choosing is not trusted:
each registry burns a draw before it approves, so one that is proposed twice is refused by whoever
has burnt it, and a session needs the approval of all. Pure: no clock, no network.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc.errors import ProtocolError
from upcare_mpc.mpc.programs.fill import LIFE_BYTES, MAX_SEGMENTS, Fill, Seat
from upcare_mpc.study.descriptor import Descriptor
from upcare_mpc.study.draw import DIRECT, Draw, segments_of

__all__ = ["Banks", "Committee"]

MAX_BANKS = 16  # of one registry that are listened to
MAX_COMMITTEES = 16  # that are remembered

Bank = coordinator_pb2.Bank


@dataclass(frozen=True, slots=True, kw_only=True)
class Committee:
    """The computing registries of some study, in their order.

    Attributes:
        names: Their names.
        fingerprints: SHA-256 of their certificates.
        certificates: The certificates, PEM.
    """

    names: tuple[str, ...]
    fingerprints: tuple[bytes, ...]
    certificates: tuple[str, ...]


class Banks:
    """All noise banks of the network.

    Args:
        network: SHA-256 of the network's CA certificate.
    """

    def __init__(self, network: bytes) -> None:
        self._network = network
        self._said: dict[str, coordinator_pb2.Banks] = {}
        self._committees: OrderedDict[bytes, Committee] = OrderedDict()

    def hear(self, name: str, said: coordinator_pb2.Banks) -> None:
        """Take what a registry says that it has.

        Raises:
            ProtocolError: It is not of the right form; the registry then counts as having none.
        """
        self._said.pop(name, None)
        good = len(said.life) == LIFE_BYTES and len(said.banks) <= MAX_BANKS
        for bank in said.banks:
            digests = {len(bank.committee), len(bank.law), len(bank.epoch) or 32}
            good = good and digests == {32} and bank.next <= bank.segments <= MAX_SEGMENTS
        if not good:
            raise ProtocolError("said something about its noise banks that cannot be")
        self._said[name] = said

    def left(self, name: str) -> None:
        """A registry is gone, and what it had may be."""
        self._said.pop(name, None)

    def remember(self, descriptor: Descriptor, certificates: Sequence[str]) -> None:
        """Remember the committee of a session, so that banks of it can be filled."""
        computing = descriptor.roster[: descriptor.parties]
        self._committees[descriptor.committee] = Committee(
            names=tuple(member.name for member in computing),
            fingerprints=tuple(member.certificate for member in computing),
            certificates=tuple(certificates[: descriptor.parties]),
        )
        self._committees.move_to_end(descriptor.committee)
        if len(self._committees) > MAX_COMMITTEES:
            self._committees.popitem(last=False)

    def noise_for(self, descriptor: Descriptor) -> str:
        """Where a session's noise comes from: the bank, if all of its committee have it."""
        names = [member.name for member in descriptor.roster[: descriptor.parties]]
        epoch, first, end = self._ready(descriptor.committee, descriptor.law, names)
        count = segments_of(descriptor.cells)
        if not epoch or first + count > end:
            return DIRECT
        return str(Draw(epoch=epoch, first=first, count=count))

    def due(self, nonce: bytes) -> tuple[Fill, Committee] | None:
        """The next fill: of a bank that all of a committee want and that is less than half full."""
        for digest, committee in reversed(self._committees.items()):
            for law in self._wanted(digest, committee):
                room = min(MAX_SEGMENTS, *(self._said[name].room for name in committee.names))
                epoch, first, end = self._ready(digest, law, committee.names)
                if room and (not epoch or 2 * (end - first) < room):
                    return self._fill(committee, law, room, nonce), committee
        return None

    def filled(self, fill: Fill) -> bool:
        """Whether every registry of a fill says that its bank is ready."""
        names = [seat.name for seat in fill.roster]
        return self._ready(fill.committee, fill.law, names)[0] == fill.digest

    def _ready(self, committee: bytes, law: bytes, names: Sequence[str]) -> tuple[bytes, int, int]:
        """Epoch, first and end of what ALL of these registries have; an empty epoch is nothing."""
        banks = [self._bank(name, committee, law) or Bank() for name in names]
        if len({bank.epoch for bank in banks}) != 1:
            return b"", 0, 0
        first, end = max(b.next for b in banks), min(b.segments for b in banks)
        return banks[0].epoch, first, end

    def _wanted(self, digest: bytes, committee: Committee) -> list[bytes]:
        """Laws of which every registry of a committee keeps a bank, in the order of the first."""
        names = committee.names
        if any(name not in self._said for name in names):
            return []
        laws = [bank.law for bank in self._said[names[0]].banks if bank.committee == digest]
        return [law for law in laws if all(self._bank(name, digest, law) for name in names)]

    def _bank(self, name: str, committee: bytes, law: bytes) -> Bank | None:
        bank: Bank
        for bank in self._said.get(name, coordinator_pb2.Banks()).banks:
            if (bank.committee, bank.law) == (committee, law):
                return bank
        return None

    def _fill(self, committee: Committee, law: bytes, segments: int, nonce: bytes) -> Fill:
        seats = zip(committee.names, committee.fingerprints, strict=True)
        return Fill(
            network=self._network,
            law=law,
            segments=segments,
            roster=tuple(
                Seat(name=name, certificate=certificate, life=self._said[name].life)
                for name, certificate in seats
            ),
            nonce=nonce,
        )
