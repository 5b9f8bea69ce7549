"""One session at one node, from the platform's proposal to its end.

    proposed --approve--> approved --start--> running --output--> finished
        └────────────────────┴───────────────────┴──> ended without output, and said so

The server side of it: checks, books, and the worker. No share passes through here; the vector
does, once, on its way into the worker.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography import x509

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc._proto.upcare.study.v1 import study_pb2
from upcare_mpc.config import Agreement, PartyFile
from upcare_mpc.consent.use import Use
from upcare_mpc.errors import ProtocolError, SessionError, UpcareError
from upcare_mpc.he.scheme import blocks_of
from upcare_mpc.kinds.question import Question
from upcare_mpc.link.certificates import Identity
from upcare_mpc.link.roster import check_approvals, check_roster
from upcare_mpc.link.statements import (
    approval_statement,
    no_output_statement,
    spent_in,
    spent_statement,
)
from upcare_mpc.mpc.programs.contract import Rules, check_descriptor
from upcare_mpc.node.assignment import Deposited, Reach
from upcare_mpc.node.bank import NoiseBank
from upcare_mpc.node.books import Books
from upcare_mpc.node.collection import Collector
from upcare_mpc.node.process import WorkerProcess
from upcare_mpc.node.question import use_of
from upcare_mpc.node.snapshot import Snapshot, gate_time
from upcare_mpc.study.descriptor import Descriptor

__all__ = ["NodeSession", "no_output"]

START_S = 1800.0  # from approval to start
SESSION_S = 600.0  # from start to the worker's end
DEPOSIT_BLOCK_S = 0.2  # longer for each block of a deposit
STEP_S = 5e-7  # one step of evaluating one record, with room for a slow machine
PLAN_CASES = 1000  # planning a query costs as much as counting so many records
COUNT_S = 0.4  # for what does not grow with the records, on a busy machine too
PREPARE_S = 0.25  # for the worker to be ready

Say = Callable[[coordinator_pb2.AttendRequest], None]


@dataclass(slots=True)
class NodeSession:
    """One session at this node."""

    party: PartyFile
    identity: Identity
    books: Books
    question: Question
    descriptor: Descriptor
    certificates: list[x509.Certificate]
    worker: WorkerProcess
    say: Say
    collector: Collector
    time_s: float
    started: bool = False
    ended: bool = False

    @classmethod
    async def approve(
        cls,
        proposal: coordinator_pb2.Proposal,
        question: Question,
        *,
        party: PartyFile,
        agreement: Agreement,
        identity: Identity,
        books: Books,
        bank: NoiseBank,
        collector: Collector,
        snapshot: Snapshot,
        take_worker: Callable[[], Awaitable[WorkerProcess]],
        say: Say,
    ) -> tuple["NodeSession", study_pb2.Approval]:
        """Check a proposed session, burn its noise, agree to it in the books, count, and sign.

        What the ledger or the operator refuses is refused before anything is used up. Then the key
        of its deposits is pinned, then the noise is burnt; and both stay so whatever comes of the
        session.

        Raises:
            UpcareError: Any check fails; then nothing is reserved and the session is dead here.
        """
        counting_s = (
            party.data.reach_s
            + counting_time(question, party.data.cases_at_most)
            + snapshot.reference_time(question.kind)
        )
        descriptor = Descriptor.from_canonical(proposal.descriptor)
        check_descriptor(
            descriptor,
            question,
            signing_key=proposal.request.signing_key,
            sealing_key=proposal.request.sealing_key,
            network=identity.network.fingerprint,
            committee=agreement.committee,
        )
        certificates = check_roster(descriptor, proposal.certificates, identity.network)
        me = descriptor.roster[descriptor.place(party.name)]
        if me.certificate != identity.party.fingerprint or me.snapshot != snapshot.digest:
            raise ProtocolError(f"the session names another certificate or snapshot of {me.name}")
        computes = descriptor.place(party.name) < descriptor.parties
        if computes and not party.computes:
            raise ProtocolError(f"{party.name} does not compute, but the session wants it to")
        # Nothing is awaited between this and ``agree``: what it allows is allowed then.
        books.check(question, descriptor.digest, proposal.request)
        deposited = None
        if descriptor.deposits:
            deposited = collector.admit(proposal, question, descriptor)
        started = time.monotonic()  # so far nothing depends on a record
        noise = None
        try:
            if computes and descriptor.draw is not None:
                noise = bank.take(descriptor.committee, descriptor.law, descriptor.draw)
            books.agree(question, descriptor.digest, proposal.request)
            try:
                worker = await take_worker()
            except BaseException:
                books.erase(question.digest, descriptor.digest)
                raise
        except BaseException:
            collector.leave(descriptor.digest)
            raise
        session = cls(
            party=party,
            identity=identity,
            books=books,
            question=question,
            descriptor=descriptor,
            certificates=certificates,
            worker=worker,
            say=say,
            collector=collector,
            time_s=session_time(deposited),
        )
        try:
            use = use_of(question, proposal.request, party.policy, registry=party.name)
            vector = await _count(snapshot, question, use, until=started + counting_s)
            port = await worker.assign(
                descriptor,
                vector=vector,
                noise=noise,
                identity=identity,
                certificates=list(proposal.certificates),
                law=question.law,
                rules=Rules.of(question.study.release, question.layout),
                reach=Reach(host=party.host, ports=party.ports, silence_s=party.silence_s),
                deposited=deposited,
            )
        except BaseException:
            await session.end_without_output("it could not be prepared")
            raise
        if computes:
            names = [member.name for member in descriptor.roster[: descriptor.parties]]
            bank.want(descriptor.committee, names, question.law)
        await _sleep_until(started + counting_s + PREPARE_S)
        endpoint = f"{party.host}:{port}" if port else ""
        approval = study_pb2.Approval(
            session_digest=descriptor.digest, registry=party.name, endpoint=endpoint
        )
        statement = approval_statement(descriptor.digest, party.name, endpoint)
        approval.signature = identity.sign(statement)
        return session, approval

    @property
    def digest(self) -> bytes:
        """Digest of the descriptor; names the session."""
        return self.descriptor.digest

    @property
    def computes(self) -> bool:
        """Whether this registry is one of the m."""
        return self.descriptor.place(self.party.name) < self.descriptor.parties

    async def run(self, approvals: Sequence[study_pb2.Approval]) -> None:
        """Start the worker and follow it to its end; says everything to the platform itself.

        Raises:
            ProtocolError: The session was started before, or has ended.
        """
        if self.started or self.ended:
            raise ProtocolError("a session is started once, and before it has ended")
        self.started = True
        try:
            endpoints = check_approvals(self.descriptor, self.certificates, approvals)
            self.worker.tell("start", endpoints=endpoints)
            await asyncio.wait_for(self._follow(), self.time_s)
        except TimeoutError:
            await self._fail("session", f"the session took longer than {self.time_s:.0f} s")
        except UpcareError as error:
            if not self.ended:  # else it was aborted, and that has been said
                await self._fail(error.code, str(error))
        finally:
            await self.worker.end()

    async def expire(self) -> None:
        """End the session if it is not started in time: the platform may be gone."""
        await asyncio.sleep(START_S)
        if not (self.started or self.ended):
            await self.end_without_output(f"it was not started within {START_S:.0f} s")

    async def end_without_output(self, reason: str) -> None:
        """End the session here, make "no output" true, and say so if this registry computes."""
        await self._fail("session", reason)

    def finish(self) -> None:
        """The platform has the result: the charge is final."""
        self.books.settle(self.question, self.digest)

    # -- inside ---------------------------------------------------------------------------------

    async def _follow(self) -> None:
        """Answer the worker until it ends."""
        while True:
            message = await self.worker.next_message()
            if message is None:
                raise SessionError(f"the worker of {self.party.name} ended unexpectedly")
            match message.say:
                case "phase":
                    self._say(
                        phase=coordinator_pb2.Phase(
                            session_digest=self.digest, phase=message.fields["phase"]
                        )
                    )
                case "spend":
                    self.books.spend(self.question, self.digest)
                    self.worker.tell("spent")
                    self._say_spent()
                case "reveal":
                    self.books.reveal(self.question, self.digest)
                    self.worker.tell("noted")
                case "converted":
                    await self.collector.converted(self.digest)
                    self.worker.tell("erased")
                case "output":
                    if self.descriptor.deposits:  # nothing is stored beside a key that is left
                        await self.collector.converted(self.digest)
                    self._store_and_send(message.fields, message.blob)
                    self.worker.tell("stored")
                case "failed":
                    await self._fail(message.fields["code"], message.fields["text"])
                    return
                case "done":
                    self.ended = True
                    self.collector.leave(self.digest)
                    return

    def _store_and_send(self, fields: Mapping[str, Any], sealed: bytes) -> None:
        output = study_pb2.Output(
            session_digest=self.digest,
            index=self.descriptor.place(self.party.name),
            agreement=bytes.fromhex(fields["agreement"]),
            sealed=sealed,
            signature=bytes.fromhex(fields["signature"]),
            dropped=fields["dropped"],
        )
        self.books.store_output(self.question, self.digest, output.SerializeToString())
        self._say(output=output)

    def _say_spent(self) -> None:
        spent = spent_in(self.descriptor, self.party.name)
        spent.signature = self.identity.sign(spent_statement(spent))
        self._say(spent=spent)

    async def _fail(self, code: str, text: str) -> None:
        """End the worker first, so that its shares are gone, then give the signed word."""
        self.ended = True
        await self.worker.end()
        self.collector.leave(self.digest)
        self._say(failure=failure(self, code, text))

    def _say(self, **message: Any) -> None:
        self.say(coordinator_pb2.AttendRequest(**message))


def failure(session: NodeSession, code: str, text: str) -> coordinator_pb2.Failure:
    """Say that a session has failed here; with the signed word if no output left and it counts."""
    result = coordinator_pb2.Failure(session_digest=session.digest, code=code, text=text)
    if session.books.erase(session.question.digest, session.digest) and session.computes:
        result.no_output.CopyFrom(no_output(session.identity, session.digest))
    return result


def no_output(identity: Identity, session: bytes) -> study_pb2.NoOutput:
    """Sign that no output of this session left or will leave; the books already make it true."""
    name = identity.party.name
    return study_pb2.NoOutput(
        session_digest=session,
        registry=name,
        signature=identity.sign(no_output_statement(session, name)),
    )


def session_time(deposited: Deposited | None) -> float:
    """Seconds from start to the worker's end: they follow from how many deposits there are."""
    if deposited is None:
        return SESSION_S
    blocks = len(deposited.accepted) * blocks_of(deposited.collection.cells)
    return SESSION_S + DEPOSIT_BLOCK_S * blocks


def counting_time(question: Question, cases_at_most: int) -> float:
    """Seconds that counting is given: a function of the study's text and the declared size.

    The approval leaves at the end of this time whatever the records and consents are; how long
    counting really took could tell whether a record matched or whose data may not be used, and the
    researcher writes what is evaluated.
    """
    counting_s = STEP_S * question.steps * (PLAN_CASES + cases_at_most)
    return COUNT_S + counting_s + gate_time(cases_at_most)


async def _count(snapshot: Snapshot, question: Question, use: Use, *, until: float) -> bytes:
    """Count a study's table, and give it out at ``until``, neither earlier nor later.

    Raises:
        SessionError: Counting has not ended by then.
    """
    counting = asyncio.ensure_future(asyncio.to_thread(snapshot.tabulate, question.kind, use))
    await _sleep_until(until)
    if not counting.done():
        counting.cancel()
        raise SessionError("counting did not end in the time that this node's size gives it")
    return counting.result()


async def _sleep_until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - time.monotonic()))
