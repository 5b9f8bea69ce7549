"""A submitted study: its story, its end, its answer.

A job holds no connection and loses nothing: the platform keeps the story and the sealed answer, so
the same study submitted again, tomorrow or from another machine with the same keys, is this job.
"""

import queue
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from upcare_mpc.client.platform import Event, raise_bad_end
from upcare_mpc.client.progress import progress
from upcare_mpc.client.researcher import REQUEST_SECONDS
from upcare_mpc.client.study import Study
from upcare_mpc.client.study_result import StudyResult
from upcare_mpc.errors import LinkError, RefusedError

if TYPE_CHECKING:
    from upcare_mpc.client.network import Network, Platform
    from upcare_mpc.client.result import OpenedResult

__all__ = ["Job"]

RETRIES: Final = 5
"""So many times in a row a lost connection is made again; news from the platform begin anew."""

_PAUSE_S: Final = 0.5  # before the first; each pause is twice the one before
_T = TypeVar("_T")


class Job:
    """A study on its way; made by ``Network.submit`` and ``Network.job``.

    Attributes:
        study: What was asked.
    """

    def __init__(self, network: "Network", study: Study) -> None:
        self.study = study
        self._network = network
        self._state = "submitted"

    @property
    def digest(self) -> str:
        """The study's digest, in hexadecimal."""
        return self.study.digest

    @property
    def state(self) -> str:
        """Phase of the last event that this object has heard; it asks nobody."""
        return self._state

    def events(self, *, timeout_s: float | None = None) -> Iterator[Event]:
        """Follow the study's story from its beginning to its end, each event once.

        A lost connection is made again ``RETRIES`` times in a row.

        Args:
            timeout_s: How long to listen, in seconds; at most, and unless stated, a week: so long
                is a request valid.

        Raises:
            LinkError: The platform stays away, or the time is over; the study goes on.
            RefusedError: The platform knows no such study of hers.
        """
        limit = min(REQUEST_SECONDS if timeout_s is None else timeout_s, REQUEST_SECONDS)
        deadline = time.monotonic() + limit
        told: set[Event] = set()
        lost = 0
        while True:
            try:
                with self._network.platform() as platform:
                    for event in _until(deadline, platform.watch(self.study.spec.digest)):
                        if event not in told:
                            lost = 0
                            told.add(event)
                            self._state = event.phase
                            yield event
                        if event.last:
                            return
                if time.monotonic() < deadline:
                    raise LinkError("the platform ended the story before the study ended")
            except LinkError:
                if lost == RETRIES:
                    raise
            _pause(lost, deadline)
            lost += 1
            if time.monotonic() >= deadline:
                raise LinkError(
                    f"the study has not ended within {limit:g} s; it goes on, wait for it again"
                )

    def close(self, *, without: Sequence[str] = ()) -> int:
        """End the collecting of the study's deposits; it runs then, ``wait`` for it.

        Args:
            without: Registries of the study that do not attend, and without which it shall run.

        Returns:
            How many deposits were taken, before any check.

        Raises:
            RefusedError: It is not collecting, or a registry is missing; it still collects.
            LinkError: The platform cannot be reached.
        """
        with self._network.platform() as platform:
            return platform.close(self.study.spec, without)

    def wait(self, timeout_s: float | None = None, *, quiet: bool = False) -> StudyResult:
        """Follow the study to its end, then fetch, check and open the answer.

        Args:
            timeout_s: How long all of it may take, in seconds; else a week for the story, and
                for the answer what the connection gives it.
            quiet: Do not show the story.

        Raises:
            RefusedError: A registry or the platform has said no; the text says who and why. Or the
                study collects deposits: ``close`` it first.
            SessionError: It ended without a result; the text says why.
            LinkError: The platform stays away, or the time is over; the study goes on.
            OpeningError, ProtocolError: The answer is not what the registries signed.
        """
        deadline = _after(timeout_s)
        with progress(quiet=quiet) as tell:
            for event in self.events(timeout_s=timeout_s):
                tell(event)
                if event.last:
                    raise_bad_end(event)
                    if event.phase == "collecting":
                        raise RefusedError(f"{event.text}; close() ends that, then wait again")
        return self._fetch(deadline)

    def result(self, timeout_s: float | None = None) -> StudyResult:
        """Fetch, check and open the answer of a study that has ended.

        Args:
            timeout_s: How long it may take, in seconds; else what the connection gives it, with
                ``RETRIES``.

        Raises:
            RefusedError: There is none, or not yet.
            LinkError: The platform cannot be reached, or the time is over; the answer is kept.
            OpeningError, ProtocolError: The answer is not what the registries signed.
        """
        return self._fetch(_after(timeout_s))

    def _fetch(self, deadline: float) -> StudyResult:
        for lost in range(RETRIES + 1):
            try:
                with self._network.platform() as platform:
                    opened = next(_until(deadline, self._answers(platform)), None)
                if opened is not None:
                    return StudyResult(study=self.study, opened=opened)
            except LinkError:
                if lost == RETRIES:
                    raise
            _pause(lost, deadline)
            if time.monotonic() >= deadline:
                break
        raise LinkError("the answer has not arrived in time; it is kept, ask for it again")

    def _answers(self, platform: "Platform") -> "Iterator[OpenedResult]":
        """The one answer, as something that ``_until`` can stop listening to."""
        yield platform.result(self.study.spec)

    def __repr__(self) -> str:
        return f"Job({self.study.title!r}, {self.state}, digest {self.digest[:12]}...)"


def _after(timeout_s: float | None) -> float:
    """A deadline on the monotonic clock."""
    return float("inf") if timeout_s is None else time.monotonic() + timeout_s


def _pause(lost: int, deadline: float) -> None:
    time.sleep(max(0.0, min(_PAUSE_S * 2**lost, deadline - time.monotonic())))


def _until(deadline: float, told: Iterable[_T]) -> Iterator[_T]:
    """Hand on what is told, until it ends or the deadline, on the monotonic clock, is over.

    A thread does the listening, since a stream that is silent cannot be asked to stop. It ends when
    whoever called closes the connection.
    """
    heard: queue.SimpleQueue[_T | BaseException | None] = queue.SimpleQueue()

    def listen() -> None:
        try:
            for one in told:
                heard.put(one)
            heard.put(None)
        except BaseException as error:  # noqa: BLE001  raised by whoever waits
            heard.put(error)

    threading.Thread(target=listen, name="upcare-story", daemon=True).start()
    while (left := deadline - time.monotonic()) > 0:
        try:
            one = heard.get(timeout=min(left, threading.TIMEOUT_MAX))
        except queue.Empty:
            return
        if one is None:
            return
        if isinstance(one, BaseException):
            raise one
        yield one
