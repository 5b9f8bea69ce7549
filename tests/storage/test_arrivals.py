"""Arrivals on disk: the same cases as all in memory, whatever the runs, also after a crash."""

import io
import itertools
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from upcare_mpc.errors import DataError
from upcare_mpc.ingest.deletions import NOTHING, Deletions
from upcare_mpc.ingest.delivery import Delivery, Source, arrivals, groups, read
from upcare_mpc.ingest.message import Message
from upcare_mpc.records.variables import VARIABLES
from upcare_mpc.storage import arrivals as module
from upcare_mpc.storage import partition, reduction
from upcare_mpc.storage.arrivals import Arrivals, forget_arrivals
from upcare_mpc.storage.reduction import reduced_rows
from upcare_mpc.storage.snapshot_rows import pseudonym

SECRET = b"s" * 32
ROOT = Path(__file__).parents[2]
DELIVERIES = sorted(path for path in (ROOT / "parties").glob("*/data/[A-Z]*"))
TABLES = sorted((ROOT / "tests/data/ingest/rki_tables").iterdir())
COMPLETE = frozenset({"systemic"})


def from_file(path: Path) -> Source:
    return Source(path.name, lambda: path.open("rb"))


def from_bytes(content: bytes, name: str = "file") -> Source:
    return Source(name, lambda: io.BytesIO(content))


def opened(folder: Path, plan: str = "plan", secret: bytes = SECRET, size: int = 0) -> Arrivals:
    return Arrivals(folder, plan, secret=secret, size=size)


def on_disk(
    sources: Iterable[Source], folder: Path, deletions: Deletions = NOTHING, *, size: int = 0
) -> tuple[list[dict[str, Any]], Arrivals]:
    folder.mkdir(exist_ok=True)
    waiting = opened(folder, size=size)
    for group in groups(list(sources)):
        waiting.tally.formats[group.format.value] += len(group.sources)
        waiting.take(arrivals(group, complete=COMPLETE), group.format.value)
    return rows_of(waiting, deletions), waiting


def rows_of(waiting: Arrivals, deletions: Deletions = NOTHING) -> list[dict[str, Any]]:
    batches = reduced_rows(waiting, complete=COMPLETE, deletions=deletions)
    return [row for batch in batches for row in batch.to_pylist()]


def check_equal(rows: list[dict[str, Any]], waiting: Arrivals, delivery: Delivery) -> None:
    expected = sorted(
        (pseudonym(SECRET, case.patient_id), case.sequence, *(getattr(case, n) for n in VARIABLES))
        for case in delivery.cases
    )
    found = [(row["pseudonym"], row["sequence"], *(row[n] for n in VARIABLES)) for row in rows]
    assert found == expected
    assert waiting.tally == delivery.tally


def message(patient: str, key: tuple[str, str], icd10: str, day: str) -> str:
    return (
        f'<Patient Patient_ID="{patient}"><Menge_Meldung>'
        f'<Meldung Melder_ID="{key[0]}" Meldung_ID="{key[1]}"><Tumorzuordnung Tumor_ID="1">'
        f"<Primaertumor_ICD><Code>{icd10}</Code></Primaertumor_ICD><Diagnosedatum>{day}"
        "</Diagnosedatum></Tumorzuordnung></Meldung></Menge_Meldung></Patient>"
    )


def obds(*patients: str) -> bytes:
    inside = "".join(patients)
    return f"<oBDS><Menge_Patient>{inside}</Menge_Patient></oBDS>".encode()


def scattered(seed: int) -> list[Source]:
    """Messages of few patients over several files, many of them corrections, some of nobody."""
    source = random.Random(seed)
    files = []
    for number in range(4):
        patients = [
            message(
                source.choice(("a", "b", "c", "", "d e")),
                (source.choice("xy"), str(source.randrange(12))),
                source.choice(("C50.9", "C61", "nonsense")),
                f"20{source.randrange(10, 20)}-0{source.randrange(1, 9)}-11",
            )
            for _ in range(source.randrange(1, 12))
        ]
        files.append(from_bytes(obds(*patients), f"file {number}"))
    return files


