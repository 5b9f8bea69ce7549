"""What an edition holds after changes, and what each change touches."""

from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from by_the_page import read, read_head
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vault_world import HMB, PUBLIC, World, kinds, payload, policy, pseudonym, reader

from upcare_mpc.errors import DataError, InputError, RefusedError
from upcare_mpc.vault.changes import Change, differences
from upcare_mpc.vault.edition import HEAD
from upcare_mpc.vault.state import State
from upcare_mpc.vault.store import named_by_head

WIDE = "or(use:hmb,use:methods)"
TUESDAY, WEDNESDAY, DECEMBER = date(2026, 11, 3), date(2026, 11, 4), date(2026, 12, 1)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def record(state: State, patient: int) -> dict[str, Any]:
    at = state.find(pseudonym(patient))
    assert at is not None
    return {name: state.records[name][at].tobytes() for name in ("id", "key", "version", "slot")}


def version(state: State, patient: int) -> int:
    return int.from_bytes(record(state, patient)["version"], "little")


def blocks(world: World) -> set[str]:
    return {name for name, kind in named_by_head(world.store).items() if kind == "block"}


def test_records_are_opened_by_whom_their_policy_names(world: World) -> None:
    world.publish(*(world.change(n, "use:odd" if n % 2 else HMB) for n in range(200)))

    assert world.patients() == list(range(0, 200, 2))
    assert world.patients("use:odd") == list(range(1, 200, 2))


def test_all_tumours_and_values_of_a_record_come_out(world: World) -> None:
    tumours = [{"site": "C50", "age": 61}, {"site": "C18", "age": 70, "follow_up_days": 5}]
    one = Change(pseudonym=pseudonym(1), policy=policy(HMB), payload=payload(*tumours))
    world.publish(one)

    opened = world.open().to_pylist()

    assert len({row["record"] for row in opened}) == 1
    assert [
        {k: v for k, v in row.items() if v is not None and k != "record"} for row in opened
    ] == [dict(tumour) for tumour in tumours]


def test_a_reader_by_the_page_reads_what_is_published(world: World) -> None:
    world.publish(*(world.change(n) for n in range(70)))

    signed, signature, fields = read_head(world.store.objects[HEAD])
    world.verify(signed, signature)
    ((wanted, (rows, name)),) = fields["groups"].items()
    found = read(PUBLIC, reader(world.root(), HMB), world.store.objects, name)

    assert (fields["registry"], fields["day"], fields["sequence"]) == ("de-a", "2026-11-02", 1)
    assert (wanted, rows) == (policy(HMB), 128)
    assert sorted(payload_ for _, payload_ in found) == sorted(
        payload({"follow_up_days": 1000 + n}) for n in range(70)
    )


def test_a_new_month_writes_rows_and_keeps_keys_of_what_lies_outside_the_cover(
    world: World,
) -> None:
    before = world.publish(*(world.change(n) for n in range(64 * 24)))
    old = blocks(world)
    after = world.publish(day=DECEMBER)

    same = [n for n in range(64 * 24) if record(before, n) == record(after, n)]
    assert len(same) == 64 * 8  # 16 of 24 blocks are sealed anew for cover
    assert len(old & blocks(world)) == 8
    assert world.patients() == list(range(64 * 24))
    assert world.root().place.epoch == "2026-12"


def test_a_widened_policy_keeps_key_and_payload_if_the_block_is_no_cover(world: World) -> None:
    before = world.publish(*(world.change(n) for n in range(64 * 24)))
    after = world.publish(
        *(Change(pseudonym=pseudonym(n), policy=policy(WIDE), payload=None) for n in range(1000)),
        day=TUESDAY,
    )

    same = [n for n in range(1000) if record(before, n) == record(after, n)]
    assert len(same) >= 1000 - 16 * 64
    assert [version(after, n) for n in range(64 * 24)].count(1) == 64 * 8
    assert world.patients(WIDE) == list(range(1000))
    assert world.patients() == list(range(1000, 64 * 24))


