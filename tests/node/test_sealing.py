"""Who is sealed, under which policy, and who is sealed for nobody, with the reason."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from said import any_consent, by_guardian, permission
from sealed_registry import MONDAY, SealedRegistry

from upcare_mpc.config import Data, DataFiles, SnapshotFolder, WarehouseTable
from upcare_mpc.consent import duo
from upcare_mpc.consent.compile import compile_policy
from upcare_mpc.consent.diseases import categories
from upcare_mpc.consent.model import Activity, Consent
from upcare_mpc.errors import ConfigError, DataError, RefusedError
from upcare_mpc.node import sealing
from upcare_mpc.node.sealing import Records, sealable
from upcare_mpc.storage.snapshot import Snapshots
from upcare_mpc.vault.changes import Change
from upcare_mpc.vault.state import State

SILENT = "there is no permission to open this record"
HMB = "and(epoch:2026-11,site:de-a,use:hmb)"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[SealedRegistry]:
    found = SealedRegistry(tmp_path)
    yield found
    found.close()


def wanted(
    registry: SealedRegistry, before: State | None = None, day: date = MONDAY
) -> tuple[dict[int, Change], Counter[str]]:
    """What is wanted, by patient, and who is not sealed."""
    records = Records(registry.snapshots, registry.consents.all(), registry=registry.name)
    changes = {
        change.pseudonym: change
        for change in records.wanted(before or State.empty(registry.name), day)
    }
    by_patient = {registry.pseudonym(n): n for n in range(50)}
    return {by_patient[who]: change for who, change in changes.items()}, records.unsealed


def policies(registry: SealedRegistry, **options: Any) -> dict[int, str | None]:
    return {n: change.policy for n, change in wanted(registry, **options)[0].items()}


def test_who_permits_is_sealed_under_what_she_permits(registry: SealedRegistry) -> None:
    registry.freeze(*range(6))
    registry.permit(1, 2)
    registry.permit(3, permission=duo.DS, diseases=categories(["C50"]), limits=frozenset({duo.NCU}))

    found, unsealed = wanted(registry)

    assert {n: change.policy for n, change in found.items()} == {
        1: HMB,
        2: HMB,
        3: "and(disease:c50,epoch:2026-11,site:de-a,use:ds,use:non-commercial)",
    }
    assert unsealed == {SILENT: 3}
    assert found[1].payload is not None
    assert b"1001" in found[1].payload


def test_the_last_word_counts(registry: SealedRegistry) -> None:
    registry.freeze(1, 2, 3)
    registry.permit(1, 2)
    registry.withdraw(1)
    registry.withdraw(3)
    registry.permit(3)

    assert policies(registry) == {2: HMB, 3: HMB}


def test_a_permission_of_statistics_or_of_another_data_set_opens_no_record(
    registry: SealedRegistry,
) -> None:
    registry.freeze(1, 2)
    registry.permit(1, activity=Activity.STATISTICS)
    registry.name = "fr-b"
    registry.permit(2)
    registry.name = "de-a"

    assert policies(registry) == {}


def test_who_is_not_in_the_snapshot_is_not_sealed(registry: SealedRegistry) -> None:
    registry.freeze(1)
    registry.permit(1, 2)

    assert policies(registry) == {1: HMB}


def test_the_policy_is_that_of_the_month(registry: SealedRegistry) -> None:
    registry.freeze(1, 2)
    registry.permit(1)
    registry.permit(2, last_day=date(2026, 11, 30))

    assert policies(registry).keys() == {1, 2}
    assert policies(registry, day=date(2026, 12, 1)) == {1: HMB.replace("2026-11", "2026-12")}


def test_what_no_policy_can_say_is_counted_with_its_reason(registry: SealedRegistry) -> None:
    registry.freeze(*range(7))
    registry.permit(1, last_day=date(2026, 11, 15))
    registry.permit(2, first_day=date(2026, 11, 15))
    registry.permit(3, limits=frozenset({"DUO:0000012"}))
    registry.permit(4)
    registry.consents.record(  # of the same version, and another answer
        [permission(patient=registry.pseudonym(4), permission=duo.GRU)], time=registry.now()
    )
    registry.withdraw(5)

    found, unsealed = wanted(registry)

    assert found == {}
    assert unsealed == {
        SILENT: 4,
        "the permission does not hold from 2026-11-02 to the month's end": 2,
        "no policy can express the limit DUO:0000012": 1,
    }


def test_a_record_that_cannot_be_written_is_sealed_for_nobody(registry: SealedRegistry) -> None:
    registry.freeze(1, region="DE\x01")
    registry.permit(1)

    found, unsealed = wanted(registry)

    assert found == {}
    assert unsealed == {"the record is too long, or has a code that is not ASCII": 1}


OTHER_FORM = permission(form="urn:oid:1.2.3")
SAID = st.sampled_from(
    [[permission()], [permission(), OTHER_FORM], [by_guardian(date(2026, 11, 9))]]
) | st.lists(
    any_consent(data_set="de-a", activity=Activity.RECORDS, version=1)
    | any_consent(data_set="de-a", version=2),
    max_size=3,
)


@given(st.lists(SAID, min_size=1, max_size=6))
@example([[permission()], [permission(), OTHER_FORM]])
def test_each_patient_has_the_policy_of_what_she_has_said_by_herself(
    said: list[list[Consent]],
) -> None:
    patients = [bytes([n]) * 16 for n in range(len(said))]
    consents = [
        replace(consent, patient=who)
        for who, own in zip(patients, said, strict=True)
        for consent in own
    ]
    nowhere = Snapshots.__new__(Snapshots)  # not looked at

    policies, reasons = Records(nowhere, consents, registry="de-a")._policies(date(2026, 11, 5))

    found = [policies.get(who) or reasons.get(who, SILENT) for who in patients]
    assert found == list(map(alone, said))


def alone(said: list[Consent]) -> str:
    """The policy of one patient, or why there is none."""
    try:
        return str(compile_policy(said, data_set="de-a", site="de-a", day=date(2026, 11, 5)))
    except RefusedError as refusal:
        return str(refusal).removeprefix("consent: ")


def test_patients_who_have_said_the_same_are_worked_out_once(
    registry: SealedRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.freeze(*range(40))
    registry.permit(*range(20))
    registry.permit(*range(20, 40), permission=duo.GRU)
    calls = []
    compiled = sealing.compile_policy

    def counted(*args: Any, **options: Any) -> Any:
        calls.append(1)
        return compiled(*args, **options)

    monkeypatch.setattr(sealing, "compile_policy", counted)

    assert len(policies(registry)) == 40
    assert len(calls) == 2


def test_with_more_policies_than_fit_the_rarest_are_left_out_and_withdrawals_still_count(
    registry: SealedRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.freeze(*range(9))
    registry.permit(1, 2, 3)
    registry.permit(4, 5, permission=duo.GRU)
    registry.permit(6, permission=duo.NRES)
    registry.permit(7, permission=duo.POA)
    monkeypatch.setattr(sealing, "MAX_GROUPS", 3)
    registry.seal()

    crowded = "an edition has no room for so many different permissions"
    assert registry.unsealed == {SILENT: 2, crowded: 1}
    assert registry.opened("use:nres") == [6]  # of two equals the first by its text

    registry.withdraw(6)
    registry.on(date(2026, 11, 3))
    assert registry.opened("use:nres") == []
    assert registry.opened("use:poa") == []  # this month the empty group is still shown
    registry.on(date(2026, 12, 1))
    assert registry.opened("use:poa") == [7]


def test_so_are_those_that_would_make_the_head_too_long(
    registry: SealedRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.freeze(1, 2, 3)
    registry.permit(1, 2)
    registry.permit(3, permission=duo.GRU)
    monkeypatch.setattr(sealing, "MAX_HEAD_BYTES", 1024 + 100)

    assert policies(registry).keys() == {1, 2}


def test_without_a_snapshot_or_with_another_than_its_name_says_nothing_is_sealed(
    registry: SealedRegistry,
) -> None:
    with pytest.raises(DataError, match="no snapshot is in force; run `upcare ingest`"):
        wanted(registry)
    registry.freeze(1)
    before = registry.snapshots.current()
    registry.freeze(1, 2)
    now = registry.snapshots.current()
    assert before is not None
    assert now is not None
    path = registry.snapshots.rows(now)
    path.chmod(0o600)
    path.write_bytes(registry.snapshots.rows(before).read_bytes())
    with pytest.raises(DataError, match="other rows than its name says"):
        wanted(registry)
    path.write_bytes(b"no rows")
    with pytest.raises(DataError, match="cannot be read") as caught:
        wanted(registry)
    assert str(path) not in str(caught.value)


def test_files_are_frozen_if_there_is_no_snapshot_of_them_yet(tmp_path: Path) -> None:
    delivery = Path(__file__).parents[2] / "parties" / "fr-b" / "data" / "FR-B_encr_incidence.csv"
    data = Data(source=DataFiles(files=(delivery,)), cases_at_most=1000)

    snapshots = sealable(data, tmp_path)
    first = snapshots.current()

    assert first is not None
    missing = Data(source=DataFiles(files=(tmp_path / "gone.csv",)), cases_at_most=1000)
    assert sealable(missing, tmp_path).current() == first  # the one in force counts


def test_a_warehouse_is_refused_in_words(tmp_path: Path) -> None:
    table = WarehouseTable(url="postgresql://u:secret@h/d", table="cases")

    with pytest.raises(ConfigError, match="a table of a warehouse is none") as caught:
        sealable(Data(source=table, cases_at_most=1000), tmp_path)
    assert "secret" not in str(caught.value)


def test_a_folder_that_is_not_there_is_said_without_its_path(tmp_path: Path) -> None:
    source = SnapshotFolder(folder=tmp_path / "frozen")

    with pytest.raises(DataError, match="frozen: no such folder") as caught:
        sealable(Data(source=source, cases_at_most=1000), tmp_path)
    assert str(tmp_path) not in str(caught.value)
