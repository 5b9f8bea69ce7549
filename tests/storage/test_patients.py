"""Codes and visits: one use, one end, and nothing of them in the clear; and a patient's rows."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from frozen_cases import SECRET, case_rows

from upcare_mpc.consent.model import Activity, Answer, Consent
from upcare_mpc.errors import DataError, RefusedError
from upcare_mpc.records.case import Case
from upcare_mpc.storage.consents import Consents
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.patients import CODE_LIFE, VISIT_LIFE, Visits, cases_of, recorded_days
from upcare_mpc.storage.schema import NODE
from upcare_mpc.storage.snapshot import Account, Snapshots, Sources
from upcare_mpc.storage.snapshot_rows import pseudonym

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
PATIENT, OTHER = bytes(16), bytes([1] * 16)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(f"sqlite:///{tmp_path / 'node.db'}", NODE) as opened:
        yield opened


@pytest.fixture
def visits(database: Database) -> Visits:
    return Visits(database)


def test_a_code_begins_a_visit(visits: Visits) -> None:
    token = visits.enter(visits.invite(PATIENT, life=HOUR, now=NOW), now=NOW)

    assert visits.patient(token, now=NOW) == PATIENT


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (0, "0000-0000-0000-0000"),
        (2**80 - 1, "ZZZZ-ZZZZ-ZZZZ-ZZZZ"),
        (31 << 5 | 1, "1Z00-0000-0000-0000"),
    ],
)
def test_a_code_is_eighty_bits_in_sixteen_symbols(
    database: Database, number: int, code: str
) -> None:
    visits = Visits(database, random=number.to_bytes)

    assert visits.invite(PATIENT, life=HOUR, now=NOW) == code


def test_codes_are_drawn_anew(visits: Visits) -> None:
    codes = {visits.invite(PATIENT, life=HOUR, now=NOW) for _ in range(100)}

    assert len(codes) == 100
    assert set("".join(codes)) == set("0123456789ABCDEFGHJKMNPQRSTVWXYZ-")


@pytest.mark.parametrize(
    "typed",
    ["lo1i-ABCD-efgh-JKMN", " 1011 abcd EFGH jkmn ", "1011abcdefghjkmn", "1O1l—abcdefghjkmn"],
)
def test_a_code_is_read_as_people_type_it(database: Database, typed: str) -> None:
    number = 0
    for symbol in reversed("1011ABCDEFGHJKMN"):
        number = number << 5 | "0123456789ABCDEFGHJKMNPQRSTVWXYZ".index(symbol)
    visits = Visits(database, random=number.to_bytes)
    assert visits.invite(PATIENT, life=HOUR, now=NOW) == "1011-ABCD-EFGH-JKMN"
    entering = Visits(database)

    if "—" in typed:  # a dash that no keyboard of a phone writes by itself
        with pytest.raises(RefusedError):
            entering.enter(typed, now=NOW)
    else:
        assert entering.enter(typed, now=NOW)


@pytest.mark.parametrize("typed", ["", "0", "A" * 10_000, "\0", "é" * 16, "%s", "' OR 1=1 --"])
def test_whatever_else_is_typed_gets_the_one_text(visits: Visits, typed: str) -> None:
    visits.invite(PATIENT, life=HOUR, now=NOW)

    with pytest.raises(RefusedError, match="there is no such code, or it was used"):
        visits.enter(typed, now=NOW)


def test_a_code_is_used_once(visits: Visits) -> None:
    code = visits.invite(PATIENT, life=HOUR, now=NOW)
    visits.enter(code, now=NOW)

    with pytest.raises(RefusedError, match="there is no such code, or it was used"):
        visits.enter(code, now=NOW)


def test_of_many_at_once_one_enters(visits: Visits) -> None:
    """A letter was copied; both copies are typed in the same second."""
    code = visits.invite(PATIENT, life=HOUR, now=NOW)
    entered: list[str] = []
    refused: list[RefusedError] = []
    start = threading.Barrier(8)

    def enter() -> None:
        start.wait()
        try:
            entered.append(visits.enter(code, now=NOW))
        except RefusedError as error:
            refused.append(error)

    threads = [threading.Thread(target=enter) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert (len(entered), len(refused)) == (1, 7)


def test_a_code_ends(visits: Visits) -> None:
    code = visits.invite(PATIENT, life=HOUR, now=NOW)

    with pytest.raises(RefusedError, match="or its time is up"):
        visits.enter(code, now=NOW + HOUR + timedelta(milliseconds=1))


def test_a_new_code_makes_the_old_one_void_and_leaves_those_of_others(visits: Visits) -> None:
    old, others = (visits.invite(who, life=HOUR, now=NOW) for who in (PATIENT, OTHER))
    new = visits.invite(PATIENT, life=HOUR, now=NOW)

    with pytest.raises(RefusedError):
        visits.enter(old, now=NOW)
    assert visits.patient(visits.enter(new, now=NOW), now=NOW) == PATIENT
    assert visits.patient(visits.enter(others, now=NOW), now=NOW) == OTHER


@pytest.mark.parametrize("life", [timedelta(0), CODE_LIFE + timedelta(seconds=1)])
def test_a_code_lives_for_two_days_at_most(visits: Visits, life: timedelta) -> None:
    with pytest.raises(ValueError, match="a code lives for at most 2 days"):
        visits.invite(PATIENT, life=life, now=NOW)


def test_two_visits_of_one_patient_do_not_touch_each_other(visits: Visits) -> None:
    one = visits.enter(visits.invite(PATIENT, life=HOUR, now=NOW), now=NOW)
    other = visits.enter(visits.invite(PATIENT, life=HOUR, now=NOW), now=NOW)

    visits.leave(one)

    assert visits.patient(one, now=NOW) is None
    assert visits.patient(other, now=NOW) == PATIENT


def test_a_visit_ends_unless_somebody_looks(visits: Visits) -> None:
    token = visits.enter(visits.invite(PATIENT, life=HOUR, now=NOW), now=NOW)
    later = NOW + VISIT_LIFE
    assert visits.patient(token, now=later) == PATIENT
    assert visits.patient(token, now=later + VISIT_LIFE) == PATIENT

    assert visits.patient(token, now=later + 2 * VISIT_LIFE + timedelta(seconds=1)) is None


def test_neither_codes_nor_tokens_are_in_the_database(visits: Visits, tmp_path: Path) -> None:
    waiting = visits.invite(OTHER, life=HOUR, now=NOW)
    used = visits.invite(PATIENT, life=HOUR, now=NOW)
    token = visits.enter(used, now=NOW)

    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())

    assert PATIENT in stored
    for secret in (waiting, used, waiting.replace("-", ""), used.replace("-", ""), token):
        assert secret.encode() not in stored
    assert bytes.fromhex(token) not in stored


def test_when_a_consent_was_recorded_is_kept(database: Database) -> None:
    consent = Consent(
        patient=PATIENT,
        data_set="de-a",
        activity=Activity.RECORDS,
        version=1,
        answer=Answer.REFUSED,
        given=NOW.date(),
        form="urn:oid:1.2.3",
    )
    Consents(database).record([consent], time=NOW)

    assert recorded_days(database, PATIENT) == {consent.digest: NOW}
    assert recorded_days(database, OTHER) == {}


# --- a patient's rows -------------------------------------------------------------------------


def frozen(folder: Path, cases: list[Case], *, size: int = 1) -> Snapshots:
    snapshots = Snapshots(folder)
    with snapshots.writing():
        snapshots.write(
            case_rows(cases, size=size),
            Sources(files=(), rules=1, complete=(), encr_missing={}, deletions=""),
            lambda: Account(messages=0, replaced=0, rejected={}, remarks={}, formats={}),
            NOW,
        )
    return snapshots


def case(patient: str, **values: object) -> Case:
    return Case(**{"patient_id": patient, "tumour_id": "t", "sequence": 1, **values})  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [1, 1000])
def test_a_patients_tumours_are_found_among_all(tmp_path: Path, size: int) -> None:
    own = [case("p7", age=50, icd10="C50.9"), case("p7", sequence=2, tumour_id="u", sex="female")]
    others = [case(f"p{turn}", age=turn) for turn in range(50) if turn != 7]
    snapshots = frozen(tmp_path, others + own, size=size)

    found = cases_of(snapshots, pseudonym(SECRET, "p7"))

    assert [(one.sequence, one.age, one.icd10, one.sex) for one in found] == [
        (1, 50, "C50.9", None),
        (2, None, None, "female"),
    ]
    assert found[0].site_group == "breast"
    assert "p7" not in {one.patient_id for one in found}


def test_of_a_patient_who_is_not_there_nothing_is_found(tmp_path: Path) -> None:
    assert cases_of(Snapshots(tmp_path), PATIENT) == ()
    assert cases_of(frozen(tmp_path, [case("p1")]), PATIENT) == ()


def test_rows_that_cannot_be_read_are_one_line(tmp_path: Path) -> None:
    snapshots = frozen(tmp_path, [case("p1")])
    (rows,) = tmp_path.glob("*.parquet")
    rows.chmod(0o600)
    rows.write_bytes(b"PAR1")

    with pytest.raises(DataError, match=r"^the snapshot cannot be read$"):
        cases_of(snapshots, PATIENT)
