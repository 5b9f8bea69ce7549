"""Calling the platform as a researcher: preview, submit, watch, result."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from typing import Self

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2, coordinator_pb2_grpc
from upcare_mpc.client.researcher import Researcher
from upcare_mpc.client.result import OpenedResult, open_parts
from upcare_mpc.client.words import exact_fraction, one_line
from upcare_mpc.errors import ProtocolError, RefusedError, SessionError
from upcare_mpc.link.availability import read_availability
from upcare_mpc.link.calls import CALL_S, platform_channel, translated
from upcare_mpc.records.availability import Availability
from upcare_mpc.study.spec import Study

__all__ = [
    "Answer",
    "CatalogueEntry",
    "Event",
    "ListedStudy",
    "PlatformClient",
    "answer_of",
    "entry_of",
    "event_of",
    "listed_of",
    "raise_bad_end",
]

_YEAR_10000 = 253_402_300_800  # seconds since 1970
_PAGE = 100  # studies at once
_MAX_STUDIES = 10_000
_VERDICTS = {
    coordinator_pb2.Quote.VERDICT_YES: "yes",
    coordinator_pb2.Quote.VERDICT_PENDING: "waits for its operator",
    coordinator_pb2.Quote.VERDICT_NO: "no",
    coordinator_pb2.Quote.VERDICT_ABSENT: "not connected",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One registry's answer to a preview.

    Attributes:
        registry: Its name.
        verdict: ``yes``, ``waits for its operator``, ``no``, ``not connected``.
        reason: One sentence, if it is not ``yes``.
        epsilon_left: Most epsilon that one more study may ask with Laplace noise, by its ledger;
            None if it is not connected.
        rho_left: Most rho that one more study may cost with Gaussian noise, likewise.
    """

    registry: str
    verdict: str
    reason: str
    epsilon_left: Fraction | None
    rho_left: Fraction | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueEntry:
    """What one registry states about its data.

    Attributes:
        registry: Its name.
        attending: Whether it is connected to the platform now.
        since: When the platform first heard this from it.
        availability: The statement; None if it states nothing.
    """

    registry: str
    attending: bool
    since: datetime
    availability: Availability | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of a study's story."""

    phase: str
    text: str
    time: float
    last: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedStudy:
    """How far one study is.

    Attributes:
        digest: Of the study, 32 bytes.
        title: One line.
        state: ``submitted``, ``waiting``, ``collecting``, ``running``, ``done``, ``refused`` or
            ``failed``.
        reason: Why it was refused or failed; else empty.
        submitted: When it was first submitted.
        changed: When its state last changed.
        collection: Digest of its collection of deposits; empty if it has none.
    """

    digest: bytes
    title: str
    state: str
    reason: str
    submitted: datetime
    changed: datetime
    collection: bytes


