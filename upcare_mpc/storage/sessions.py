"""What this node has done in each session: the facts behind its signed word.

    agreed ──> spent ──> (revealed) ──> output    sealed bytes stored, then sent; resent as they are
       └─────────┴─────> erased                   shares erased; no output can ever leave

``revealed`` comes before the first bit opens that depends on data: which cells of a table pass a
study's rules. Such a bit is an output, so from then on there is no way back to ``erased``.

``output`` and ``erased`` exclude each other and are final. Both are entered in one transaction,
so "no output left this node" stays true after it was signed, whatever crashes or races. A
session that this node never heard of can be erased too: it is then refused when it comes late.

A session digest is used once, and so is a researcher's signed request: whoever carries it cannot
run it again at the registries' expense. A retry is a new session on a newly signed request.

The text of each study that was agreed to is kept, for patients who ask what their data were used
for.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from sqlalchemy import Connection, RowMapping, select
from sqlalchemy.dialects.sqlite import insert

from upcare_mpc.errors import SessionError
from upcare_mpc.journal import utc_text
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.schema import QUESTIONS, SESSIONS

__all__ = ["SessionRow", "SessionState", "Sessions"]


class SessionState(Enum):
    """How far a session got at this node."""

    AGREED = "agreed"
    SPENT = "spent"
    REVEALED = "revealed"
    OUTPUT = "output"
    ERASED = "erased"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow:
    """One session at this node.

    Attributes:
        session: Digest of the session descriptor.
        study: Digest of the study.
        state: How far it got.
        output: This node's sealed and signed share of the result, as it was first sent; present
            exactly in state ``OUTPUT``.
        created: ISO 8601, UTC.
        changed: ISO 8601, UTC.
    """

    session: bytes
    study: bytes
    state: SessionState
    output: bytes | None
    created: str
    changed: str


class Sessions:
    """The table of sessions of one node."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, session: bytes) -> SessionRow | None:
        """Return what is known of a session."""
        with self._database.read() as connection:
            return _find(connection, session)

    def all(self) -> tuple[SessionRow, ...]:
        """Return all sessions, oldest first; after a restart, those not final need attention."""
        with self._database.read() as connection:
            rows = connection.execute(select(SESSIONS).order_by(SESSIONS.c.created)).mappings()
            return tuple(_row(row) for row in rows)

    def agree(
        self, session: bytes, study: bytes, request: bytes, *, canonical: bytes, time: datetime
    ) -> None:
        """Enter a new session, use up the signed request that asked for it, and keep its study.

        Args:
            session: Digest of the session descriptor.
            study: Digest of the study.
            request: Digest of the researcher's signed request; one request, one session.
            canonical: The study's canonical text.
            time: Now, UTC.

        Raises:
            SessionError: The session is known already, or the request was used before.
        """
        with self._database.write() as connection:
            known = _find(connection, session)
            if known is not None:
                raise SessionError(
                    f"session {_short(session)}: already {known.state.value}; "
                    "a session is used once"
                )
            used = select(SESSIONS.c.session).where(SESSIONS.c.request == request)
            if connection.execute(used).first() is not None:
                raise SessionError(
                    "this signed request was used before; the researcher has to submit again"
                )
            _insert(connection, session, study, SessionState.AGREED, time, request=request)
            first = insert(QUESTIONS).values(study=study, canonical=canonical, first=utc_text(time))
            connection.execute(first.on_conflict_do_nothing())

    def forget_text(self, study: bytes, *, time: datetime) -> None:
        """Forget a study's text if it was kept at this time: the registry has not agreed to it."""
        kept_then = (QUESTIONS.c.study == study) & (QUESTIONS.c.first == utc_text(time))
        with self._database.write() as connection:
            connection.execute(QUESTIONS.delete().where(kept_then))

    def spend(self, session: bytes, *, time: datetime) -> None:
        """Note that the budget is spent and input shares may leave."""
        with self._database.write() as connection:
            _require(connection, session, SessionState.SPENT, SessionState.AGREED)
            _update(connection, session, time, state=SessionState.SPENT.value)

    def reveal(self, session: bytes, *, time: datetime) -> None:
        """Note that bits about the result open to the computing registries from now on.

        Raises:
            SessionError: The session is not spent, or is erased.
        """
        with self._database.write() as connection:
            _require(connection, session, SessionState.REVEALED, SessionState.SPENT)
            _update(connection, session, time, state=SessionState.REVEALED.value)

    def store_output(self, session: bytes, output: bytes, *, time: datetime) -> None:
        """Store the sealed output, before it is sent for the first time.

        Raises:
            SessionError: The session is not spent, is erased, or has an output already.
        """
        with self._database.write() as connection:
            sources = (SessionState.SPENT, SessionState.REVEALED)
            _require(connection, session, SessionState.OUTPUT, *sources)
            _update(
                connection,
                session,
                time,
                state=SessionState.OUTPUT.value,
                sealed_output=output,
            )

    def erase(self, session: bytes, study: bytes, *, time: datetime) -> None:
        """Make sure that no output of this session ever leaves; may be repeated.

        Raises:
            SessionError: An output is stored, and may have left; or bits of one were opened.
        """
        with self._database.write() as connection:
            known = _find(connection, session)
            if known is None:
                _insert(connection, session, study, SessionState.ERASED, time)
            elif known.state is SessionState.OUTPUT:
                raise SessionError(
                    f"session {_short(session)}: an output is stored and may have left"
                )
            elif known.state is SessionState.REVEALED:
                raise SessionError(f"session {_short(session)}: bits of its result were opened")
            elif known.state is not SessionState.ERASED:
                _update(connection, session, time, state=SessionState.ERASED.value)

    def output(self, session: bytes) -> bytes:
        """Return the stored output, byte for byte as it was first sent.

        Raises:
            SessionError: There is none.
        """
        row = self.get(session)
        if row is None or row.output is None:
            state = "unknown" if row is None else row.state.value
            raise SessionError(f"session {_short(session)}: no output stored, it is {state}")
        return row.output


def _require(
    connection: Connection, session: bytes, goal: SessionState, *sources: SessionState
) -> None:
    """Raise unless the session is in one of the states; the caller holds the write lock."""
    row = _find(connection, session)
    state = "unknown" if row is None else row.state.value
    wanted = [source.value for source in sources]
    if state not in wanted:
        raise SessionError(
            f"session {_short(session)}: to become {goal.value} it must be {' or '.join(wanted)}, "
            f"it is {state}"
        )


def _find(connection: Connection, session: bytes) -> SessionRow | None:
    query = select(SESSIONS).where(SESSIONS.c.session == session)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else _row(row)


def _row(row: RowMapping) -> SessionRow:
    return SessionRow(
        session=row["session"],
        study=row["study"],
        state=SessionState(row["state"]),
        output=row["sealed_output"],
        created=row["created"],
        changed=row["changed"],
    )


def _insert(
    connection: Connection,
    session: bytes,
    study: bytes,
    state: SessionState,
    time: datetime,
    *,
    request: bytes | None = None,
) -> None:
    now = utc_text(time)
    connection.execute(
        SESSIONS.insert().values(
            session=session,
            study=study,
            request=request,
            state=state.value,
            created=now,
            changed=now,
        )
    )


def _update(connection: Connection, session: bytes, time: datetime, **values: str | bytes) -> None:
    connection.execute(
        SESSIONS.update()
        .where(SESSIONS.c.session == session)
        .values(changed=utc_text(time), **values)
    )


def _short(session: bytes) -> str:
    return session.hex()[:12]
