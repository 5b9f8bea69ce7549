"""The platform's board: papers by topic, in the order in which they came.

Nothing here is secret: every paper is public to the network, or sealed. What is kept is bounded,
whoever writes:

- a paper has at most 64 KiB and is of a kind that its sender may post on such a topic;
- a topic has at most 4096 papers, of one registry at most 64 in a ceremony and 16 on a request;
- a registry opens at most 100 ceremonies, and a researcher's key 100 requests, in 31 days;
- there are at most 100,000 requests. Beyond that, the oldest make way of those that were filed 31
  days ago or earlier, so that they are no longer valid, and that no registry has approved.

A researcher's key costs nothing, so whoever reaches the platform can fill the board for 31 days
with requests under many keys: then no more are taken, and those that were taken stay.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from sqlalchemy import Connection, delete, exists, func, select

from upcare_mpc.abe.request import MAX_REQUEST_SECONDS
from upcare_mpc.errors import InputError, RefusedError
from upcare_mpc.journal import utc_text
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.schema import BOARD, TOPICS

__all__ = ["PLATFORM", "Board", "StoredPaper"]

PLATFORM: Final = "platform"
"""The sender of what the platform itself notes."""

MAX_PAPER_BYTES: Final = 64 << 10
MAX_PAPERS: Final = 4096
MAX_CEREMONY_BYTES: Final = 16 << 10
"""Of a paper of a ceremony; everybody reads all of these, so they are bounded more tightly."""

MAX_OPENED: Final = {"ceremony": 10, "request": 100}
"""Topics that one registry, or one key, opens in 31 days."""

MAX_REQUESTS: Final = 100_000
_MAX_OF_SENDER: Final = {"ceremony": 64, "request": 16}
_OPENED_IN: Final = timedelta(seconds=MAX_REQUEST_SECONDS)
_TOPIC_BYTES: Final = 32
_PAGE: Final = 1000
_KINDS: Final = {
    "proposal": "ceremony",
    "seat": "ceremony",
    "dealing": "ceremony",
    "sub-share": "ceremony",
    "report": "ceremony",
    "confirmation": "ceremony",
    "approval": "request",
    "refusal": "request",
    "fragment": "request",
}
"""What registries post, and on which kind of topic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPaper:
    """One paper.

    Attributes:
        number: 1, 2, ... within its topic.
        sender: A registry's name, ``PLATFORM``, or empty for a researcher.
        kind: What it is.
        content: At most 64 KiB.
        time: When it came.
    """

    number: int
    sender: str
    kind: str
    content: bytes
    time: datetime


class Board:
    """Topics and papers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def file(self, topic: bytes, *, owner: bytes, filing: bytes, time: datetime) -> None:
        """Open the topic of a request with its filing; the same again changes nothing.

        Args:
            topic: Digest of the request.
            owner: Researcher's public key, 32 bytes; she alone may follow the topic.
            filing: Checked by the caller.
            time: Now.

        Raises:
            InputError: The filing is too long, or its topic is a ceremony's.
            RefusedError: The key has filed too much, or the board is full.
        """
        _check_topic(topic)
        with self._database.write() as connection:
            found = _kind(connection, topic)
            if found == "ceremony":
                raise InputError("a ceremony on the board has the name of this request")
            if found is None:
                _open(connection, topic, "request", owner=owner, opener="", time=time)
                _append(connection, topic, "", "filing", filing, time=time)

    def post(self, topic: bytes, *, sender: str, kind: str, content: bytes, time: datetime) -> None:
        """Leave a registry's paper; a proposal opens its topic. The same again changes nothing.

        Raises:
            InputError: No such topic, no such kind, or the paper is too long.
            RefusedError: The topic is full, or the registry has left too much.
        """
        _check_topic(topic)
        wanted = _KINDS.get(kind)
        if wanted is None:
            raise InputError(f"registries leave papers of kind {', '.join(_KINDS)}")
        with self._database.write() as connection:
            found = _kind(connection, topic)
            if found is None and kind == "proposal":
                _open(connection, topic, wanted, owner=b"", opener=sender, time=time)
            elif found != wanted:
                raise InputError(f"there is no {wanted} of this name on the board")
            _append(connection, topic, sender, kind, content, time=time)

    def note_fetch(self, topic: bytes, content: bytes, *, time: datetime) -> None:
        """Leave the platform's note that sealed records were fetched; once each.

        Raises:
            InputError: No such request.
            RefusedError: The topic is full.
        """
        with self._database.write() as connection:
            if _kind(connection, topic) != "request":
                raise InputError("there is no request of this name on the board")
            _append(connection, topic, PLATFORM, "fetch", content, time=time)

    def read(
        self, topic: bytes, *, after: int = 0, at_most: int = MAX_PAPERS
    ) -> tuple[StoredPaper, ...]:
        """Return papers behind a number, oldest first.

        Raises:
            InputError: No such topic.
        """
        query = (
            select(BOARD)
            .where(BOARD.c.topic == topic, BOARD.c.number > after)
            .order_by(BOARD.c.number)
            .limit(at_most)
        )
        with self._database.read() as connection:
            if _kind(connection, topic) is None:
                raise InputError("there is no topic of this name on the board")
            return tuple(_paper(row) for row in connection.execute(query).mappings())

    def topics(self, kind: str, *, after: int = 0) -> tuple[tuple[int, bytes], ...]:
        """Return up to 1000 topics behind a number, oldest first: numbers and names."""
        query = (
            select(TOPICS.c.number, TOPICS.c.topic)
            .where(TOPICS.c.kind == kind, TOPICS.c.number > after)
            .order_by(TOPICS.c.number)
            .limit(_PAGE)
        )
        with self._database.read() as connection:
            return tuple((row.number, row.topic) for row in connection.execute(query))

    def filed(self, topic: bytes, *, owner: bytes) -> bool:
        """Say whether a researcher's key has filed a request."""
        kept = (TOPICS.c.topic == topic, TOPICS.c.kind == "request", TOPICS.c.owner == owner)
        with self._database.read() as connection:
            return bool(connection.execute(select(exists().where(*kept))).scalar_one())

    def has(self, topic: bytes, *, sender: str, kind: str) -> bool:
        """Say whether somebody has left a paper of a kind."""
        left = (BOARD.c.topic == topic, BOARD.c.sender == sender, BOARD.c.kind == kind)
        with self._database.read() as connection:
            return bool(connection.execute(select(exists().where(*left))).scalar_one())


