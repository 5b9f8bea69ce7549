"""The consents that studies go by: frozen at points of a calendar, and decided on as one by one."""

import hashlib
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from frozen_cases import SECRET, write_cases
from generated_studies import MEASURES, REFERENCE, crowd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from said import PATIENT, TODAY, any_consent, any_use, no, permission, use

from upcare_mpc.config import Calendar
from upcare_mpc.consent.gate import Gate, decide, select
from upcare_mpc.consent.model import Activity, Consent
from upcare_mpc.consent.use import Use
from upcare_mpc.errors import DataError, InputError
from upcare_mpc.node.consents import Freezes, period
from upcare_mpc.storage.consents import Consents
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.schema import NODE
from upcare_mpc.storage.snapshot_engine import Engine
from upcare_mpc.storage.snapshot_rows import pseudonym
from upcare_mpc.study.layout import Layout, Measures
from upcare_mpc.study.rows import tabulate

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)  # a Sunday
OBJECTION = no(activity=Activity.STATISTICS)
STATISTICS: Use = use(activity=Activity.STATISTICS)

Freeze = Callable[..., Freezes]


@pytest.fixture
def consents(tmp_path: Path) -> Iterator[Consents]:
    with Database(f"sqlite:///{tmp_path / 'node.db'}", NODE) as database:
        yield Consents(database)


@pytest.fixture
def freezes(tmp_path: Path, consents: Consents) -> Freeze:
    def of(day: date = TODAY, calendar: Calendar = Calendar.WEEK) -> Freezes:
        return Freezes(
            folder=tmp_path / "consents",
            consents=consents,
            data_set="de-a",
            calendar=calendar,
            today=lambda: day,
        )

    return of


@pytest.mark.parametrize(
    ("calendar", "first", "last"),
    [
        (Calendar.DAY, date(2028, 2, 9), date(2028, 2, 9)),
        (Calendar.WEEK, date(2028, 2, 7), date(2028, 2, 13)),
        (Calendar.MONTH, date(2028, 2, 1), date(2028, 2, 29)),
    ],
)
def test_a_day_lies_in_one_period(calendar: Calendar, first: date, last: date) -> None:
    assert period(date(2028, 2, 9), calendar) == (first, last)


@given(day=st.dates(date(1990, 1, 1), date(2100, 1, 1)), calendar=st.sampled_from(Calendar))
def test_periods_follow_each_other_without_a_gap(day: date, calendar: Calendar) -> None:
    first, last = period(day, calendar)

    assert first <= day <= last
    assert period(first, calendar) == period(last, calendar) == (first, last)
    assert period(last + timedelta(days=1), calendar)[0] == last + timedelta(days=1)


def test_what_is_said_after_the_point_waits_for_the_next(
    freezes: Freeze, consents: Consents
) -> None:
    before = freezes().in_force()
    consents.record([OBJECTION], time=NOW)

    assert freezes().in_force() == before
    assert before.patients == frozenset()
    assert not freezes().is_due(before)
    monday = freezes(TODAY + timedelta(days=1))
    assert monday.is_due(before)
    assert monday.in_force().patients == {PATIENT}


def test_every_freeze_has_another_digest_though_nobody_has_said_anything(freezes: Freeze) -> None:
    days = [TODAY + timedelta(days=7 * week) for week in range(3)]

    assert len({freezes(day).in_force().digest for day in days}) == 3


def test_a_file_that_is_lost_is_frozen_anew(
    freezes: Freeze, consents: Consents, tmp_path: Path
) -> None:
    before = freezes().in_force()
    consents.record([OBJECTION], time=NOW)
    (tmp_path / "consents" / "2026-11-16.frozen").unlink()

    after = freezes().in_force()

    assert after.patients == {PATIENT}
    assert after.digest != before.digest


