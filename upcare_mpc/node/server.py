"""A registry's node: attends the platform, answers questions by policy, and runs sessions.

One outgoing stream to the platform, one Unix socket for the operator, one worker process for
each session. This process never loads MPyC and never holds a share of a study; its part of a key
for deposits passes through, to the disk and to a worker. Whatever the platform sends is checked
against what the researcher signed and what this registry has agreed to; a bad message ends a
session, never the node.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

import grpc
import grpc.aio

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2, coordinator_pb2_grpc
from upcare_mpc._proto.upcare.study.v1 import study_pb2
from upcare_mpc.config import Agreement, PartyFile
from upcare_mpc.errors import ProtocolError, RefusedError, UpcareError
from upcare_mpc.link.availability import availability_message
from upcare_mpc.link.certificates import Identity, host_of, verify_signature
from upcare_mpc.link.roster import check_roster
from upcare_mpc.link.statements import RequestMethod, no_output_statement, question_digest
from upcare_mpc.node.approval import Standing
from upcare_mpc.node.bank import NoiseBank
from upcare_mpc.node.books import Books
from upcare_mpc.node.collection import Collector
from upcare_mpc.node.dealing import KeyDealer
from upcare_mpc.node.deposit_folder import DepositFolder
from upcare_mpc.node.fill import Filler
from upcare_mpc.node.process import WorkerProcess
from upcare_mpc.node.question import charge, check_policy, read_question
from upcare_mpc.node.session import NodeSession, no_output
from upcare_mpc.node.snapshot import Snapshot, renewal_time
from upcare_mpc.storage.holdings import Holdings
from upcare_mpc.storage.sessions import SessionState
from upcare_mpc.study.descriptor import Descriptor
from upcare_mpc.study.spec import Study

__all__ = ["Node"]

PROTOCOL = "1"
PLATFORM_MESSAGE_BYTES = 16 << 20
MAX_SESSIONS = 2
_OPTIONS = [
    ("grpc.max_receive_message_length", PLATFORM_MESSAGE_BYTES),
    ("grpc.max_send_message_length", PLATFORM_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.ssl_target_name_override", host_of("platform", "platform")),
]
WATCH_S: Final = 10.0  # between two looks for another snapshot
_REFUSALS = {
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.INVALID_ARGUMENT,
}


class Node:
    """One registry's long-lived process."""

    def __init__(
        self,
        party: PartyFile,
        identity: Identity,
        agreement: Agreement,
        snapshot: Snapshot,
        books: Books,
        bank: NoiseBank,
        holdings: Holdings,
        *,
        renew: Callable[[Snapshot], Snapshot | None],
        log: Callable[[str], None],
    ) -> None:
        """Make it; ``renew`` looks for what is to be answered from in place of a snapshot."""
        self.party = party
        self.identity = identity
        self.snapshot = snapshot
        self.books = books
        self.bank = bank
        self.waiting: dict[bytes, study_pb2.StudyRequest] = {}
        self.attending = False
        self._agreement = agreement
        self._renew = renew
        self._log = log
        self._sessions: dict[bytes, NodeSession] = {}
        self._preparing = 0  # sessions on their way into `_sessions`
        self._finished: set[bytes] = set()  # by the platform's word, while they still run here
        self._outbox: asyncio.Queue[coordinator_pb2.AttendRequest] = asyncio.Queue()
        self._spare: asyncio.Task[WorkerProcess] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._filler = Filler(
            party=party,
            agreement=agreement,
            identity=identity,
            bank=bank,
            say=self._outbox.put_nowait,
            log=log,
            start_worker=lambda: WorkerProcess.start(computes=True, background=True),
        )
        self.collector = Collector(
            party=party,
            agreement=agreement,
            identity=identity,
            books=books,
            holdings=holdings,
            deposits=DepositFolder(party.state_folder / "deposits", party.platform, identity),
            say=self._outbox.put_nowait,
            log=log,
        )
        self.dealer = KeyDealer(
            party=party,
            agreement=agreement,
            identity=identity,
            books=books,
            holdings=holdings,
            say=self._outbox.put_nowait,
            log=log,
            start_worker=lambda: WorkerProcess.start(computes=True),
        )

    @property
    def running(self) -> int:
        """Number of sessions that have not ended, those under preparation included."""
        return self._preparing + sum(not session.ended for session in self._sessions.values())

    async def run(self) -> None:
        """Attend the platform until cancelled; reconnects by itself."""
        self._prepare_worker()
        self.collector.clean()
        for study, session in self.books.unfinished():
            # This node stopped in the middle: its worker and the shares in it are gone.
            if self.books.erase(study, session):
                self._say_failure(session, "the node was restarted during the session", word=True)
        told = ""
        watching = [
            asyncio.ensure_future(watch) for watch in (self._watch_data(), self.collector.watch())
        ]
        try:
            while True:
                try:
                    await self._attend()
                except grpc.aio.AioRpcError as error:
                    why = _why(error)
                    if self.attending or why != told:
                        self._log(why)  # once, not every second
                    told = why
                self.attending = False
                await asyncio.sleep(1.0)
        finally:
            for watch in watching:
                watch.cancel()
            for running in self._sessions.values():
                await running.worker.end()
            await self._filler.abort()
            await self.dealer.give_up()
            await self.collector.end()
            if self._spare is not None:
                worker = await self._spare
                await worker.end()

    def decided(self, question: bytes) -> None:
        """The operator has said yes or no to a waiting question: let the platform ask again."""
        study = Study.from_canonical(self.waiting.pop(question).study)
        self._say(decision=coordinator_pb2.Decision(study_digest=study.digest))

    async def renew_data(self) -> None:
        """Take the snapshot that is in force now; sessions that run keep the one they began with.

        It is taken a fixed time after it was found to be due, whatever is in it.

        Raises:
            DataError, ConfigError: It cannot be taken; the old one stays.
        """
        started = time.monotonic()
        found = await asyncio.to_thread(self._renew, self.snapshot)
        if found is not None:
            taken = started + renewal_time(self.party.data.cases_at_most)
            await asyncio.sleep(max(0.0, taken - time.monotonic()))
            self.snapshot = found
            self.books.renew(found.digest)
            self._log(f"another snapshot is in force: {found.origin}")

    async def _watch_data(self) -> None:
        told = ""
        while True:
            await asyncio.sleep(WATCH_S)
            try:
                await self.renew_data()
                told = ""
            except UpcareError as error:
                if str(error) != told:
                    self._log(f"the snapshot that was read stays in use: {error}")
                told = str(error)

    # -- the stream -----------------------------------------------------------------------------

    async def _attend(self) -> None:
        credentials = grpc.ssl_channel_credentials(
            root_certificates=self.identity.network.ca_pem,
            private_key=self.identity.key_pem,
            certificate_chain=self.identity.certificate_pem,
        )
        async with grpc.aio.secure_channel(
            self.party.platform, credentials, options=_OPTIONS
        ) as channel:
            call = coordinator_pb2_grpc.AttendanceStub(channel).Attend()
            await call.write(coordinator_pb2.AttendRequest(join=self._join()))
            self._filler.announce()
            writer = asyncio.ensure_future(self._write(call))
            try:
                while (message := await call.read()) is not grpc.aio.EOF:
                    if not self.attending:
                        self._log("attending the platform")
                        self.attending = True
                    self._spawn(self._handle(message))
            finally:
                writer.cancel()

    def _join(self) -> coordinator_pb2.Join:
        """Introduce this registry, with what its operator states about its data."""
        join = coordinator_pb2.Join(version=PROTOCOL)
        if self.party.catalogue is not None:
            join.availability.CopyFrom(availability_message(self.party.catalogue))
        return join

    async def _write(self, call: Any) -> None:
        """Send what is in the outbox; what could not be sent stays there for the next stream."""
        while True:
            message = await self._outbox.get()
            try:
                await call.write(message)
            except BaseException:
                self._outbox.put_nowait(message)
                raise

    async def _handle(self, message: coordinator_pb2.AttendResponse) -> None:
        """Answer one message of the platform; nothing it sends may end this process."""
        try:
            match message.WhichOneof("message"):
                case "offer":
                    self._say(call=message.call, quote=self._quote(message.offer))
                case "proposal":
                    await self._approve(message.call, message.proposal)
                case "fill":
                    await self._filler.approve(message.call, message.fill)
                    self._spawn(self._filler.expire())
                case "collection":
                    await self.dealer.approve(message.call, message.collection)
                    self._spawn(self.dealer.expire())
                case "closing":
                    self.collector.close(message.closing)
                case "discard":
                    await self._discard(message.discard.collection)
                case "start" if self.dealer.has(message.start.session_digest):
                    await self.dealer.run(message.start.approvals)
                case "abort" if self.dealer.has(message.abort.session_digest):
                    await self.dealer.give_up()
                case "start" if self._filler.has(message.start.session_digest):
                    await self._filler.run(message.start.approvals)
                case "abort" if self._filler.has(message.abort.session_digest):
                    await self._filler.abort()
                case "start":
                    await self._start(message.start)
                case "abort":
                    await self._abort(message.abort)
                case "releases":
                    self._release(message.releases)
                case "recall":
                    await self._recall(message.recall.session_digest)
                case "finished":
                    self._finish(message.finished.session_digest)
        except UpcareError as error:
            self._log(f"refused what the platform sent: {error}")
        except Exception as error:  # noqa: BLE001  # a fault of ours; the platform must not wait
            self._log(f"a fault at a message of the platform: {type(error).__name__}")
            await self._answer_fault(message)

    # -- answers --------------------------------------------------------------------------------

    def _quote(self, offer: coordinator_pb2.Offer) -> coordinator_pb2.Quote:
        """Say what this registry would do with a study; spends nothing, looks at no record."""
        quote = coordinator_pb2.Quote(registry=self.party.name)
        try:
            methods: tuple[RequestMethod, ...] = ("submit", "close")
            question = read_question(
                offer.request,
                self._agreement,
                *(methods if offer.submitted else ("preview", *methods)),
                now=time.time(),
            )
            quote.study_digest = question.digest
            known = offer.request.signing_key in self.party.policy.researchers.values()
            if known:  # nothing below is for strangers
                quote.snapshot = self.snapshot.digest
                quote.computes = self.party.computes
                quote.certificate = self.identity.certificate_pem.decode()
            ledger = self.books.ledger()
            if known:
                balance = ledger.balance()
                quote.epsilon_left = str(balance.epsilon_left)
                quote.rho_left = str(balance.rho_left)
            check_policy(question, offer.request, self.party.policy, registry=self.party.name)
            self.snapshot.check_in_time()
            self.snapshot.check_reference(question.kind)
            ledger.check(charge(question))
            quote.verdict = coordinator_pb2.Quote.VERDICT_YES
            if not self.party.policy.automatic:
                self._ask_operator(question.digest, offer, quote)
        except UpcareError as error:
            quote.verdict = coordinator_pb2.Quote.VERDICT_NO
            quote.reason = str(error)
        return quote

    def _ask_operator(
        self, study: bytes, offer: coordinator_pb2.Offer, quote: coordinator_pb2.Quote
    ) -> None:
        question = question_digest(study, offer.request.signing_key)
        standing, reason = self.books.standing(question)
        if offer.submitted and standing is not Standing.GRANTED:
            self.waiting[question] = offer.request  # a refusal can still be taken back
        if standing is Standing.REFUSED:
            raise RefusedError(f"its operator refuses: {reason}")
        if standing is Standing.NONE:
            quote.verdict = coordinator_pb2.Quote.VERDICT_PENDING
            quote.reason = "waits for its operator"
            if offer.submitted:
                short = question.hex()[:12]
                self._log(f"question {short} waits for approval: upcare node approve {short}")

    async def _approve(self, call: int, proposal: coordinator_pb2.Proposal) -> None:
        """Agree to a session and send the signed approval, or say why not."""
        try:
            if self.running >= MAX_SESSIONS:
                raise RefusedError(f"is busy with {self.running} sessions")
            self._preparing += 1  # nothing awaited since the check: it binds
            try:
                session, approval = await self._prepare(proposal)
            finally:
                self._preparing -= 1
        except UpcareError as error:
            self._log(f"session refused: {error}")
            self._filler.announce()  # the refusal may have burnt noise
            text = coordinator_pb2.Failure(code=error.code, text=str(error))
            self._say(call=call, failure=text)
            return
        self._sessions[session.digest] = session
        self._log(f"session {session.digest.hex()[:12]} approved")
        self._filler.announce()
        self._say(call=call, approval=approval)
        self._spawn(session.expire())

    async def _prepare(
        self, proposal: coordinator_pb2.Proposal
    ) -> tuple[NodeSession, study_pb2.Approval]:
        question = read_question(
            proposal.request, self._agreement, "submit", "close", now=time.time()
        )
        if (proposal.request.method == "close") != (question.study.deposits is not None):
            raise ProtocolError("a study with deposits runs when it is closed, any other at once")
        check_policy(question, proposal.request, self.party.policy, registry=self.party.name)
        self.snapshot.check_in_time()
        self.snapshot.check_reference(question.kind)
        return await NodeSession.approve(
            proposal,
            question,
            party=self.party,
            agreement=self._agreement,
            identity=self.identity,
            books=self.books,
            bank=self.bank,
            collector=self.collector,
            snapshot=self.snapshot,
            take_worker=self._take_worker,
            say=self._outbox.put_nowait,
        )

    async def _start(self, start: coordinator_pb2.Start) -> None:
        session = self._sessions.get(start.session_digest)
        if session is None:
            raise ProtocolError("a session is started that was not approved here")
        await session.run(start.approvals)
        self._log(f"session {session.digest.hex()[:12]} ended")
        if session.digest in self._finished:
            self._finish(session.digest)
        if self._spare is None:
            self._prepare_worker()  # not earlier: loading it would compete with the session

    async def _abort(self, abort: coordinator_pb2.Abort) -> None:
        session = self._sessions.get(abort.session_digest)
        if session is not None and not session.ended:
            await session.end_without_output(abort.reason)

    async def _discard(self, collection: bytes) -> None:
        """A collection is over, whether its key is held or still being dealt."""
        if self.dealer.has(collection):
            await self.dealer.give_up()
        await self.collector.discard(collection)

    def _finish(self, digest: bytes) -> None:
        """Settle a session that the platform calls finished, but not before it has ended here."""
        session = self._sessions.get(digest)
        if session is not None and session.ended:
            session.finish()
            del self._sessions[digest]
            self._finished.discard(digest)
        elif session is not None:
            self._finished.add(digest)

    async def _recall(self, session: bytes) -> None:
        """Send a stored output again, byte for byte, or the word that there is none.

        The platform asks this of what it does not run any more: what waits here for its start ends.
        """
        waiting = self._sessions.get(session)
        agreed = self.books.progress(session) is SessionState.AGREED
        if agreed and waiting is not None and not (waiting.started or waiting.ended):
            await waiting.end_without_output("the platform does not run it any more")
        elif self.books.erased(session):
            self._say_failure(session, "", word=True)
        else:
            self._say(output=study_pb2.Output.FromString(self.books.output(session)))

    def _release(self, releases: coordinator_pb2.Releases) -> None:
        """Give back a charge on the signed words of all m computing registries.

        Works after a restart too: everything to check the words by comes with them.
        """
        descriptor = Descriptor.from_canonical(releases.descriptor)
        certificates = check_roster(descriptor, list(releases.certificates), self.identity.network)
        signers = set()
        for word in releases.words:
            place = descriptor.place(word.registry)
            if word.session_digest == descriptor.digest and place < descriptor.parties:
                statement = no_output_statement(descriptor.digest, word.registry)
                verify_signature(certificates[place], statement, word.signature)
                signers.add(word.registry)
        needed = descriptor.parties  # fewer could leave t + 1 shares: docs/decisions/0010
        if len(signers) < needed:
            raise ProtocolError(f"a release wants {needed} signed words, got {len(signers)}")
        if self.books.release(descriptor.study, descriptor.digest):
            self._log(f"session {descriptor.digest.hex()[:12]}: no output left, charge released")
        self._sessions.pop(descriptor.digest, None)

    async def _answer_fault(self, message: coordinator_pb2.AttendResponse) -> None:
        """Answer in place of a step that failed for a reason nobody thought of."""
        text = "has a fault; its log says more"
        match message.WhichOneof("message"):
            case "offer":
                no = coordinator_pb2.Quote.VERDICT_NO
                quote = coordinator_pb2.Quote(registry=self.party.name, verdict=no, reason=text)
                self._say(call=message.call, quote=quote)
            case "proposal" | "fill" | "collection":
                failure = coordinator_pb2.Failure(code=UpcareError.code, text=text)
                self._say(call=message.call, failure=failure)
            case "start":
                session = self._sessions.get(message.start.session_digest)
                if session is not None and not session.ended:
                    await session.end_without_output(f"{self.party.name} {text}")

    # -- workers and messages -------------------------------------------------------------------

    def _prepare_worker(self) -> None:
        start = WorkerProcess.start(computes=self.party.computes)
        self._spare = asyncio.ensure_future(start)

    async def _take_worker(self) -> WorkerProcess:
        """Hand out the waiting worker; the next one starts when a session has ended."""
        while True:
            if self._spare is None:
                self._prepare_worker()
            spare, self._spare = self._spare, None  # taken before waiting: nobody else gets it
            assert spare is not None
            worker = await spare
            if worker.alive:
                return worker

    def _say_failure(self, session: bytes, text: str, *, word: bool) -> None:
        message = coordinator_pb2.Failure(session_digest=session, code="session", text=text)
        if word and self.party.computes:
            message.no_output.CopyFrom(no_output(self.identity, session))
        self._say(failure=message)

    def _say(self, **message: Any) -> None:
        self._outbox.put_nowait(coordinator_pb2.AttendRequest(**message))

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _why(error: grpc.aio.AioRpcError) -> str:
    """Say why the platform's stream ended."""
    detail = (error.details() or "").lower()
    if error.code() in _REFUSALS:
        return f"the platform does not accept this registry: {error.details()}"
    if "certificate" in detail or "handshake" in detail or "ssl" in detail:
        return "no trusted connection to the platform: its certificate or ours is not accepted"
    return "the platform cannot be reached; trying again"
