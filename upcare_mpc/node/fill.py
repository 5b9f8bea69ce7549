"""Fills of the noise bank at one node, one at a time.

    proposed --approve--> begun --start--> running --segments, done--> ready
                            └─────────────────┴──> dropped: nothing of it is left

A fill touches no record, no budget and no study, and has a worker of its own: the one that waits
for the next study is left alone. What the platform hears is that a fill has failed, and which
banks are ready.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography import x509

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc._proto.upcare.study.v1 import study_pb2
from upcare_mpc.config import Agreement, PartyFile
from upcare_mpc.errors import ProtocolError, RefusedError, SessionError, UpcareError
from upcare_mpc.link.certificates import Identity
from upcare_mpc.link.roster import check_approvals, check_roster
from upcare_mpc.link.statements import approval_statement
from upcare_mpc.mpc.noise import Law
from upcare_mpc.mpc.programs.fill import Fill
from upcare_mpc.mpc.programs.segments import Segments
from upcare_mpc.node.assignment import Reach
from upcare_mpc.node.bank import NoiseBank
from upcare_mpc.node.process import WorkerProcess

__all__ = ["Filler"]

FILL_S = 120.0  # from approval to the end


@dataclass(slots=True, kw_only=True)
class _Begun:
    """A fill that this node has begun and that has not ended."""

    fill: Fill
    certificates: list[x509.Certificate]
    worker: WorkerProcess | None = None
    started: bool = False

    async def end(self) -> None:
        """End its worker, if it has one."""
        if self.worker is not None:
            await self.worker.end()


@dataclass(slots=True, kw_only=True)
class Filler:
    """What a node does about fills.

    Attributes:
        party: This registry.
        agreement: Of the network.
        identity: Certificate and key.
        bank: Where the noise goes.
        say: The way to the platform.
        log: Writes one line.
        start_worker: Starts a worker process.
    """

    party: PartyFile
    agreement: Agreement
    identity: Identity
    bank: NoiseBank
    say: Callable[[coordinator_pb2.AttendRequest], None]
    log: Callable[[str], None]
    start_worker: Callable[[], Awaitable[WorkerProcess]]
    _begun: _Begun | None = None

    def has(self, digest: bytes) -> bool:
        """Whether this is the fill that is under way."""
        return self._begun is not None and self._begun.fill.digest == digest

    def announce(self) -> None:
        """Tell the platform which banks are ready; a node that keeps none says nothing."""
        if not self.bank.room:
            return
        banks = [
            coordinator_pb2.Bank(
                committee=committee,
                law=bank.law.digest,
                epoch=bank.epoch,
                next=bank.next,
                segments=bank.segments,
            )
            for committee, bank in self.bank.banks
        ]
        self._say(
            banks=coordinator_pb2.Banks(life=self.bank.life, room=self.bank.room, banks=banks)
        )

    async def approve(self, call: int, proposal: coordinator_pb2.FillProposal) -> None:
        """Agree to a fill and send the signed approval, or say why not."""
        try:
            begun, law = self._begin(proposal)
            try:
                endpoint = await self._prepare(begun, list(proposal.certificates), law)
            except BaseException:
                await self._drop(begun)
                raise
        except UpcareError as error:
            self.log(f"fill refused: {error}")
            self._say(call=call, failure=coordinator_pb2.Failure(code=error.code, text=str(error)))
            return
        name, digest = self.party.name, begun.fill.digest
        statement = approval_statement(digest, name, endpoint)
        approval = study_pb2.Approval(
            session_digest=digest,
            registry=name,
            endpoint=endpoint,
            signature=self.identity.sign(statement),
        )
        self._say(call=call, approval=approval)

    async def expire(self) -> None:
        """End the fill under way if it is still that one after its time."""
        begun = self._begun
        await asyncio.sleep(FILL_S)
        if begun is not None and self._begun is begun:
            self.log(f"fill ended: it took longer than {FILL_S:.0f} s")
            await self.abort()

    async def run(self, approvals: Sequence[study_pb2.Approval]) -> None:
        """Start the fill under way and follow its worker to the end."""
        begun = self._begun
        if begun is None or begun.worker is None or begun.started:
            raise ProtocolError("a fill is started once, after it was approved")
        begun.started = True
        try:
            endpoints = check_approvals(begun.fill, begun.certificates, approvals)
            begun.worker.tell("start", endpoints=endpoints)
            await self._follow(begun.fill, begun.worker)
            self.bank.confirm(begun.fill)
            self._begun = None
            self.log(f"noise bank: {begun.fill.cells} values are ready")
        except UpcareError as error:
            if self._begun is begun:  # else it was aborted
                self.log(f"fill failed: {error}")
                failure = coordinator_pb2.Failure(
                    session_digest=begun.fill.digest, code=error.code, text=str(error)
                )
                self._say(failure=failure)
                await self._drop(begun)
        finally:
            await begun.end()
            self.announce()

    async def abort(self) -> None:
        """End the fill under way, if there is one; nothing of it is left."""
        if self._begun is not None:
            await self._drop(self._begun)

    # -- inside ---------------------------------------------------------------------------------

    def _begin(self, proposal: coordinator_pb2.FillProposal) -> tuple[_Begun, Law]:
        """Check a proposed fill, and enter it in the bank."""
        if self._begun is not None:
            raise RefusedError("is busy with another fill of the noise bank")
        fill = Fill.from_canonical(proposal.fill)
        name, network = self.party.name, self.identity.network
        if fill.network != network.fingerprint or fill.parties != self.agreement.committee:
            raise ProtocolError("a fill is of this network and of a whole committee of it")
        certificates = check_roster(fill, proposal.certificates, network)
        if fill.roster[fill.place(name)].certificate != self.identity.party.fingerprint:
            raise ProtocolError(f"the fill names another certificate of {name}")
        law = self.bank.begin(fill, name=name)
        self._begun = _Begun(fill=fill, certificates=certificates)
        return self._begun, law

    async def _prepare(self, begun: _Begun, certificates: list[str], law: Law) -> str:
        """Start the fill's worker; where it listens."""
        begun.worker = await self.start_worker()
        party, port = self.party, 0
        if self._begun is begun:
            port = await begun.worker.assign_fill(
                begun.fill,
                identity=self.identity,
                certificates=certificates,
                law=law,
                reach=Reach(host=party.host, ports=party.ports, silence_s=party.silence_s),
            )
        if self._begun is not begun:
            raise SessionError("it was aborted before it began")
        return f"{party.host}:{port}"

    async def _drop(self, begun: _Begun) -> None:
        if self._begun is begun:
            self._begun = None
        self.bank.drop(begun.fill)
        await begun.end()

    async def _follow(self, fill: Fill, worker: WorkerProcess) -> None:
        """Answer the worker until it is done.

        Raises:
            SessionError: It fails, or is gone.
        """
        while (message := await worker.next_message()) is not None:
            match message.say:
                case "segments":
                    keys = tuple(bytes.fromhex(key) for key in message.fields["keys"])
                    self.bank.store(fill, Segments(keys=keys, sealed=message.blob))
                    worker.tell("stored")
                case "failed":
                    raise SessionError(message.fields["text"])
                case "done":
                    return
        raise SessionError("the worker of a fill ended unexpectedly")

    def _say(self, **message: Any) -> None:
        self.say(coordinator_pb2.AttendRequest(**message))
