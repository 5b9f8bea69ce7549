"""The life of a study that takes deposits: it collects until its researcher closes it.

    collecting ──close──> findings of the holders ──> session ──> done
        └────────────────────────┴─ failed ──┘

A session that fails leaves the deposits closed, and the study can be closed again: three sessions
at most are tried, each with the same deposits. What the platform was doing when it was stopped has
failed; deposits are not lost with it.
"""

import asyncio
import datetime
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc._proto.upcare.study.v1 import study_pb2
from upcare_mpc.coordinator.attendance import Attendance
from upcare_mpc.coordinator.collections import Collections, Frozen
from upcare_mpc.coordinator.lifecycle import State, in_words
from upcare_mpc.coordinator.stories import Stories
from upcare_mpc.deposits.collection import Collection
from upcare_mpc.errors import ErasedError, RefusedError, StudyError, UpcareError
from upcare_mpc.kinds.question import Question
from upcare_mpc.link.statements import request_digest
from upcare_mpc.storage.deposits import Deposits
from upcare_mpc.storage.studies import StudyRow

__all__ = ["MAX_ATTEMPTS", "Collecting", "Session"]

MAX_ATTEMPTS: Final = 3
"""Sessions on one collection's deposits."""

UNCLOSED_S: Final = 31 * 24 * 3600
"""After its end for deposits a collection waits so long for its researcher to close it."""

TEND_S: Final = 3600.0

Quotes = Sequence[coordinator_pb2.Quote]
Session = Callable[
    [bytes, Question, study_pb2.StudyRequest, Sequence[str], Frozen], Awaitable[None]
]
"""Runs one session of these registries on deposits, when it is its turn."""