@pytest.mark.parametrize(
    ("old", "new"), [(WIDE, HMB), (HMB, "use:methods"), ("", HMB), (HMB, "and(use:hmb,use:irb)")]
)
def test_a_narrowed_policy_takes_a_new_key_id_version_and_payload(
    world: World, old: str, new: str
) -> None:
    before = world.publish(*(world.change(n, old) for n in range(64 * 24)))
    narrowed = list(range(0, 64 * 24, 16))  # in all blocks
    old_blocks = blocks(world)
    after = world.publish(
        *(Change(pseudonym=pseudonym(n), policy=policy(new), payload=None) for n in narrowed),
        day=TUESDAY,
    )

    for n in narrowed:
        was, now = record(before, n), record(after, n)
        assert was["id"] != now["id"]
        assert was["key"] != now["key"]
        assert version(after, n) == 2
    assert not old_blocks & {name for name, _ in kinds(world.store)}


def test_a_changed_payload_takes_the_next_version_in_its_slot(world: World) -> None:
    before = world.publish(*(world.change(n) for n in range(10)))
    after = world.publish(world.change(3, age=50), day=TUESDAY)

    was, now = record(before, 3), record(after, 3)
    assert was["slot"] == now["slot"]
    assert was["key"] != now["key"]
    assert version(after, 3) == 2
    ages = dict(
        zip(*(world.open()[name].to_pylist() for name in ("follow_up_days", "age")), strict=True)
    )
    assert ages == {1000 + n: 50 if n == 3 else None for n in range(10)}


def test_corrected_payloads_leave_no_old_block_behind(world: World) -> None:
    world.publish(*(world.change(n) for n in range(64 * 40)))
    first = blocks(world)
    in_place = {n: {"age": 50} for n in range(0, 64 * 20, 64)}
    long = [{"follow_up_days": 1000, "site": "C50"}] * 40
    grown = [
        Change(pseudonym=pseudonym(n), policy=policy(HMB), payload=payload(*long))
        for n in range(64 * 20, 64 * 40, 64)
    ]

    world.publish(
        *(world.change(n, **tumour) for n, tumour in in_place.items()), *grown, day=TUESDAY
    )

    assert not first & blocks(world)  # one record of each of the 40 blocks has changed
    opened = world.open().to_pylist()
    assert sorted(row["follow_up_days"] - 1000 for row in opened if row["age"]) == list(in_place)
    assert sum(row["site"] == "C50" for row in opened) == 20 * 40


def test_a_payload_that_grows_moves_to_a_larger_slot(world: World) -> None:
    world.publish(*(world.change(n) for n in range(10)))
    large = Change(
        pseudonym=pseudonym(3),
        policy=policy(HMB),
        payload=payload(*[{"follow_up_days": 1003, "site": "C50"}] * 40),
    )
    world.publish(large, day=TUESDAY)

    assert Counter(world.patients()) == Counter({n: 40 if n == 3 else 1 for n in range(10)})
    assert len(blocks(world)) == 2


def test_a_withdrawn_record_is_in_no_edition_and_its_key_nowhere(world: World) -> None:
    before = world.publish(*(world.change(n) for n in range(10)))
    old = record(before, 4)
    state = world.publish(world.change(4, None), day=TUESDAY)

    assert world.patients() == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert state.find(pseudonym(4)) is None
    for path in world.folder.rglob("*"):
        assert old["key"] not in path.read_bytes()
    assert len(state.departures) == 1
    assert state.departures[0].block not in world.store.objects


def test_a_patient_who_comes_back_has_nothing_of_before(world: World) -> None:
    first = world.publish(world.change(1))
    world.publish(world.change(1, None), day=TUESDAY)
    again = world.publish(world.change(1), day=WEDNESDAY)

    assert record(first, 1)["id"] != record(again, 1)["id"]
    assert record(first, 1)["key"] != record(again, 1)["key"]
    assert world.patients() == [1]


def test_withdrawing_what_is_not_there_changes_nothing(world: World) -> None:
    world.publish(world.change(1))
    state = world.publish(world.change(2, None), day=TUESDAY)

    assert state.departures == ()
    assert world.patients() == [1]


def test_an_empty_vault_is_published_and_grows(world: World) -> None:
    world.publish()
    assert world.edition.groups == ()
    world.publish(world.change(1), day=TUESDAY)

    assert world.patients() == [1]


def test_a_group_without_records_stays_for_the_month(world: World) -> None:
    world.publish(world.change(1), world.change(2, "use:odd"))
    world.publish(world.change(2, None), day=TUESDAY)
    assert world.patients("use:odd") == []
    world.publish(day=DECEMBER)

    assert [root.place.policy for root in world.edition.groups] == [policy(HMB, day=DECEMBER)]
    assert world.patients() == [1]