class PlatformClient:
    """A researcher's connection to the platform; use as a context manager."""

    def __init__(self, researcher: Researcher) -> None:
        self._researcher = researcher
        self._channel = platform_channel(researcher.platform, researcher.network)
        self._stub = coordinator_pb2_grpc.ResearchStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def preview(self, study: Study) -> list[Answer]:
        """Ask what every registry would say; spends nothing.

        Raises:
            RefusedError: The platform refuses the request.
            LinkError: The platform cannot be reached.
        """
        request = self._researcher.request(study, "preview", now=time.time())
        with translated():
            response = self._stub.Preview(
                coordinator_pb2.PreviewRequest(request=request), timeout=CALL_S
            )
        return [answer_of(quote) for quote in response.quotes]

    def catalogue(self) -> list[CatalogueEntry]:
        """List what the registries state about their data; asks no registry, spends nothing.

        Raises:
            ProtocolError: An entry is not a statement that a registry can make.
            LinkError: The platform cannot be reached.
        """
        with translated():
            response = self._stub.Catalogue(coordinator_pb2.CatalogueRequest(), timeout=CALL_S)
        return [entry_of(entry) for entry in response.entries]

    def studies(self) -> list[ListedStudy]:
        """List her studies, newest first, and how far each is; spends nothing.

        Raises:
            ProtocolError: The list does not end.
            LinkError: The platform cannot be reached.
        """
        listed: list[ListedStudy] = []
        more, after = True, b""
        while more:
            authorization = self._researcher.authorize(b"", "list", now=time.time())
            asked = coordinator_pb2.ListRequest(
                authorization=authorization, after=after, limit=_PAGE
            )
            with translated():
                page = self._stub.List(asked, timeout=CALL_S)
            listed += [listed_of(study) for study in page.studies]
            more, after = page.more, page.studies[-1].study_digest if page.studies else b""
            if more and (not page.studies or len(listed) > _MAX_STUDIES):
                raise ProtocolError(f"a list has at most {_MAX_STUDIES} studies, no empty page")
        return listed

    def _listed(self, study: bytes) -> ListedStudy | None:
        """How far one of her studies is."""
        authorization = self._researcher.authorize(b"", "list", now=time.time())
        asked = coordinator_pb2.ListRequest(authorization=authorization, study_digest=study)
        with translated():
            found = self._stub.List(asked, timeout=CALL_S).studies
        return next((listed_of(one) for one in found if one.study_digest == study), None)

    def submit(self, study: Study) -> bool:
        """Submit a study, or attach to it.

        Returns:
            Whether it was already there, running or answered.
        """
        request = self._researcher.request(study, now=time.time())
        with translated():
            response = self._stub.Submit(
                coordinator_pb2.SubmitRequest(request=request), timeout=CALL_S
            )
        return bool(response.known)

    def close(self, study: Study, without: Sequence[str] = ()) -> int:
        """End the collecting of a study's deposits and run it; follow it with ``watch``.

        Args:
            study: The study, which is collecting.
            without: Its registries that do not attend, and without which it shall run.

        Returns:
            How many deposits were taken, before any check.

        Raises:
            RefusedError: It is not collecting, or a registry is missing.
            LinkError: The platform cannot be reached.
        """
        collection = collection_of(self._listed(study.digest))
        request = self._researcher.request(study, "close", now=time.time(), collection=collection)
        with translated():
            response = self._stub.Close(
                coordinator_pb2.CloseRequest(request=request, without=without), timeout=CALL_S
            )
        return int(response.deposits)

    def watch(self, study: bytes) -> Iterator[Event]:
        """Follow a study's story to its end.

        Raises:
            RefusedError, SessionError: Never; a bad end is an event. See ``wait``.
            LinkError: The platform is lost.
        """
        authorization = self._researcher.authorize(study, "watch", now=time.time())
        with translated():
            for event in self._stub.Watch(
                coordinator_pb2.WatchRequest(authorization=authorization)
            ):
                yield event_of(event)

    def result(self, study: Study) -> OpenedResult:
        """Fetch, check and open the result of a finished study.

        Raises:
            RefusedError: There is none.
            OpeningError: The sealed shares do not open or do not belong together.
        """
        authorization = self._researcher.authorize(study.digest, "result", now=time.time())
        with translated():
            parts = list(
                self._stub.Result(
                    coordinator_pb2.ResultRequest(authorization=authorization), timeout=CALL_S
                )
            )
        return open_parts(parts, study, self._researcher)


def answer_of(quote: coordinator_pb2.Quote) -> Answer:
    """Read what a registry answers to a preview.

    Raises:
        ProtocolError: What is left is not an exact fraction.
    """
    return Answer(
        registry=one_line(quote.registry),
        verdict=_VERDICTS.get(quote.verdict, "no"),
        reason=one_line(quote.reason),
        epsilon_left=exact_fraction(quote.epsilon_left) if quote.epsilon_left else None,
        rho_left=exact_fraction(quote.rho_left) if quote.rho_left else None,
    )


def event_of(event: coordinator_pb2.WatchResponse) -> Event:
    """Read a line of a study's story."""
    return Event(
        phase=one_line(event.phase),
        text=one_line(event.text),
        time=event.time,
        last=event.last,
    )


def listed_of(study: coordinator_pb2.Listed) -> ListedStudy:
    """Read how far a study is.

    Raises:
        ProtocolError: A time is none.
    """
    if not (0 <= study.submitted < _YEAR_10000 and 0 <= study.changed < _YEAR_10000):
        raise ProtocolError("a list: wanted the times at which studies were submitted and changed")
    return ListedStudy(
        digest=study.study_digest,
        title=one_line(study.title),
        state=one_line(study.state),
        reason=one_line(study.reason),
        submitted=datetime.fromtimestamp(study.submitted, UTC),
        changed=datetime.fromtimestamp(study.changed, UTC),
        collection=study.collection,
    )


def collection_of(study: ListedStudy | None) -> bytes:
    """Return the digest of the collection that a study takes deposits in.

    Raises:
        RefusedError: It takes none.
    """
    if study is None or len(study.collection) != 32:
        raise RefusedError("the study is not collecting")
    return study.collection


def entry_of(entry: coordinator_pb2.CatalogueEntry) -> CatalogueEntry:
    """Read an entry of the catalogue.

    Raises:
        ProtocolError: It is not a statement that a registry can make.
    """
    if not 0 <= entry.since < _YEAR_10000:
        raise ProtocolError("catalogue: wanted the time since when a registry states this")
    stated = entry.HasField("availability")
    return CatalogueEntry(
        registry=one_line(entry.registry),
        attending=entry.attending,
        since=datetime.fromtimestamp(entry.since, UTC),
        availability=read_availability(entry.availability) if stated else None,
    )


def raise_bad_end(event: Event) -> None:
    """Turn a last event that is not ``done`` into the error it stands for."""
    if event.phase == "refused":
        raise RefusedError(event.text)
    if event.phase == "failed":
        raise SessionError(event.text)