class Collecting:
    """All studies of a platform that take deposits.

    Args:
        stories: How far they are.
        deposits: Where collections and deposits are kept.
        collections: The way to the holders.
        attendance: The way to the registries.
        session: Runs a session.
    """

    def __init__(
        self,
        stories: Stories,
        deposits: Deposits,
        collections: Collections,
        attendance: Attendance,
        session: Session,
    ) -> None:
        self._stories = stories
        self._deposits = deposits
        self._collections = collections
        self._attendance = attendance
        self._session = session

    async def open(
        self, key: bytes, question: Question, request: study_pb2.StudyRequest, quotes: Quotes
    ) -> None:
        """Have the key of a collection dealt, and take deposits; errors as ``Collections.deal``."""
        self._stories.note(key, "key", "the registries that compute deal a key for the deposits")
        collection = await self._collections.deal(key, question, request, quotes)
        closes = datetime.datetime.fromtimestamp(collection.closes, datetime.UTC)
        name = collection.digest.hex()[:12]
        self._stories.end(
            key,
            State.COLLECTING,
            f"collecting until {closes:%Y-%m-%d %H:%M} UTC: collection {name}",
        )

    async def close(
        self,
        row: StudyRow,
        question: Question,
        request: study_pb2.StudyRequest,
        without: Sequence[str],
    ) -> tuple[int, Awaitable[None]]:
        """Take no deposits any more.

        Args:
            row: The study.
            question: What it asks.
            request: Of its researcher, checked.
            without: Registries of the study that take no part, whether they attend or not.

        Returns:
            How many deposits there are, and what is to be done with them, ``_convert``.

        Raises:
            StudyError: ``without`` names others than the study's registries.
            RefusedError: It is not collecting, or the request is not a new one, or a registry does
                not attend or is not willing. It goes on collecting.
        """
        found = self._deposits.of_question(row.digest)
        if row.state != State.COLLECTING or found is None:
            raise RefusedError(f"the study is not collecting, it is {row.state}")
        if request_digest(request) == request_digest(
            study_pb2.StudyRequest.FromString(row.request)
        ):
            raise RefusedError("a study is closed with a request that is signed anew")
        asked = question.study.registries
        if not set(without) <= set(asked):
            raise StudyError(f"without: wanted registries of the study: {', '.join(asked)}")
        names = [name for name in asked if name not in without]
        collection = found.collection
        if request.collection != collection.digest:
            raise RefusedError("the request closes another collection")
        holders = [name for name in collection.names if name in names]
        wanted = 2 * collection.threshold + 1
        if len(holders) < wanted:
            raise RefusedError(f"{wanted} of {', '.join(collection.names)} have to take part")
        await self.willing(request, names)
        self._deposits.close(collection.digest)
        count = len(self._deposits.digests(collection.digest))
        # Of two that close at once, one comes through here; nothing that fails stands behind it.
        self._stories.begin(
            row.digest,
            State.RUNNING,
            request.SerializeToString(deterministic=True),
            phase="closing",
            text=f"{count} deposits, checked by {', '.join(holders)}",
        )
        return count, self._convert(row.digest, question, request, names, collection, holders)

    def failed(self, key: bytes, reason: str) -> None:
        """A closed collection can be closed again, but not for ever."""
        found = self._deposits.of_question(key)
        left = 0 if found is None else MAX_ATTEMPTS - found.attempts
        if left > 0:
            self._stories.end(
                key,
                State.COLLECTING,
                f"{reason}; close it again, sessions that may still be tried: {left}",
            )
        else:
            self.over(key)
            self._stories.end(key, State.FAILED, reason)

    def over(self, key: bytes) -> None:
        """What a question has collected is not needed any more."""
        if (found := self._deposits.of_question(key)) is not None:
            self._collections.discard(found.collection)

    def restarted(self) -> None:
        """Take up what an earlier process was busy with; once, before anything else."""
        for found in self._deposits.live():
            state = self._stories.state(found.question)
            if state.final or found.state == "dealing":
                self._collections.discard(found.collection)
            elif state is not State.COLLECTING:
                self.failed(found.question, "the platform was restarted")

    def tend(self) -> None:
        """End what no researcher has closed; now, and every hour while the loop runs."""
        for found in self._deposits.live():
            overdue = time.time() > found.collection.closes + UNCLOSED_S
            if overdue and self._stories.state(found.question) is State.COLLECTING:
                self._collections.discard(found.collection)
                self._stories.end(found.question, State.FAILED, "it was not closed in time")
        asyncio.get_running_loop().call_later(TEND_S, self.tend)

    async def willing(self, request: study_pb2.StudyRequest, names: Sequence[str]) -> Quotes:
        """What registries say to the session, if all are willing.

        Asked when a study is closed, and again right before its session is proposed: checking the
        deposits takes time, and what a ledger refuses then is refused before an attempt is used up.

        Raises:
            RefusedError: One does not attend, or waits for its operator, or refuses.
        """
        quotes = await self._attendance.quotes(request, names, submitted=True)
        reasons = [
            (quote.registry, quote.reason or "waits for its operator")
            for quote in quotes
            if quote.verdict != coordinator_pb2.Quote.VERDICT_YES
        ]
        if reasons:
            raise RefusedError(in_words(reasons))
        return quotes

    # -- inside ---------------------------------------------------------------------------------

    async def _convert(
        self,
        key: bytes,
        question: Question,
        request: study_pb2.StudyRequest,
        names: Sequence[str],
        collection: Collection,
        holders: Sequence[str],
    ) -> None:
        """Take a closed collection to its end, or back to where it can be closed again."""
        try:
            frozen = await self._collections.freeze(collection, holders)
            self._stories.note(key, "closing", frozen.in_words())
            await self._session(key, question, request, names, frozen)
        except ErasedError as error:  # no closing can succeed any more
            self.over(key)
            self._stories.end(key, State.FAILED, str(error))
        except UpcareError as error:
            self.failed(key, str(error))
        except Exception as error:  # a study that never ends would keep its researcher waiting
            self.failed(key, f"the platform has a fault: {type(error).__name__}")
            raise
        else:
            self._stories.end(key, State.DONE, "the result is ready")
            self._collections.discard(collection)
