"""One attempt at one question: proposal, approvals, start, outputs, and a clean end either way.

The platform composes the session and passes messages; every registry checks all of it against what
the researcher signed. A wrong proposal is refused, so composing is not trusted.

What a registry says is kept only if its form is right and its signature is that of the roster's
certificate (``coordinator.signed``): wrong words never stand in the way of true ones. Of all
else a registry can make the platform keep one failure, of at most 300 characters.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc._proto.upcare.study.v1 import study_pb2
from upcare_mpc.config import Agreement
from upcare_mpc.coordinator.attendance import REASON_CHARACTERS, Attendance
from upcare_mpc.coordinator.collections import Frozen
from upcare_mpc.coordinator.lifecycle import choose_roster
from upcare_mpc.coordinator.signed import check_no_output, check_output, check_spent
from upcare_mpc.errors import ProtocolError, RefusedError, SessionError
from upcare_mpc.he.scheme import blocks_of
from upcare_mpc.kinds.question import Question
from upcare_mpc.mpc.programs.contract import program_of
from upcare_mpc.study.descriptor import Descriptor, Member
from upcare_mpc.study.draw import DIRECT

__all__ = ["Run", "compose"]

SESSION_S = 600.0
DEPOSIT_BLOCK_S = 0.2  # longer for each block of a deposit
GRACE_S = 5.0  # for outputs under way when something has failed
CHARGES_S = 2.0  # for signed charges under way when all outputs are there
WORDS_S = 10.0  # for signed words that no output left
PHASES = frozenset({"noise", "deposits", "sharing", "opening"})

Quotes = Sequence[coordinator_pb2.Quote]


def compose(
    question: Question,
    request: study_pb2.StudyRequest,
    quotes: Quotes,
    agreement: Agreement,
    network: bytes,
    fingerprint: Callable[[str], bytes],
    frozen: Frozen | None = None,
) -> tuple[Descriptor, list[str]]:
    """Compose a session from the registries' quotes.

    Args:
        question: What is asked.
        request: The researcher's.
        quotes: Of the registries that take part, in the order in which the study names them.
        agreement: Of the network.
        network: SHA-256 of its CA certificate.
        fingerprint: Checks a certificate (PEM) and returns its SHA-256.
        frozen: The deposits that enter; only holders that have checked them compute then.

    Returns:
        The descriptor, its noise drawn in the session, and the certificates in roster order.

    Raises:
        RefusedError: Too few registries are willing to compute.
    """
    by_name = {quote.registry: quote for quote in quotes}
    seats = [
        (name, quote.computes and (frozen is None or name in frozen.present))
        for name, quote in by_name.items()
    ]
    roster = choose_roster(seats, agreement.committee)
    descriptor = Descriptor(
        network=network,
        study=question.digest,
        layout=question.layout.digest,
        cells=question.layout.cells,
        law=question.law.digest,
        noise=DIRECT,
        program=program_of(question.study.release, deposits=question.study.deposits is not None),
        epsilon=question.guarantee.loss.epsilon,
        rho=question.guarantee.loss.rho,
        delta=question.guarantee.loss.delta,
        overlap=question.guarantee.overlap,
        signing_key=request.signing_key,
        sealing_key=request.sealing_key,
        roster=tuple(
            Member(
                name=name,
                certificate=fingerprint(by_name[name].certificate),
                snapshot=by_name[name].snapshot,
            )
            for name in roster
        ),
        parties=agreement.committee,
        threshold=(agreement.committee - 1) // 2,
        nonce=secrets.token_bytes(16),
        deposits=b"" if frozen is None else frozen.deposits.digest,
    )
    return descriptor, [by_name[name].certificate for name in roster]


@dataclass(slots=True)
class Run:
    """One session as the platform sees it.

    Attributes:
        descriptor: The session.
        certificates: PEM, in roster order.
        attendance: The way to the registries.
        note: Adds a line to the study's story: (phase, text).
        store: Keeps what belongs to the session: (kind, party, bytes).
        frozen: The deposits that enter, while the session is proposed.
        outputs: Roster places whose sealed output has arrived.
        charged: Registries whose signed statement of what they charged has arrived.
        words: Computing registries that have signed that no output left.
        failures: What went wrong first at each registry, in the order in which it was heard.
        gone: Registries that have failed or were lost.
    """

    descriptor: Descriptor
    certificates: list[str]
    attendance: Attendance
    note: Callable[[str, str], None]
    store: Callable[[str, str, bytes], None]
    frozen: Frozen | None = None
    outputs: set[int] = field(default_factory=set)
    charged: set[str] = field(default_factory=set)
    words: dict[str, study_pb2.NoOutput] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    _aborted: str | None = None
    _phases: dict[str, set[str]] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The roster's names, computing registries first."""
        return [member.name for member in self.descriptor.roster]

    async def approve(self, request: study_pb2.StudyRequest) -> list[study_pb2.Approval]:
        """Collect every registry's approval.

        Raises:
            RefusedError: One refuses or does not answer; all have been told to forget it.
        """
        proposal = coordinator_pb2.Proposal(
            descriptor=self.descriptor.canonical(), request=request, certificates=self.certificates
        )
        if self.frozen is not None:
            proposal.collection = self.frozen.collection.canonical()
            proposal.findings.extend(self.frozen.signed)
        try:
            approvals = await self.attendance.all_approve(self.names, proposal=proposal)
        except RefusedError as error:
            self._abort(str(error))
            raise
        self.note("approvals", f"{len(approvals)} of {len(self.names)} registries have approved")
        return approvals

    @property
    def time_s(self) -> float:
        """How long the session may take; longer the more deposits there are."""
        if self.frozen is None:
            return SESSION_S
        deposits = len(self.frozen.deposits.accepted)
        return SESSION_S + DEPOSIT_BLOCK_S * deposits * blocks_of(self.descriptor.cells)

    async def finish(self, approvals: list[study_pb2.Approval]) -> None:
        """Start the session and wait for its outputs.

        Raises:
            SessionError: It ended without a result; charges are released if that is certain.
        """
        self.attendance.tell(
            self.names,
            start=coordinator_pb2.Start(session_digest=self.descriptor.digest, approvals=approvals),
        )
        parties, threshold = self.descriptor.parties, self.descriptor.threshold
        if self.descriptor.draw is not None:
            self.note("noise", f"{', '.join(self.names[:parties])} take it from their noise bank")
        await self._until(lambda: len(self.outputs) == parties or bool(self.failures), self.time_s)
        if len(self.outputs) < parties:
            computing = set(self.names[:parties])
            await self._until(
                lambda: len(self.outputs) == parties or computing <= self.gone, GRACE_S
            )
        if len(self.outputs) > threshold:
            self.note("opening", f"{len(self.outputs)} of {parties} sealed shares have arrived")
            await self._until(lambda: len(self.charged) == len(self.names), CHARGES_S)
            self.attendance.tell(
                self.names,
                finished=coordinator_pb2.Finished(session_digest=self.descriptor.digest),
            )
            return
        reason = next(iter(self.failures.values()), "the session took too long")
        self._abort(reason)
        await self._until(lambda: len(self.words) == parties, WORDS_S)
        if self.release():
            reason += (
                "; too few outputs left to be opened, the other registries' charges are released"
                if self.outputs
                else "; no output left, all charges are released"
            )
        else:
            reason += "; what was charged stays charged"
        raise SessionError(reason)

    def release(self) -> bool:
        """Pass on the signed words if there are enough of them."""
        if len(self.words) < self.descriptor.parties:
            return False
        self.attendance.tell(
            self.names,
            releases=coordinator_pb2.Releases(
                descriptor=self.descriptor.canonical(),
                certificates=self.certificates,
                words=self.words.values(),
            ),
        )
        return True

    def hear(self, name: str, message: coordinator_pb2.AttendRequest) -> None:
        """Take what a registry says about this session; what is not so is its failure."""
        message.DiscardUnknownFields()  # what nobody has signed is not kept
        try:
            self._take(name, message)
        except ProtocolError as error:
            self._fail(name, f"{name}: {error}")
        self.changed.set()

    def lost(self, name: str) -> None:
        """A registry's stream has ended in the middle."""
        if name in self.names and self.descriptor.place(name) not in self.outputs:
            self._fail(name, f"{name} was lost during the session")
            self.gone.add(name)
            self.changed.set()

    def joined(self, name: str) -> None:
        """A registry is back, and may not have heard that the session was given up."""
        if self._aborted is not None and name in self.names:
            self._tell_abort([name], self._aborted)

    def _take(self, name: str, message: coordinator_pb2.AttendRequest) -> None:
        match message.WhichOneof("message"):
            case "phase":
                self._hear_phase(name, message.phase.phase)
            case "spent":
                check_spent(message.spent, name, self.descriptor, self.certificates)
                self.store("spent", name, message.spent.SerializeToString(deterministic=True))
                self.charged.add(name)
            case "output":
                check_output(message.output, name, self.descriptor, self.certificates)
                self.store("output", name, message.output.SerializeToString(deterministic=True))
                self.outputs.add(message.output.index)
            case "failure":
                self._hear_failure(name, message.failure)

    def _fail(self, name: str, text: str) -> None:
        self.failures.setdefault(name, text[:REASON_CHARACTERS])

    def _hear_phase(self, name: str, phase: str) -> None:
        if phase not in PHASES:
            raise ProtocolError("said a phase that this version does not have")
        seen = self._phases.setdefault(phase, set())
        seen.add(name)
        computing = self.names[: self.descriptor.parties]
        expected = len(self.names) if phase == "sharing" else len(computing)
        if len(seen) == expected:
            text = {
                "noise": f"{', '.join(computing)} draw the noise together",
                "deposits": f"{expected} registries have converted the deposits",
                "sharing": f"{expected} registries have shared their counts",
                "opening": f"{expected} registries seal their shares to the researcher",
            }[phase]
            self.note(phase, text)

    def _hear_failure(self, name: str, failure: coordinator_pb2.Failure) -> None:
        self.gone.add(name)
        if failure.text:
            self._fail(name, f"{name}: {failure.text}")
        if failure.HasField("no_output"):
            check_no_output(failure.no_output, name, self.descriptor, self.certificates)
            self.words[name] = failure.no_output
            self.store("no-output", name, failure.no_output.SerializeToString(deterministic=True))

    def _abort(self, reason: str) -> None:
        self._aborted = reason
        self._tell_abort(self.names, reason)

    def _tell_abort(self, names: Sequence[str], reason: str) -> None:
        self.attendance.tell(
            names,
            abort=coordinator_pb2.Abort(session_digest=self.descriptor.digest, reason=reason),
        )

    async def _until(self, done: Callable[[], bool], timeout_s: float) -> None:
        """Wait until ``done()``, looking whenever something was heard, at most ``timeout_s``."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while not done():
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                return
            self.changed.clear()
            try:
                await asyncio.wait_for(self.changed.wait(), left)
            except TimeoutError:
                return
