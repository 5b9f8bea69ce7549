"""The coordinator's memory: what was asked, how far it is, and the sealed results.

It holds no share that it could open, and no key. States are the coordinator's own words; this
module only makes each change of them atomic.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, func, or_, select

from upcare_mpc.errors import ProtocolError, RefusedError, StudyError
from upcare_mpc.journal import utc_text
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.schema import EVENTS, PAPERS, STUDIES

__all__ = ["LINES", "Studies", "StudyEvent", "StudyRow"]

LINES: Final = 1000
"""Of a study's progress, the latest; older ones are forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRow:
    """One study at the coordinator.

    Attributes:
        digest: Digest over the study's digest and the researcher's key.
        researcher: Identifier of the key that signed the request.
        canonical: Canonical bytes of the study.
        request: The signed request, as it was received.
        state: How far it is.
        session: Digest of the descriptor of the latest attempt.
        error: Why it failed, one line.
        created: ISO 8601, UTC.
        updated: ISO 8601, UTC.
    """

    digest: bytes
    researcher: str
    canonical: bytes
    request: bytes
    state: str
    session: bytes | None
    error: str | None
    created: str
    updated: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyEvent:
    """One line of a study's progress.

    Attributes:
        sequence: 1 for the first line of a study, then 2, 3, ...
        time: ISO 8601, UTC.
        kind: What happened, in one word.
        text: The same for a person.
    """

    sequence: int
    time: str
    kind: str
    text: str


class Studies:
    """The tables of the coordinator."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        *,
        digest: bytes,
        researcher: str,
        canonical: bytes,
        request: bytes,
        state: str,
        time: datetime,
    ) -> bool:
        """Enter a study; return False, and change nothing, if it is there already."""
        now = utc_text(time)
        with self._database.write() as connection:
            if _find(connection, digest) is not None:
                return False
            connection.execute(
                STUDIES.insert().values(
                    digest=digest,
                    researcher=researcher,
                    canonical=canonical,
                    request=request,
                    state=state,
                    created=now,
                    updated=now,
                )
            )
            return True

    def get(self, digest: bytes) -> StudyRow:
        """Return a study.

        Raises:
            StudyError: There is none with this digest.
        """
        with self._database.read() as connection:
            return _known(connection, digest)

    def of_researcher(self, researcher: str) -> frozenset[bytes]:
        """Return the digests of one researcher's studies."""
        query = select(STUDIES.c.digest).where(STUDIES.c.researcher == researcher)
        with self._database.read() as connection:
            return frozenset(connection.execute(query).scalars())

    def page(
        self, researcher: str, *, after: bytes | None = None, limit: int
    ) -> tuple[StudyRow, ...]:
        """Return some of one researcher's studies, newest first.

        Args:
            researcher: Her key.
            after: Digest of a study of hers: only those behind it. None: from the newest on.
            limit: How many at most.

        Raises:
            StudyError: She has no study with this digest.
        """
        query = select(STUDIES).where(STUDIES.c.researcher == researcher)
        with self._database.read() as connection:
            if after is not None:
                last = _known(connection, after)
                if last.researcher != researcher:
                    raise StudyError(f"study {_short(after)} is another researcher's")
                older = STUDIES.c.created < last.created
                same = STUDIES.c.created == last.created
                query = query.where(or_(older, and_(same, STUDIES.c.digest > last.digest)))
            newest = query.order_by(STUDIES.c.created.desc(), STUDIES.c.digest).limit(limit)
            return tuple(_row(row) for row in connection.execute(newest).mappings())

    def in_state(self, *states: str) -> tuple[StudyRow, ...]:
        """Return the studies in any of some states, oldest first."""
        query = select(STUDIES).where(STUDIES.c.state.in_(states)).order_by(STUDIES.c.created)
        with self._database.read() as connection:
            return tuple(_row(row) for row in connection.execute(query).mappings())

    def of_session(self, session: bytes) -> StudyRow | None:
        """Return the study whose latest attempt was this session."""
        with self._database.read() as connection:
            return _found(connection, STUDIES.c.session == session)

    def move(
        self,
        digest: bytes,
        state: str,
        *,
        sources: Collection[str],
        time: datetime,
        error: str | None = None,
        request: bytes | None = None,
        line: tuple[str, str] | None = None,
    ) -> None:
        """Change the state, if it is one of ``sources`` now, and the request if one is given.

        A line of the study's progress, kind and text, is written with it or not at all.

        Raises:
            RefusedError: It is in another state.
        """
        with self._database.write() as connection:
            known = _known(connection, digest)
            if known.state not in sources:
                raise RefusedError(
                    f"study {_short(digest)}: to become {state} it must be "
                    f"{' or '.join(sorted(sources))}, it is {known.state}"
                )
            connection.execute(
                STUDIES.update()
                .where(STUDIES.c.digest == digest)
                .values(
                    state=state,
                    error=error,
                    request=known.request if request is None else request,
                    updated=utc_text(time),
                )
            )
            if line is not None:
                _append(connection, digest, *line, time=time)

    def renew(self, digest: bytes, *, request: bytes, state: str, time: datetime) -> None:
        """Begin another attempt at a question, with a newly signed request."""
        with self._database.write() as connection:
            _known(connection, digest)
            connection.execute(
                STUDIES.update()
                .where(STUDIES.c.digest == digest)
                .values(
                    request=request, state=state, error=None, session=None, updated=utc_text(time)
                )
            )

    def attempt(self, digest: bytes, session: bytes, *, time: datetime) -> None:
        """Note the session of the present attempt."""
        with self._database.write() as connection:
            _known(connection, digest)
            connection.execute(
                STUDIES.update()
                .where(STUDIES.c.digest == digest)
                .values(session=session, updated=utc_text(time))
            )

    def add_event(self, digest: bytes, *, kind: str, text: str, time: datetime) -> int:
        """Append a line to the study's progress and return its number; keep the last ``LINES``."""
        with self._database.write() as connection:
            _known(connection, digest)
            return _append(connection, digest, kind, text, time=time)

    def lines(self, digest: bytes) -> int:
        """How many lines the study's progress has ever had."""
        with self._database.read() as connection:
            return _lines(connection, digest)

    def events(self, digest: bytes, *, after: int = 0) -> tuple[StudyEvent, ...]:
        """Return the lines after number ``after``, in order."""
        query = (
            select(EVENTS)
            .where(EVENTS.c.study == digest, EVENTS.c.sequence > after)
            .order_by(EVENTS.c.sequence)
        )
        with self._database.read() as connection:
            return tuple(
                StudyEvent(
                    sequence=row["sequence"], time=row["time"], kind=row["kind"], text=row["text"]
                )
                for row in connection.execute(query).mappings()
            )

    def put_paper(self, session: bytes, kind: str, party: str, content: bytes) -> None:
        """Store what belongs to a session; the same bytes may arrive again.

        Raises:
            ProtocolError: Other bytes of this kind and party are there already.
        """
        key = (PAPERS.c.session == session, PAPERS.c.kind == kind, PAPERS.c.party == party)
        with self._database.write() as connection:
            stored = connection.execute(select(PAPERS.c.content).where(*key)).scalar_one_or_none()
            if stored is None:
                connection.execute(
                    PAPERS.insert().values(session=session, kind=kind, party=party, content=content)
                )
            elif stored != content:
                raise ProtocolError(
                    f"session {_short(session)}: {party} sent a second, different {kind}"
                )

    def sessions(self) -> tuple[bytes, ...]:
        """Return all sessions that have papers."""
        with self._database.read() as connection:
            return tuple(connection.execute(select(PAPERS.c.session).distinct()).scalars())

    def papers(self, session: bytes, kind: str) -> dict[str, bytes]:
        """Return what a session has of one kind, by party."""
        query = select(PAPERS).where(PAPERS.c.session == session, PAPERS.c.kind == kind)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(PAPERS.c.party)).mappings()
            return {row["party"]: row["content"] for row in rows}


