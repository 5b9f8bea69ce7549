"""Small deliveries, built in memory."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from upcare_mpc.ingest.delivery import Delivery, Source, read, reference
from upcare_mpc.records.reference import Reference

PARTIES = Path(__file__).parents[2] / "parties"
SAMPLES = Path(__file__).parents[1] / "data" / "ingest"


@pytest.fixture
def read_bytes() -> Callable[..., Delivery]:
    """Read the given bytes as the files of one delivery."""

    def read_these(*files: bytes, complete: tuple[str, ...] = ()) -> Delivery:
        sources = [
            Source(f"file {number}", lambda content=content: io.BytesIO(content))
            for number, content in enumerate(files, 1)
        ]
        return read(sources, complete=frozenset(complete))

    return read_these


@pytest.fixture
def sample() -> Callable[[str], bytes]:
    """The bytes of one of the small samples in `tests/data/ingest`."""
    return lambda name: (SAMPLES / name).read_bytes()


@pytest.fixture
def sample_tables() -> dict[str, bytes]:
    """The small oBDS-RKI tables, by name."""
    return {path.stem: path.read_bytes() for path in sorted((SAMPLES / "rki_tables").iterdir())}


@pytest.fixture
def read_party() -> Callable[..., Delivery]:
    """Read the data folder of a demo party."""

    def read_folder(party: str, complete: tuple[str, ...] = ("systemic",)) -> Delivery:
        paths = sorted((PARTIES / party / "data").iterdir())
        sources = [Source(path.name, lambda path=path: path.open("rb")) for path in paths]
        return read(sources, complete=frozenset(complete))

    return read_folder


@pytest.fixture
def party_reference() -> Callable[[str], Reference]:
    """Read the population file and the life table of a demo party."""

    def read_them(party: str) -> Reference:
        paths = sorted((PARTIES / party / "data").iterdir())
        return reference([Source(path.name, lambda path=path: path.open("rb")) for path in paths])

    return read_them


@pytest.fixture
def party_file() -> Callable[[str], bytes]:
    """The bytes of a demo party's delivery."""

    def content(party: str) -> bytes:
        (path,) = (PARTIES / party / "data").glob("[A-Z]*")
        return path.read_bytes()

    return content


@pytest.fixture
def obds() -> Callable[..., bytes]:
    """An oBDS 3 file with one patient; each argument is the inside of a ``Meldung``."""

    def build(*messages: str, patient: str = 'Patient_ID="p1"', birth: str = "1950-06-15") -> bytes:
        inside = "".join(
            message
            if message.startswith("<Meldung ")
            else f'<Meldung Meldung_ID="{number}" Melder_ID="m">{message}</Meldung>'
            for number, message in enumerate(messages)
        )
        return (
            '<oBDS xmlns="http://www.basisdatensatz.de/oBDS/XML" Schema_Version="3.0.4">'
            f"<Menge_Patient><Patient {patient}><Patienten_Stammdaten><Nachname>Geheim</Nachname>"
            f'<Geschlecht>W</Geschlecht><Geburtsdatum Datumsgenauigkeit="E">{birth}</Geburtsdatum>'
            f"</Patienten_Stammdaten><Menge_Meldung>{inside}</Menge_Meldung></Patient>"
            "</Menge_Patient></oBDS>"
        ).encode()

    return build


@pytest.fixture
def assignment() -> Callable[..., str]:
    """A ``Tumorzuordnung`` of oBDS 3."""

    def build(
        date: str | None = "2010-03-01",
        *,
        key: str | None = "1",
        icd: str = "C50.9",
        flag: str = "E",
    ) -> str:
        attribute = f' Tumor_ID="{key}"' if key else ""
        when = f'<Diagnosedatum Datumsgenauigkeit="{flag}">{date}</Diagnosedatum>' if date else ""
        return (
            f"<Tumorzuordnung{attribute}><Primaertumor_ICD><Code>{icd}</Code></Primaertumor_ICD>"
            f"{when}</Tumorzuordnung>"
        )

    return build