def test_a_day_has_one_edition(world: World) -> None:
    world.publish(day=TUESDAY)

    for day in (TUESDAY, date(2026, 11, 2)):
        with pytest.raises(RefusedError, match="the next one is of a later day"):
            world.publish(day=day)
    assert world.edition.sequence == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([(b"short", policy(HMB), b"x")], "pseudonym has 16 bytes"),
        ([(bytes(16), policy(HMB), b"x"), (bytes(16), policy(HMB), b"y")], "one change for each"),
        ([(pseudonym(0), policy(HMB), None), (pseudonym(0), None, None)], "one change for each"),
        ([(bytes(16), policy(HMB), None)], "cannot stay as it is"),
        ([(bytes(16), policy(HMB), b"x" * 65_521)], "at most 65520 bytes"),
        ([(bytes(16), "use:hmb", b"x")], "is sealed under"),
        ([(bytes(16), policy(HMB, day=DECEMBER), b"x")], "is sealed under"),
        ([(bytes(16), policy(HMB, registry="de-b"), b"x")], "is sealed under"),
    ],
)
def test_a_change_that_cannot_be_leaves_everything_as_it_was(
    world: World, changes: list[tuple[bytes, str | None, bytes | None]], message: str
) -> None:
    world.publish(world.change(0))
    before = dict(world.store.objects)

    with pytest.raises(InputError, match=message):
        world.publish(
            *(Change(pseudonym=a, policy=b, payload=c) for a, b, c in changes), day=TUESDAY
        )
    assert world.store.objects == before


def test_a_block_that_the_store_lost_is_said_and_nothing_published(world: World) -> None:
    world.publish(world.change(0))
    world.store.objects.pop(blocks(world).pop())

    with pytest.raises(DataError, match="a block of the vault is missing or damaged"):
        world.publish(day=TUESDAY)
    assert world.edition.sequence == 1


def test_differences_are_what_changed_and_nothing_else(world: World) -> None:
    state = world.publish(*(world.change(n) for n in range(10)))
    wanted = [
        *(world.change(n) for n in range(5)),
        world.change(5, WIDE),
        world.change(6, age=44),
        world.change(8, None),
        world.change(11),
        world.change(12, None),
    ]

    found = {one.pseudonym: one for one in differences(state, wanted, epoch="2026-11")}

    assert set(found) == {pseudonym(n) for n in (5, 6, 7, 8, 9, 11)}
    assert found[pseudonym(5)].payload is None
    assert found[pseudonym(6)].payload is not None
    assert [
        n for n in range(12) if pseudonym(n) in found and found[pseudonym(n)].policy is None
    ] == [7, 8, 9]
    world.publish(*found.values(), day=TUESDAY)
    assert world.patients() == [0, 1, 2, 3, 4, 6, 11]
    assert list(differences(world.keeper.state(), wanted, epoch="2026-11")) == []


TERMS = [HMB, WIDE, "use:odd", None]


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.dictionaries(
            st.integers(0, 150),
            st.tuples(st.sampled_from(TERMS), st.integers(1, 12)),
            max_size=100,
        ),
        min_size=1,
        max_size=4,
    )
)
def test_any_history_leaves_exactly_what_is_wanted(
    tmp_path_factory: pytest.TempPathFactory, history: list[dict[int, tuple[str | None, int]]]
) -> None:
    world = World(tmp_path_factory.mktemp("world"))
    model: dict[int, tuple[str, int]] = {}
    for number, batch in enumerate(history):
        day = date(2026, 11, 27 + number) if number < 3 else DECEMBER
        changes = []
        for patient, (terms, length) in batch.items():
            tumour = {"follow_up_days": 1000 + patient, "site": "C50"}
            changes.append(
                Change(
                    pseudonym=pseudonym(patient),
                    policy=None if terms is None else policy(terms, day=day),
                    payload=payload(*[tumour] * length),
                )
            )
            if terms is None:
                model.pop(patient, None)
            else:
                model[patient] = (terms, length)
        state = world.publish(*changes, day=day)

        assert len(state.records) == len(model)
        assert len(set(state.records["slot"].tolist())) == len(model)
        for root in world.edition.groups:
            (terms,) = [
                words for words in TERMS if words and policy(words, day=day) == root.place.policy
            ]
            expected = Counter({p: n for p, (words, n) in model.items() if words == terms})
            opened = world.open(terms)
            assert Counter(d - 1000 for d in opened["follow_up_days"].to_pylist()) == expected
