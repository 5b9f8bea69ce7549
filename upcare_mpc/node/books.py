"""What a node writes down: its journal (ledger and approvals) and its sessions, each step once.

The order of every step is the one that fails safely: the ledger is charged before the session is
marked, the sealed output is stored before it is sent.
"""

import datetime
from collections.abc import Callable

from upcare_mpc._proto.upcare.study.v1 import study_pb2
from upcare_mpc.config import Policy
from upcare_mpc.errors import SessionError
from upcare_mpc.journal import Entry, Event
from upcare_mpc.kinds.question import Question
from upcare_mpc.link.statements import question_digest, request_digest
from upcare_mpc.node import approval
from upcare_mpc.node.question import charge
from upcare_mpc.privacy.ledger import Key, Ledger, State
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.journal_store import SqlJournal
from upcare_mpc.storage.sessions import Sessions, SessionState

__all__ = ["Books"]


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class Books:
    """The journal and the table of sessions of one node."""

    def __init__(self, database: Database, policy: Policy, snapshot: bytes) -> None:
        self._journal = SqlJournal(database)
        self._sessions = Sessions(database)
        self._policy = policy
        self._snapshot = snapshot

    def renew(self, snapshot: bytes) -> None:
        """Another snapshot is in force from now on; approvals on the old one do not hold for it."""
        self._snapshot = snapshot

    def ledger(self) -> Ledger:
        """The ledger as the journal has it now."""
        return Ledger.replay(self._policy.caps, self._journal.entries())

    def standing(self, question: bytes) -> tuple[approval.Standing, str]:
        """The operator's word on a question (its digest), on the snapshot in force."""
        return approval.standing(
            self._journal.entries(), question=question, snapshot=self._snapshot
        )

    def grant(self, question: bytes) -> None:
        """Record the operator's yes."""
        self._record(lambda _: approval.grant(question=question, snapshot=self._snapshot))

    def refuse(self, question: bytes, reason: str) -> None:
        """Record the operator's no."""
        self._record(
            lambda _: approval.refuse(question=question, snapshot=self._snapshot, reason=reason)
        )

    def check(self, question: Question, session: bytes, request: study_pb2.StudyRequest) -> None:
        """Refuse what ``agree`` would refuse for the budget or the operator; changes nothing.

        Raises:
            RefusedError, BudgetExceeded: As ``agree``.
        """
        entries = self._journal.entries()
        Ledger.replay(self._policy.caps, entries).check(charge(question))
        if not self._policy.automatic:
            asked = question_digest(question.digest, request.signing_key)
            approval.use(entries, question=asked, snapshot=self._snapshot, session=session)

    def agree(self, question: Question, session: bytes, request: study_pb2.StudyRequest) -> None:
        """Agree to one session: use up the request, reserve the charge, use up the approval.

        Args:
            question: What is asked.
            session: Digest of the session descriptor.
            request: The researcher's signed request; the caller has checked it.

        Raises:
            SessionError: The session is known already.
            RefusedError: An operator's approval is wanted and not there.
            BudgetExceeded: A cap would be passed.
        """
        now = _now()
        self._sessions.agree(
            session,
            question.digest,
            request_digest(request),
            canonical=request.study,
            time=now,
        )
        try:
            self._step(lambda ledger: ledger.reserve(_key(question, session), charge(question)))
            if not self._policy.automatic:
                # Last: what fails for the budget leaves the operator's yes standing.
                asked = question_digest(question.digest, request.signing_key)
                self._record(
                    lambda entries: approval.use(
                        entries, question=asked, snapshot=self._snapshot, session=session
                    )
                )
        except BaseException:
            self._sessions.forget_text(question.digest, time=now)
            self.erase(question.digest, session)
            raise

    def spend(self, question: Question, session: bytes) -> None:
        """Charge the ledger; only after this may input shares leave."""
        self._step(lambda ledger: ledger.spend(_key(question, session)))
        self._sessions.spend(session, time=_now())

    def reveal(self, question: Question, session: bytes) -> None:
        """Make the charge final before a bit of the result opens to the computing registries.

        From now on this node never signs that no output left.

        Raises:
            SessionError: The session is not spent here, or its charge is not final.
        """
        self._sessions.reveal(session, time=_now())
        self.settle(question, session)
        if self._state(question.digest, session) is not State.SETTLED:
            raise SessionError("nothing opens that is not charged")

    def store_output(self, question: Question, session: bytes, output: bytes) -> None:
        """Store this node's sealed output, before it is sent for the first time."""
        self._sessions.store_output(session, output, time=_now())
        self.settle(question, session)

    def erased(self, session: bytes) -> bool:
        """Whether this node has made sure that the session has no output here."""
        row = self._sessions.get(session)
        return row is not None and row.state is SessionState.ERASED

    def progress(self, session: bytes) -> SessionState | None:
        """How far a session has come here; None if nothing is known of it."""
        row = self._sessions.get(session)
        return None if row is None else row.state

    def output(self, session: bytes) -> bytes:
        """The stored output, byte for byte."""
        return self._sessions.output(session)

    def settle(self, question: Question, session: bytes) -> None:
        """Make the charge final; may be repeated."""
        if self._state(question.digest, session) is State.SPENT:
            self._step(lambda ledger: ledger.settle(_key(question, session)))

    def erase(self, study: bytes, session: bytes) -> bool:
        """Make sure that no output of this session ever leaves.

        A charge that is only reserved is given back: no share of this registry's data has left.

        Returns:
            Whether "no output" is true here; ``False`` if an output is already stored, or bits
            of the result were opened.
        """
        try:
            self._sessions.erase(session, study, time=_now())
        except SessionError:
            return False
        if self._state(study, session) is State.RESERVED:
            key = Key(study=study, session=session)
            self._step(lambda ledger: ledger.release(key))
        return True

    def release(self, study: bytes, session: bytes) -> bool:
        """Give back a charge; the caller has verified all m computing parties' signed words."""
        if self._state(study, session) is not State.SPENT:
            return False
        key = Key(study=study, session=session)
        self._step(lambda ledger: ledger.release(key))
        return True

    def unfinished(self) -> list[tuple[bytes, bytes]]:
        """Sessions (study, session) that were under way when the node stopped.

        Also those erased before their reservation could be given back.
        """
        accounts = self.ledger().accounts
        reserved = {key for key, account in accounts.items() if account.state is State.RESERVED}
        return [
            (row.study, row.session)
            for row in self._sessions.all()
            if row.state in {SessionState.AGREED, SessionState.SPENT}
            or Key(study=row.study, session=row.session) in reserved
        ]

    def _state(self, study: bytes, session: bytes) -> State | None:
        account = self.ledger().accounts.get(Key(study=study, session=session))
        return account.state if account else None

    def _step(self, decide: Callable[[Ledger], Event]) -> None:
        caps = self._policy.caps
        self._record(lambda entries: decide(Ledger.replay(caps, entries)))

    def _record(self, decide: Callable[[tuple[Entry, ...]], Event]) -> None:
        self._journal.record(decide, time=_now())


def _key(question: Question, session: bytes) -> Key:
    return Key(study=question.digest, session=session)
