"""The platform's work: questions in, sessions run one after another, stored answers out.

Shares are sealed and statements signed end to end, so this class may be curious. It is trusted to
keep the service up. If it is wrong or hostile it reads no count and alters no answer unnoticed, but
it can: keep a study from happening, or hide its answer; hand out t + 1 outputs of the m, so that
the result opens and cannot be checked; use up signed requests, and charges with them, in sessions
that it lets fail; propose which of the willing registries compute; and see who asks what, when.
"""

import asyncio
import datetime
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc._proto.upcare.deposit.v1 import deposit_pb2
from upcare_mpc._proto.upcare.study.v1 import study_pb2
from upcare_mpc.config import Agreement
from upcare_mpc.coordinator.afterwards import EndedSessions
from upcare_mpc.coordinator.attendance import Attendance
from upcare_mpc.coordinator.catalogue import Catalogue
from upcare_mpc.coordinator.collecting import Collecting
from upcare_mpc.coordinator.collections import Collections, Frozen
from upcare_mpc.coordinator.fill import Fills
from upcare_mpc.coordinator.lifecycle import State, in_words
from upcare_mpc.coordinator.run import Quotes, Run, compose
from upcare_mpc.coordinator.stories import Bell, Stories
from upcare_mpc.errors import RefusedError, StudyError, UpcareError
from upcare_mpc.kinds.question import Question, work_out
from upcare_mpc.link.certificates import Identity
from upcare_mpc.link.statements import (
    RequestMethod,
    check_authorization,
    check_request,
    question_digest,
)
from upcare_mpc.storage.deposits import Deposits
from upcare_mpc.storage.studies import LINES, Studies, StudyEvent, StudyRow
from upcare_mpc.study.descriptor import Descriptor
from upcare_mpc.study.spec import Study

__all__ = ["Platform"]