def encr_rows(path: Path, order: Iterable[int]) -> bytes:
    header, *rows = path.read_bytes().splitlines(keepends=True)
    return header + b"".join(rows[i] for i in order)


@pytest.mark.parametrize("size", [0, 2**23, 2**40])
def test_all_formats_together_are_as_in_memory(tmp_path: Path, size: int) -> None:
    sources = [from_file(path) for path in (*DELIVERIES, *TABLES)]
    delivery = read(sources, complete=COMPLETE)

    rows, waiting = on_disk(sources, tmp_path, size=size)

    assert delivery.tumours > 680
    assert {row["format"] for row in rows} >= {"oBDS 3", "ADT_GEKID 2", "ENCR incidence"}
    check_equal(rows, waiting, delivery)


@pytest.mark.parametrize("seed", range(40))
def test_scattered_and_corrected_messages_are_as_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(module, "_FRAME_MESSAGES", 2)
    monkeypatch.setattr(module, "_BATCH_FRAMES", 3)
    monkeypatch.setattr(reduction, "_GROUP_ROWS", 2)
    sources = scattered(seed)
    delivery = read(sources, complete=COMPLETE)

    rows, waiting = on_disk(sources, tmp_path, size=2**23)

    check_equal(rows, waiting, delivery)


def test_the_scattered_messages_try_what_they_are_for() -> None:
    tallies = [read(scattered(seed), complete=COMPLETE).tally for seed in range(40)]

    assert sum(tally.replaced for tally in tallies) > 100
    assert sum(tally.rejected["no patient id"] for tally in tallies) > 40


def test_a_correction_may_name_another_patient(tmp_path: Path) -> None:
    sources = [
        from_bytes(obds(message("wrong", ("m", "1"), "C50.9", "2015-03-04"))),
        from_bytes(obds(message("right", ("m", "1"), "C50.9", "2015-03-04"))),
    ]

    rows, waiting = on_disk(sources, tmp_path)

    assert [row["pseudonym"] for row in rows] == [pseudonym(SECRET, "right")]
    assert waiting.tally.replaced == 1


@pytest.mark.parametrize("batch_rows", [1, 7, 10_000])
def test_repeated_encr_rows_count_once_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_rows: int
) -> None:
    monkeypatch.setattr(module, "_BATCH_ROWS", batch_rows)
    path = next(path for path in DELIVERIES if "FR-A" in path.name)
    source = random.Random(1)
    sources = [
        from_bytes(encr_rows(path, [source.randrange(126) for _ in range(200)])) for _ in range(2)
    ]
    delivery = read(sources, complete=COMPLETE)

    rows, waiting = on_disk(sources, tmp_path)

    assert waiting.tally.replaced > 250
    check_equal(rows, waiting, delivery)


def test_a_patient_of_several_formats_has_one_sequence(tmp_path: Path) -> None:
    path = next(path for path in DELIVERIES if "FR-A" in path.name)
    one_row = encr_rows(path, [0])
    patient = one_row.splitlines()[1].split(b";")[0].strip(b'"').decode()
    sources = [
        from_bytes(one_row),
        from_bytes(obds(message(patient, ("m", "1"), "C61", "1950-01-01"))),
        from_bytes(obds(message(patient, ("m", "2"), "C64", "2020-01-01"))),
    ]

    rows, waiting = on_disk(sources, tmp_path)

    check_equal(rows, waiting, read(sources, complete=COMPLETE))
    assert [row["sequence"] for row in rows] == [1, 2]  # the two messages are of one tumour
    assert [row["format"] for row in rows] == ["ENCR incidence", "oBDS 3"]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_what_is_on_the_deletion_list_is_left_out(tmp_path: Path, number: int) -> None:
    sources = [from_file(path) for path in DELIVERIES]
    cases = read(sources, complete=COMPLETE).cases
    chosen = [case for case in cases if case.patient_id.startswith(("DE-A", "FR-B"))][::40]
    assert len({case.patient_id[:4] for case in chosen}) == 2
    first = next(
        arrival
        for arrival in arrivals(groups(sources)[0], complete=COMPLETE)
        if isinstance(arrival, Message)
    )
    assert first.key is not None
    deletions = (
        Deletions(patients=frozenset(case.patient_id for case in chosen)),
        Deletions(tumours=frozenset((case.patient_id, case.tumour_id) for case in chosen)),
        Deletions(messages=frozenset({(first.key[0], first.key[1])})),
    )[number]
    delivery = read(sources, complete=COMPLETE, deletions=deletions)

    rows, waiting = on_disk(sources, tmp_path, deletions)

    assert delivery.tally.rejected["on the deletion list"] >= 1
    assert number == 2 or delivery.tumours == len(cases) - len(chosen)
    check_equal(rows, waiting, delivery)