def test_there_is_one_file_and_nobody_else_reads_it(freezes: Freeze, tmp_path: Path) -> None:
    freezes().in_force()
    freezes(TODAY + timedelta(days=1)).in_force()

    folder = tmp_path / "consents"
    assert [path.name for path in folder.iterdir()] == ["2026-11-23.frozen"]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "2026-11-23.frozen").stat().st_mode) == 0o600


def test_half_a_file_of_a_crash_is_written_over(
    freezes: Freeze, consents: Consents, tmp_path: Path
) -> None:
    (tmp_path / "consents").mkdir()
    (tmp_path / "consents" / "2026-11-16.new").write_bytes(b"half")
    consents.record([OBJECTION], time=NOW)

    assert freezes().in_force().patients == {PATIENT}


@pytest.mark.parametrize("place", [0, 30, 200, -70, -10])
def test_a_damaged_file_is_one_clear_error(
    freezes: Freeze, consents: Consents, tmp_path: Path, place: int
) -> None:
    consents.record([OBJECTION], time=NOW)
    freezes().in_force()
    path = tmp_path / "consents" / "2026-11-16.frozen"
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)

    with pytest.raises(
        DataError, match=r"^2026-11-16.frozen: the frozen consents are damaged; rem"
    ):
        freezes().in_force()


@pytest.mark.parametrize("cut", [0, 10, -1, -66])
def test_a_file_that_was_cut_is_one_clear_error(
    freezes: Freeze, consents: Consents, tmp_path: Path, cut: int
) -> None:
    consents.record([OBJECTION], time=NOW)
    freezes().in_force()
    path = tmp_path / "consents" / "2026-11-16.frozen"
    path.write_bytes(path.read_bytes()[:cut])

    with pytest.raises(DataError, match="damaged"):
        freezes().in_force()


def test_a_file_of_another_week_under_this_ones_name_is_refused(
    freezes: Freeze, tmp_path: Path
) -> None:
    freezes().in_force()
    folder = tmp_path / "consents"
    (folder / "2026-11-16.frozen").rename(folder / "2026-11-23.frozen")

    with pytest.raises(DataError, match="damaged"):
        freezes(TODAY + timedelta(days=1)).in_force()


def test_the_file_is_as_the_docstring_says(
    freezes: Freeze, consents: Consents, tmp_path: Path
) -> None:
    superseded = replace(OBJECTION, version=1)
    last = replace(OBJECTION, version=2)
    on_records = permission()
    consents.record([superseded, last, on_records], time=NOW)

    frozen = replace(freezes(), random=lambda size: b"n" * size).in_force()

    body = (
        b'{"data_set":"de-a","first_day":"2026-11-16","nonce":"' + b"6e" * 16 + b'",'
        b'"upcare_frozen_consents":1}\n' + last.canonical() + b"\n"
    )
    digest = hashlib.sha256(body)
    written = (tmp_path / "consents" / "2026-11-16.frozen").read_bytes()
    assert written == body + digest.hexdigest().encode() + b"\n"
    assert frozen.digest == digest.digest()


def test_a_permission_that_ends_or_begins_within_the_period_does_not_count(
    freezes: Freeze, consents: Consents
) -> None:
    """The period is Monday, 16 to Sunday, 22 November."""
    first, last = date(2026, 11, 16), date(2026, 11, 22)
    day = timedelta(days=1)
    periods = {
        b"0" * 16: (first, last),
        b"1" * 16: (first + day, last),
        b"2" * 16: (first, last - day),
        b"3" * 16: (first - day, None),
    }
    consents.record(
        [
            permission(patient=who, activity=Activity.STATISTICS, first_day=begin, last_day=end)
            for who, (begin, end) in periods.items()
        ],
        time=NOW,
    )

    selection = freezes().in_force().select(STATISTICS, Gate.CONSENT)

    assert [selection.holds(who) for who in periods] == [True, False, False, True]