Verdict = coordinator_pb2.Quote
STUDIES_A_KEY = 1000  # that the platform keeps
_STORED = ["stored", State.DONE]


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class Platform:
    """Life cycle of all questions; one session runs at a time."""

    def __init__(
        self, identity: Identity, agreement: Agreement, studies: Studies, deposits: Deposits
    ) -> None:
        self.attendance = Attendance(hear=self._hear, joined=self._joined, left=self._left)
        self.catalogue = Catalogue(clock=time.time)
        self._identity = identity
        self._agreement = agreement
        self.studies = studies
        self.deposits = deposits
        self._stories = Stories(studies)
        self._ended = EndedSessions(studies, self.attendance, answered=self._answered_late)
        self._runs: dict[bytes, Run] = {}  # by session digest, while the session runs
        self._fills = Fills(self.attendance, identity.network.fingerprint)
        self._floor = asyncio.Lock()
        self._decisions = Bell()
        self._tasks: set[asyncio.Task[None]] = set()
        self._collections = Collections(identity, agreement, self.attendance, deposits, studies)
        self._collecting = Collecting(
            self._stories, deposits, self._collections, self.attendance, self._convert
        )
        self._collecting.restarted()
        for row in studies.in_state(*(state for state in State if not state.final)):
            if not deposits.of_question(row.digest):
                self._stories.end(row.digest, State.FAILED, "the platform was restarted")

    def tend(self) -> None:
        """Look after what nobody asks about, while the loop runs."""
        self._collecting.tend()

    # -- researchers ----------------------------------------------------------------------------

    async def preview(self, request: study_pb2.StudyRequest) -> Quotes:
        """What every named registry would say; changes nothing."""
        question = self._question(request, "preview")
        return await self.attendance.quotes(request, question.study.registries, submitted=False)

    async def submit(self, request: study_pb2.StudyRequest) -> tuple[bytes, bool]:
        """Start a study, attach to it while it runs, or find its stored answer.

        Returns:
            Digest of the study, and whether it was already there.

        Raises:
            RefusedError: As ``_admit``; or the study has been tried too often.
        """
        question = self._question(request, "submit")
        key = question_digest(question.digest, request.signing_key)
        await self._admit(key, question, request)
        fresh = self.studies.add(
            digest=key,
            researcher=request.signing_key.hex(),
            canonical=request.study,
            request=request.SerializeToString(deterministic=True),
            state=State.SUBMITTED,
            time=_now(),
        )
        if not fresh:
            row = self.studies.get(key)
            if row.state == State.DONE and await self._still_answers(row, question, request):
                if [event.kind for event in self.studies.events(key)[-2:]] != _STORED:
                    self._note(key, "stored", "answered before: the stored result, at no cost")
                    self._note(key, State.DONE, "the result is ready")
                return question.digest, True
            # Read again: while the registries were asked, another submission may have begun.
            if not State(self.studies.get(key).state).final:
                return question.digest, True
            if self.studies.lines(key) >= LINES:
                raise RefusedError(
                    f"this study has been tried too often: wanted at most {LINES} lines of story "
                    "before another attempt; ask it with another title"
                )
            self.studies.renew(
                key,
                request=request.SerializeToString(deterministic=True),
                state=State.SUBMITTED,
                time=_now(),
            )
        asked = ", ".join(question.study.registries)
        self._note(key, "submitted", f"submitted to {asked}")
        self._spawn(self._answer(key, question, request))
        return question.digest, False

    async def close(
        self, request: study_pb2.StudyRequest, without: Sequence[str]
    ) -> tuple[bytes, int]:
        """End the collecting of a study's deposits, or try again after that, and run the study.

        Args:
            request: Signed to close the study's collection.
            without: Registries of the study that take no part, whether they attend or not.

        Returns:
            Digest of the study, and how many deposits there are.

        Raises:
            StudyError: This researcher has no such study; and as ``Collecting.close``.
            RefusedError: As ``Collecting.close``.
        """
        question = self._question(request, "close")
        row = self._own(question_digest(question.digest, request.signing_key))
        count, work = await self._collecting.close(row, question, request, without)
        self._spawn(work)
        return question.digest, count

    async def _admit(self, key: bytes, question: Question, request: study_pb2.StudyRequest) -> None:
        """Keep nothing for strangers, and a bounded number of questions for everyone else.

        Raises:
            RefusedError: The key has asked too much, or it asks for the first time and no
                registry that attends would answer.
        """
        stored = self.studies.of_researcher(request.signing_key.hex())
        if key in stored:
            return
        if len(stored) >= STUDIES_A_KEY:
            raise RefusedError(f"a key has at most {STUDIES_A_KEY} studies; ask with a new key")
        if not stored:
            names = question.study.registries
            quotes = await self.attendance.quotes(request, names, submitted=False)
            willing = {Verdict.VERDICT_YES, Verdict.VERDICT_PENDING}
            if all(quote.verdict not in willing for quote in quotes):
                raise RefusedError(in_words([(q.registry, q.reason) for q in quotes]))

    async def watch(
        self, authorization: study_pb2.Authorization
    ) -> AsyncIterator[tuple[StudyEvent, bool]]:
        """The story of the latest attempt, and whether each line is the last."""
        row = self._authorized(authorization, "watch")
        async for event, last in self._stories.follow(row.digest):
            yield event, last

    def result(
        self, authorization: study_pb2.Authorization
    ) -> list[coordinator_pb2.ResultResponse]:
        """Everything of a finished study: descriptor, request, certificates, outputs, charges.

        Raises:
            RefusedError: It is not finished, or ended without a result.
        """
        row = self._authorized(authorization, "result")
        if row.state != State.DONE or row.session is None:
            reason = f": {row.error}" if row.error else ""
            raise RefusedError(f"the study has no result; it is {row.state}{reason}")
        papers = {
            kind: self.studies.papers(row.session, kind)
            for kind in (
                "descriptor",
                "request",
                "certificate",
                "output",
                "spent",
                "collection",
                "findings",
            )
        }
        descriptor = papers["descriptor"][""]
        names = [member.name for member in Descriptor.from_canonical(descriptor).roster]
        response = coordinator_pb2.ResultResponse
        return [
            response(descriptor=descriptor),
            *(
                response(request=study_pb2.StudyRequest.FromString(content))
                for content in papers["request"].values()
            ),
            *(response(certificate=papers["certificate"][name].decode()) for name in names),
            *(
                response(output=study_pb2.Output.FromString(content))
                for content in papers["output"].values()
            ),
            *(
                response(spent=study_pb2.Spent.FromString(content))
                for content in papers["spent"].values()
            ),
            *(response(collection=content) for content in papers["collection"].values()),
            *(
                response(findings=deposit_pb2.SignedFindings.FromString(content))
                for content in papers["findings"].values()
            ),
        ]

    # -- one question ---------------------------------------------------------------------------

    async def _answer(
        self, key: bytes, question: Question, request: study_pb2.StudyRequest
    ) -> None:
        """Take a question from submission to its end; whatever happens is written down."""
        try:
            quotes = await self._all_willing(key, question, request)
            async with self._turn(key):
                if question.study.deposits is not None:
                    with self._fills.paused():
                        await self._collecting.open(key, question, request, quotes)
                    return
                await self._run(key, question, request, quotes)
            self._end(key, State.DONE, "the result is ready")
        except RefusedError as error:
            self._end(key, State.REFUSED, str(error))
        except UpcareError as error:
            self._end(key, State.FAILED, str(error))
        except Exception as error:  # a study that never ends would keep its researcher waiting
            self._end(key, State.FAILED, f"the platform has a fault: {type(error).__name__}")
            raise

    async def _all_willing(
        self, key: bytes, question: Question, request: study_pb2.StudyRequest
    ) -> Quotes:
        """Ask until every registry has said yes or one has said no; operators may take time."""
        told = ""
        while True:
            decisions = self._decisions.hold()  # before asking, as in `watch`
            names = question.study.registries
            quotes = await self.attendance.quotes(request, names, submitted=True)
            willing = {Verdict.VERDICT_YES, Verdict.VERDICT_PENDING}
            waits_for = {Verdict.VERDICT_PENDING}
            if told:  # a registry that is away for a moment while others decide comes back
                willing.add(Verdict.VERDICT_ABSENT)
                waits_for.add(Verdict.VERDICT_ABSENT)
            refusals = [(q.registry, q.reason) for q in quotes if q.verdict not in willing]
            if refusals:
                raise RefusedError(in_words(refusals))
            pending = [q.registry for q in quotes if q.verdict in waits_for]
            if not pending:
                return quotes
            self._stories.move(key, State.WAITING)
            asked = [q.registry for q in quotes if q.verdict == Verdict.VERDICT_PENDING]
            away = [name for name in pending if name not in asked]
            whom = [f"the operators of {', '.join(asked)}"] if asked else []
            text = f"waits for {' and '.join([*whom, *([', '.join(away)] if away else [])])}"
            if text != told:
                self._note(key, "waiting", text)
                told = text
            left = request.not_after - time.time()
            if left <= 0:
                raise RefusedError("the request ended before every operator had decided")
            try:
                await asyncio.wait_for(decisions.wait(), min(left, 3600))
            except TimeoutError:
                continue

    @asynccontextmanager
    async def _turn(self, key: bytes) -> AsyncIterator[None]:
        """Wait until nothing else runs."""
        if self._floor.locked():
            self._note(key, "waiting", "another study is running; this one is next")
        async with self._floor:
            yield

    async def _convert(
        self,
        key: bytes,
        question: Question,
        request: study_pb2.StudyRequest,
        names: Sequence[str],
        frozen: Frozen,
    ) -> None:
        """Run one session on deposits, when it is its turn and the registries are still willing."""
        async with self._turn(key):
            quotes = await self._collecting.willing(request, names)
            self._collections.propose(frozen)
            await self._run(key, question, request, quotes, frozen)

    async def _run(
        self,
        key: bytes,
        question: Question,
        request: study_pb2.StudyRequest,
        quotes: Quotes,
        frozen: Frozen | None = None,
    ) -> None:
        """Run one session to its outputs."""

        def fingerprint(pem: str) -> bytes:
            return self._identity.network.verify(pem, now=_now())[0].fingerprint

        descriptor, certificates = compose(
            question,
            request,
            quotes,
            self._agreement,
            self._identity.network.fingerprint,
            fingerprint,
            frozen,
        )
        descriptor = replace(descriptor, noise=self._fills.noise_for(descriptor))
        session = descriptor.digest

        def store(kind: str, party: str, content: bytes) -> None:
            self.studies.put_paper(session, kind, party, content)

        store("descriptor", "", descriptor.canonical())
        store("request", "", request.SerializeToString(deterministic=True))
        for member, pem in zip(descriptor.roster, certificates, strict=True):
            store("certificate", member.name, pem.encode())
        self.studies.attempt(key, session, time=_now())
        if frozen is None:
            self._stories.move(key, State.RUNNING)
        else:  # it is running since it was closed
            store("collection", "", frozen.collection.canonical())
            for name, findings in zip(frozen.findings, frozen.signed, strict=True):
                store("findings", name, findings.SerializeToString(deterministic=True))

        def note(phase: str, text: str) -> None:
            self._note(key, phase, text)

        run = Run(
            descriptor=descriptor,
            certificates=certificates,
            attendance=self.attendance,
            note=note,
            store=store,
            frozen=frozen,
        )
        self._runs[session] = run
        try:
            with self._fills.making_way(descriptor, certificates):
                await run.finish(await run.approve(request))
        finally:
            del self._runs[session]

    async def _still_answers(
        self, row: StudyRow, question: Question, request: study_pb2.StudyRequest
    ) -> bool:
        """Whether the stored answer is to this very question: no registry has other data now."""
        stored = study_pb2.StudyRequest.FromString(row.request)
        if stored.sealing_key != request.sealing_key or row.session is None:
            return False
        papers = self.studies.papers(row.session, "descriptor")
        descriptor = Descriptor.from_canonical(papers[""])
        snapshots = {member.name: member.snapshot for member in descriptor.roster}
        quotes = await self.attendance.quotes(request, question.study.registries, submitted=False)
        return all(
            quote.snapshot == snapshots[quote.registry]
            for quote in quotes
            if quote.verdict != Verdict.VERDICT_ABSENT and quote.registry in snapshots
        )

    # -- registries -----------------------------------------------------------------------------

    def _hear(self, name: str, message: coordinator_pb2.AttendRequest) -> None:
        kind = message.WhichOneof("message")
        if kind == "decision":
            self._decisions.ring()
            return
        if kind == "banks":
            self._fills.hear(name, message.banks)
            return
        if kind in {"key", "findings", "failure"}:
            self._collections.hear(name, message)
        if kind == "failure":
            self._fills.hear_failure(message.failure.session_digest)
        if kind not in {"phase", "spent", "output", "failure"}:
            return
        session = getattr(message, kind).session_digest
        run = self._runs.get(session)
        if run is not None and name in run.names:
            run.hear(name, message)
        else:
            self._ended.hear(name, session, message)

    def _joined(self, name: str) -> None:
        for run in self._runs.values():
            run.joined(name)
        self._ended.joined(name, running=frozenset(self._runs))
        self._collections.joined(name)
        self._decisions.ring()

    def _answered_late(self, session: bytes) -> None:
        """Outputs that came after a failure make an answer: it was paid for, so it is given."""
        row = self.studies.of_session(session)
        if row is not None and row.state in {State.FAILED, State.COLLECTING}:
            self._end(row.digest, State.DONE, "late outputs have arrived: the result is ready")
            self._collecting.over(row.digest)

    def _left(self, name: str) -> None:
        self._fills.left(name)
        self._collections.left(name)
        for run in self._runs.values():
            run.lost(name)

    # -- small things ---------------------------------------------------------------------------

    def _question(self, request: study_pb2.StudyRequest, method: RequestMethod) -> Question:
        check_request(request, method, now=time.time())
        study = Study.from_canonical(request.study)
        return work_out(study, network_overlap=self._agreement.overlap)

    def _authorized(self, authorization: study_pb2.Authorization, method: str) -> StudyRow:
        check_authorization(authorization, method, now=time.time())
        return self._own(question_digest(authorization.study_digest, authorization.signing_key))

    def _own(self, key: bytes) -> StudyRow:
        try:
            return self.studies.get(key)
        except StudyError:
            raise StudyError("this researcher has not submitted such a study") from None

    def _end(self, key: bytes, state: State, text: str) -> None:
        self._stories.end(key, state, text)

    def _note(self, key: bytes, phase: str, text: str) -> None:
        self._stories.note(key, phase, text)

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