# --- after a crash ----------------------------------------------------------------------------


def take(waiting: Arrivals, sources: list[Source], first: int) -> None:
    for number, group in enumerate(groups(sources)[first:], first + 1):
        waiting.tally.formats[group.format.value] += len(group.sources)
        waiting.take(arrivals(group, complete=COMPLETE), group.format.value)
        waiting.checkpoint(number)


@pytest.mark.parametrize("seed", range(6))
def test_reading_goes_on_behind_the_last_checkpoint(tmp_path: Path, seed: int) -> None:
    sources = [*scattered(seed), *(from_file(path) for path in DELIVERIES)]
    delivery = read(sources, complete=COMPLETE)
    crashed = opened(tmp_path)
    take(crashed, sources[:3], 0)
    after_the_checkpoint = arrivals(groups(sources)[3], complete=COMPLETE)
    crashed.take(itertools.islice(after_the_checkpoint, 5), "oBDS 3")
    crashed.frames.flush()  # written, but not known to be whole

    again = opened(tmp_path)
    assert again.groups == 3
    take(again, sources, 3)

    check_equal(rows_of(again), again, delivery)


@pytest.mark.parametrize("change", ["plan", "secret", "state", "size"])
def test_what_another_delivery_left_is_deleted(tmp_path: Path, change: str) -> None:
    sources = scattered(1)
    crashed = opened(tmp_path)
    take(crashed, sources[:3], 0)
    if change == "state":
        (tmp_path / "arrivals" / "state.json").write_text('{"version":')

    again = opened(
        tmp_path,
        plan="another plan" if change == "plan" else "plan",
        secret=b"t" * 32 if change == "secret" else SECRET,
        size=2**23 if change == "size" else 0,
    )

    assert again.groups == 0
    assert list((tmp_path / "arrivals").iterdir()) == []