def _find(connection: Connection, digest: bytes) -> StudyRow | None:
    return _found(connection, STUDIES.c.digest == digest)


def _found(connection: Connection, condition: ColumnElement[bool]) -> StudyRow | None:
    row = connection.execute(select(STUDIES).where(condition)).mappings().one_or_none()
    return None if row is None else _row(row)


def _append(connection: Connection, digest: bytes, kind: str, text: str, *, time: datetime) -> int:
    sequence = _lines(connection, digest) + 1
    connection.execute(
        EVENTS.delete().where(EVENTS.c.study == digest, EVENTS.c.sequence <= sequence - LINES)
    )
    connection.execute(
        EVENTS.insert().values(
            study=digest, sequence=sequence, time=utc_text(time), kind=kind, text=text
        )
    )
    return sequence


def _lines(connection: Connection, digest: bytes) -> int:
    last = select(func.max(EVENTS.c.sequence)).where(EVENTS.c.study == digest)
    return int(connection.execute(last).scalar_one() or 0)


def _known(connection: Connection, digest: bytes) -> StudyRow:
    row = _find(connection, digest)
    if row is None:
        raise StudyError(f"study {_short(digest)} is not known here")
    return row


def _row(row: RowMapping) -> StudyRow:
    return StudyRow(
        digest=row["digest"],
        researcher=row["researcher"],
        canonical=row["canonical"],
        request=row["request"],
        state=row["state"],
        session=row["session"],
        error=row["error"],
        created=row["created"],
        updated=row["updated"],
    )


def _short(digest: bytes) -> str:
    return digest.hex()[:12]