def _check_topic(topic: bytes) -> None:
    if len(topic) != _TOPIC_BYTES:
        raise InputError(f"a topic is named by {_TOPIC_BYTES} bytes, got {len(topic)}")


def _kind(connection: Connection, topic: bytes) -> str | None:
    query = select(TOPICS.c.kind).where(TOPICS.c.topic == topic)
    return connection.execute(query).scalar_one_or_none()


def _open(
    connection: Connection, topic: bytes, kind: str, *, owner: bytes, opener: str, time: datetime
) -> None:
    """Enter a topic under the next number, and make room for it."""
    recent = (
        select(func.count())
        .select_from(TOPICS.join(BOARD, BOARD.c.topic == TOPICS.c.topic))
        .where(
            TOPICS.c.kind == kind,
            TOPICS.c.owner == owner,
            TOPICS.c.created > utc_text(time - _OPENED_IN),
            BOARD.c.number == 1,
            BOARD.c.sender == opener,
        )
    )
    if connection.execute(recent).scalar_one() >= MAX_OPENED[kind]:
        days = _OPENED_IN.days
        whose = "a registry opens" if opener else "a key files"
        what = "ceremonies" if opener else "requests"
        raise RefusedError(f"{whose} at most {MAX_OPENED[kind]} {what} in {days} days")
    connection.execute(
        TOPICS.insert().values(topic=topic, kind=kind, owner=owner, created=utc_text(time))
    )
    if kind == "request":
        _make_room(connection, time)  # after it has the highest number, so that numbers only grow


def _make_room(connection: Connection, time: datetime) -> None:
    count = select(func.count()).select_from(TOPICS).where(TOPICS.c.kind == "request")
    if (over := connection.execute(count).scalar_one() - MAX_REQUESTS) <= 0:
        return
    approved = exists().where(BOARD.c.topic == TOPICS.c.topic, BOARD.c.kind == "approval")
    void = (
        select(TOPICS.c.topic)
        .where(
            TOPICS.c.kind == "request",
            TOPICS.c.created <= utc_text(time - _OPENED_IN),
            ~approved,
        )
        .order_by(TOPICS.c.number)
        .limit(over)
    )
    topics = connection.execute(void).scalars().all()
    if len(topics) < over:
        raise RefusedError("the board is full; try again in some days")
    connection.execute(delete(BOARD).where(BOARD.c.topic.in_(topics)))
    connection.execute(delete(TOPICS).where(TOPICS.c.topic.in_(topics)))


def _append(
    connection: Connection, topic: bytes, sender: str, kind: str, content: bytes, *, time: datetime
) -> None:
    longest = MAX_CEREMONY_BYTES if _KINDS.get(kind) == "ceremony" else MAX_PAPER_BYTES
    if len(content) > longest:
        raise InputError(f"a paper of this kind has at most {longest} bytes, got {len(content)}")
    digest = sha256(content).digest()
    on_topic = BOARD.c.topic == topic
    same = (BOARD.c.sender == sender, BOARD.c.kind == kind, BOARD.c.digest == digest)
    if connection.execute(select(exists().where(on_topic, *same))).scalar_one():
        return
    count = select(func.count()).select_from(BOARD).where(on_topic)
    papers = connection.execute(count).scalar_one()
    most = _MAX_OF_SENDER[_KINDS[kind]] if kind in _KINDS else MAX_PAPERS
    of_sender = connection.execute(count.where(BOARD.c.sender == sender)).scalar_one()
    if papers >= MAX_PAPERS or of_sender >= most:
        raise RefusedError("the topic is full: no more papers are taken")
    connection.execute(
        BOARD.insert().values(
            topic=topic,
            number=papers + 1,
            sender=sender,
            kind=kind,
            content=content,
            digest=digest,
            time=utc_text(time),
        )
    )


def _paper(row: Any) -> StoredPaper:
    return StoredPaper(
        number=row["number"],
        sender=row["sender"],
        kind=row["kind"],
        content=row["content"],
        time=datetime.fromisoformat(row["time"]),
    )