def test_nothing_is_left_at_the_end(tmp_path: Path) -> None:
    on_disk(scattered(2), tmp_path)

    forget_arrivals(tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_the_folder_is_the_operators_alone(tmp_path: Path) -> None:
    opened(tmp_path)

    assert (tmp_path / "arrivals").stat().st_mode & 0o777 == 0o700


# --- what a review has found ------------------------------------------------------------------


def keyed(key: str | None, inside: str = "", *, number: int, day: str = "2015-03-04") -> str:
    attribute = f' Tumor_ID="{key}"' if key else ""
    return (
        f'<Meldung Melder_ID="m" Meldung_ID="{number}"><Tumorzuordnung{attribute}>'
        f"<Primaertumor_ICD><Code>C50.9</Code></Primaertumor_ICD><Diagnosedatum>{day}"
        f"</Diagnosedatum></Tumorzuordnung>{inside}</Meldung>"
    )


def one_patient(*messages: str) -> Source:
    inside = "".join(messages)
    return from_bytes(
        obds(f'<Patient Patient_ID="P1"><Menge_Meldung>{inside}</Menge_Meldung></Patient>')
    )


SURGERY = "<OP><Intention>K</Intention><Datum>2015-04-01</Datum></OP>"


@pytest.mark.parametrize(
    "messages",
    [
        [keyed("1", number=1), keyed(None, number=2)],
        [keyed("1", number=1), keyed("2", number=2, day="2018-01-02"), keyed(None, number=3)],
        [keyed("1", number=1), keyed("2", number=2), keyed(None, SURGERY, number=3)],
    ],
)
def test_messages_without_a_key_go_with_the_tumour_that_is_deleted(
    tmp_path: Path, messages: list[str]
) -> None:
    """They neither stay as a tumour of their own nor move to another one."""
    sources = [one_patient(*messages)]
    deletions = Deletions(tumours=frozenset({("P1", "1")}))
    delivery = read(sources, complete=COMPLETE, deletions=deletions)

    rows, waiting = on_disk(sources, tmp_path, deletions)

    check_equal(rows, waiting, delivery)
    assert {case.tumour_id for case in delivery.cases} <= {"2"}
    assert all(case.tx_surgery is None for case in delivery.cases)


@pytest.mark.parametrize("count", [0, 300])
def test_a_tumour_in_messages_and_in_a_row_counts_once(tmp_path: Path, count: int) -> None:
    path = next(path for path in DELIVERIES if "FR-A" in path.name)
    header, row = encr_rows(path, [0]).splitlines(keepends=True)
    cells = row.split(b";")
    columns = header.strip().split(b";")
    patient, tumour = (cells[columns.index(name)].decode() for name in (b"PAT", b"TUM"))
    more = [row.replace(patient.encode(), b"other-%d" % number) for number in range(count)]
    said = message(patient, ("m", "1"), "C61", "1984-07-15").replace(
        'Tumor_ID="1"', f'Tumor_ID="{tumour}"'
    )
    sources = [from_bytes(header + row + b"".join(more)), from_bytes(obds(said))]

    rows, waiting = on_disk(sources, tmp_path)

    check_equal(rows, waiting, read(sources, complete=COMPLETE))
    mine = [row for row in rows if row["pseudonym"] == pseudonym(SECRET, patient)]
    assert [(row["icd10"], row["sequence"]) for row in mine] == [("C61", 1)]
    assert waiting.tally.replaced == 1


def test_a_deleted_message_leaves_no_trace_in_the_format(tmp_path: Path) -> None:
    version_2 = (
        b"<ADT_GEKID><Menge_Patient><Patient><Patienten_Stammdaten Patient_ID='a'/><Menge_Meldung>"
        b"<Meldung Melder_ID='m' Meldung_ID='9'><Tumorzuordnung Tumor_ID='1'><Diagnosedatum>"
        b"04.03.2015</Diagnosedatum></Tumorzuordnung></Meldung></Menge_Meldung></Patient>"
        b"</Menge_Patient></ADT_GEKID>"
    )
    sources = [
        from_bytes(obds(message("a", ("m", "1"), "C50", "2015-03-04"))),
        from_bytes(version_2),
    ]
    deletions = Deletions(messages=frozenset({("m", "9")}))

    rows, _ = on_disk(sources, tmp_path, deletions)

    assert [row["format"] for row in rows] == ["oBDS 3"]


def test_a_number_that_many_patients_share_is_noticed(tmp_path: Path) -> None:
    patients = [message(name, ("m", "1"), "C50", "2015-03-04") for name in "abcde"]
    sources = [from_bytes(obds(*patients))]

    rows, waiting = on_disk(sources, tmp_path)

    check_equal(rows, waiting, read(sources, complete=COMPLETE))
    assert len(rows) == 1
    assert waiting.tally.remarks["correction names another patient"] == 4


def test_one_patient_id_for_everybody_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reduction, "MAX_PATIENT_MESSAGES", 10)
    monkeypatch.setattr(partition, "MAX_BUCKET_ROWS", 100)
    everybody = [message("unknown", ("m", str(n)), "C50", "2015-03-04") for n in range(11)]
    path = next(path for path in DELIVERIES if "FR-A" in path.name)

    with pytest.raises(DataError, match="a patient with more than 10 messages"):
        on_disk([from_bytes(obds(*everybody))], tmp_path / "messages")
    with pytest.raises(DataError, match="more than 100 messages or rows in one part"):
        on_disk([from_file(path)], tmp_path / "rows")


def test_many_small_files_are_not_many_small_batches(tmp_path: Path) -> None:
    sources = [
        from_bytes(obds(message(f"p{n}", ("m", str(n)), "C50", "2015-03-04"))) for n in range(700)
    ]

    rows, waiting = on_disk(sources, tmp_path)

    assert len(rows) == 700
    assert waiting.frames.runs == 1