def test_only_some_patients_may_be_kept(freezes: Freeze, consents: Consents) -> None:
    other = replace(OBJECTION, patient=b"o" * 16)
    consents.record([OBJECTION, other], time=NOW)
    frozen = freezes().in_force()

    assert frozen.among(frozenset({PATIENT})).patients == {PATIENT}
    assert frozen.among(frozenset()).said == {}


def test_what_is_secret_is_not_shown(freezes: Freeze, consents: Consents) -> None:
    consents.record([OBJECTION], time=NOW)

    shown = repr(freezes().in_force())

    assert PATIENT.hex() not in shown
    assert "withdrawn" not in shown


def test_a_use_of_records_is_refused_here(freezes: Freeze) -> None:
    with pytest.raises(InputError, match="wanted statistics"):
        freezes().in_force().select(use(), Gate.OBJECTION)


ANSWERS = st.lists(
    st.tuples(st.integers(0, 9), any_consent(data_set="de-a", activity=Activity.STATISTICS)),
    max_size=12,
).map(lambda pairs: [replace(said, patient=bytes([who] * 16)) for who, said in pairs])


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    said=ANSWERS,
    asked=any_use(data_set="de-a", activity=Activity.STATISTICS),
    gate=st.sampled_from(Gate),
)
def test_a_day_at_a_time_the_frozen_decisions_are_those_of_the_gate(
    tmp_path_factory: pytest.TempPathFactory, said: list[Consent], asked: Use, gate: Gate
) -> None:
    folder = tmp_path_factory.mktemp("frozen")
    with Database(f"sqlite:///{folder / 'node.db'}", NODE) as database:
        consents = Consents(database)
        consents.record(said, time=NOW)
        freezes = Freezes(
            folder=folder,
            consents=consents,
            data_set="de-a",
            calendar=Calendar.DAY,
            today=lambda: TODAY,
        )

        assert freezes.in_force().select(asked, gate) == select(said, asked, gate=gate, day=TODAY)


CROWD = crowd(400)
PSEUDONYMS = {
    case.patient_id: pseudonym(SECRET, case.patient_id)
    for case in CROWD
    if case.patient_id is not None
}


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    question=MEASURES,
    said=st.lists(any_consent(data_set="de-a", activity=Activity.STATISTICS), max_size=8),
    asked=any_use(data_set="de-a", activity=Activity.STATISTICS),
    gate=st.sampled_from(Gate),
    source=st.randoms(use_true_random=False),
)
def test_a_study_counts_what_deciding_on_one_patient_after_the_other_leaves(
    tmp_path_factory: pytest.TempPathFactory,
    question: tuple[Measures, Layout],
    said: list[Consent],
    asked: Use,
    gate: Gate,
    source: object,
) -> None:
    """The oracle filters rows by ``decide``; the node joins them away in DuckDB."""
    folder = tmp_path_factory.mktemp("gated")
    write_cases(CROWD, folder / "rows.parquet")
    who = sorted(PSEUDONYMS.values())
    spoken = [replace(one, patient=source.choice(who)) for one in said for _ in range(20)]  # type: ignore[attr-defined]
    with Database(f"sqlite:///{folder / 'node.db'}", NODE) as database:
        consents = Consents(database)
        consents.record(spoken, time=NOW)
        frozen = Freezes(
            folder=folder,
            consents=consents,
            data_set="de-a",
            calendar=Calendar.DAY,
            today=lambda: TODAY,
        ).in_force()
    permitted = {
        patient: decide(
            [one for one in spoken if one.patient == name], asked, gate=gate, day=TODAY
        ).permitted
        for patient, name in PSEUDONYMS.items()
    }
    holders = [case for case in CROWD if permitted.get(case.patient_id)]
    expected = tabulate(*question, holders, REFERENCE)

    engine = Engine(folder / "rows.parquet", folder / "spill")
    selection = frozen.among(engine.known(who)).select(asked, gate)
    counted = engine.tabulate(*question, selection, REFERENCE)
    engine.close()

    assert counted.tolist() == expected.tolist()
