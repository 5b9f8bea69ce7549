"""A network of registries, as a researcher reaches it from Python.

    network = Network("me")                  # her folder; or UPCARE_RESEARCHER in the environment
    network = Network("me", url="https://upcare.example")      # over the public interface
    result = network.submit(study).wait()

Reaching it means asking its platform, over gRPC or over the public interface in front of it. Both
are trusted with nothing: questions are signed here, answers are sealed to her and checked here. No
connection is kept open between calls.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from upcare_mpc.client.job import Job
from upcare_mpc.client.platform import Answer, CatalogueEntry, Event, PlatformClient
from upcare_mpc.client.preview import StudyPreview
from upcare_mpc.client.researcher import Researcher
from upcare_mpc.client.rest import RestPlatform
from upcare_mpc.client.result import OpenedResult, open_papers
from upcare_mpc.client.study import Study
from upcare_mpc.client.study_result import StudyResult, written
from upcare_mpc.errors import ConfigError
from upcare_mpc.records.variables import VARIABLES
from upcare_mpc.study import spec

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Network", "Platform"]


class Platform(Protocol):
    """A connection to the platform, whatever carries it."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def preview(self, study: spec.Study) -> list[Answer]:
        """Ask what every registry would say; spends nothing."""
        ...

    def catalogue(self) -> list[CatalogueEntry]:
        """List what the registries state about their data."""
        ...

    def submit(self, study: spec.Study) -> bool:
        """Submit a study, or attach to it; say whether it was already there."""
        ...

    def close(self, study: spec.Study, without: Sequence[str] = ()) -> int:
        """End the collecting of a study's deposits and run it; say how many were taken."""
        ...

    def watch(self, study: bytes) -> Iterator[Event]:
        """Follow the story of the study with this digest, from its beginning to its end."""
        ...

    def result(self, study: spec.Study) -> OpenedResult:
        """Fetch, check and open the result of a finished study."""
        ...


class Network:
    """A network and the researcher who asks in it.

    Attributes:
        researcher: Her keys, the network's trust anchor, and what its registries have agreed on.
    """

    def __init__(
        self,
        folder: str | Path | None = None,
        *,
        url: str | None = None,
        ca: str | Path | None = None,
    ) -> None:
        """Read a researcher's folder; asks nobody.

        Args:
            folder: Made by ``upcare researcher init``; UPCARE_RESEARCHER unless stated.
            url: Address of the public interface; unless stated the one in the folder
                (``Researcher.api``), and if there is none, the platform is asked over gRPC.
            ca: Certificates (PEM) that vouch for the host in the URL; the network's own unless
                stated.

        Raises:
            ConfigError: No folder is named, or a file in it is missing or not usable.
        """
        named = folder if folder is not None else os.environ.get("UPCARE_RESEARCHER")
        if not named:
            raise ConfigError(
                "network: wanted a researcher's folder, or UPCARE_RESEARCHER in the environment"
            )
        self.researcher = Researcher.load(Path(named))
        self._url = url or self.researcher.api
        self._ca = None if ca is None else Path(ca)

    @property
    def name(self) -> str:
        """The network's name."""
        return self.researcher.agreement.name

    def platform(self) -> Platform:
        """Make a connection; the caller closes it (``with``).

        Raises:
            ConfigError: The address or the certificates are not usable.
        """
        if self._url is None:
            return PlatformClient(self.researcher)
        return RestPlatform(self._url, self.researcher, ca=self._ca)

    def catalogue(self) -> "pd.DataFrame":
        """What registries state about their data; spends nothing.

        Returns:
            One row a registry: ``registry, attending, since, first_year, last_year, population,
            note, variables``; None in what it has not stated.

        Raises:
            LinkError: The platform cannot be reached.
        """
        import pandas as pd  # noqa: PLC0415  whoever only submits is spared it

        with self.platform() as platform:
            entries = platform.catalogue()
        rows = [
            (entry.registry, entry.attending, entry.since, *_stated(entry)) for entry in entries
        ]
        stated = ["first_year", "last_year", "population", "note", "variables"]
        return pd.DataFrame(rows, columns=["registry", "attending", "since", *stated], dtype=object)

    def preview(self, study: Study) -> StudyPreview:
        """What a study would cost, how exact it can be, what registries say; spends nothing.

        Raises:
            StudyError: It cannot be answered in this network.
            RefusedError: The platform refuses the request.
            LinkError: The platform cannot be reached.
        """
        question = study.question(self.researcher.agreement.overlap)
        with self.platform() as platform:
            return StudyPreview.of(question, platform.preview(study.spec), platform.catalogue())

    def submit(self, study: Study) -> Job:
        """Submit a study; the same study again finds its stored answer and costs nothing.

        A study that takes deposits collects them until ``Job.close``.

        Raises:
            StudyError: It cannot be answered in this network.
            RefusedError: The platform refuses the request.
            LinkError: The platform cannot be reached; say the same again.
        """
        study.question(self.researcher.agreement.overlap)
        with self.platform() as platform:
            platform.submit(study.spec)
        return self.job(study)

    def job(self, study: Study) -> Job:
        """Return the job of a study that was submitted before; asks nobody."""
        return Job(self, study)

    def read(self, path: str | Path) -> StudyResult:
        """Open again what ``to_json``, ``to_csv`` or ``to_parquet`` wrote.

        The papers in the file are opened with her key and checked as at first; the numbers in it
        are not looked at.

        Args:
            path: The JSON, CSV or Parquet file.

        Raises:
            InputError: It is not such a file.
            OpeningError, ProtocolError: The papers are not what the registries signed for her.
        """
        study, papers = written(Path(path))
        return StudyResult(study=study, opened=open_papers(papers, study.spec, self.researcher))

    def __repr__(self) -> str:
        return f"Network({self.name!r})"


def _stated(entry: CatalogueEntry) -> Sequence[object]:
    stated = entry.availability
    if stated is None:
        return (None,) * 5
    variables = [name for name in VARIABLES if name in stated.variables]
    return (*stated.years, stated.population, stated.note, variables)
