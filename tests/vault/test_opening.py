"""A reader takes what the registry signed last, in constant memory, and nothing else."""

import os
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from by_the_page import write
from vault_world import HMB, PUBLIC, REFUSAL, MemoryStore, World, payload, reader

from upcare_mpc.errors import DataError, ProtocolError
from upcare_mpc.vault import opening
from upcare_mpc.vault.edition import HEAD, Place, Root
from upcare_mpc.vault.opening import Seen, check_head, open_group

MONDAY, TUESDAY = date(2026, 11, 2), date(2026, 11, 3)


def check(world: World, seen: Seen | None = None, **stated: object) -> Seen:
    asked = {"registry": "de-a", "verify": world.verify, "earliest": MONDAY, **stated}
    return check_head(world.store.objects[HEAD], seen=seen, **asked)[1]  # type: ignore[arg-type]


def test_the_last_edition_seen_is_remembered(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.publish(world.change(1))
    first = check(world)
    assert check(world, first) == first
    world.publish(day=TUESDAY)

    assert check(world, first).sequence == 2


def test_an_edition_of_another_registry_or_signer_or_day_is_refused(tmp_path: Path) -> None:
    world, other = World(tmp_path / "a"), World(tmp_path / "b")
    world.publish(world.change(1))

    with pytest.raises(ProtocolError, match="shows an edition of de-a"):
        check(world, registry="de-b")
    with pytest.raises(ProtocolError, match="not signed"):
        check(world, verify=other.verify)
    with pytest.raises(ProtocolError, match="wanted one of 2026-11-03 or later"):
        check(world, earliest=TUESDAY)


def written(copies: int = 1) -> tuple[MemoryStore, Root]:
    policy = "and(epoch:2026-11,site:fr-b,use:hmb)"
    store = MemoryStore()
    store.objects, name = write(
        PUBLIC,
        policy,
        payload({"age": 71, "site": "C34"}),
        registry="fr-b",
        epoch="2026-11",
        sequence=9,
        random=os.urandom,
        copies=copies,
    )
    place = Place(registry="fr-b", epoch="2026-11", sequence=9, policy=policy)
    return store, Root(place=place, rows=64, name=name)


def test_a_group_that_another_implementation_wrote_is_opened() -> None:
    store, root = written()

    (batch,) = open_group(PUBLIC, reader(root, HMB), store, root)

    (row,) = batch.to_pylist()
    assert (row["age"], row["site"]) == (71, "C34")


def test_a_record_that_stands_in_two_rows_is_refused() -> None:
    store, root = written(copies=2)

    with pytest.raises(ProtocolError, match=f"^{REFUSAL}$"):
        list(open_group(PUBLIC, reader(root, HMB), store, root))


def test_a_group_is_the_one_that_the_edition_names() -> None:
    store, root = written()

    for other in (
        replace(root, rows=128),
        replace(root, place=replace(root.place, sequence=10)),
        replace(root, place=replace(root.place, registry="fr-c")),
        replace(root, place=replace(root.place, epoch="2026-12")),
        replace(root, place=replace(root.place, policy=root.place.policy.replace("hmb", "gru"))),
    ):
        with pytest.raises(ProtocolError, match=f"^{REFUSAL}$"):
            list(open_group(PUBLIC, reader(root, HMB), store, other))


def test_a_large_group_comes_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path)
    world.publish(*(world.change(n) for n in range(500)))
    monkeypatch.setattr(opening, "_BATCH_BYTES", 10_000)
    gets = []

    class Counting(MemoryStore):
        def get(self, name: str, *, at_most: int) -> bytes | None:
            gets.append(name)
            return world.store.get(name, at_most=at_most)

    root = world.root()
    batches = list(open_group(PUBLIC, reader(root, HMB), Counting(), root))

    assert len(batches) > 3
    assert sum(batch.num_rows for batch in batches) == 500
    assert len(gets) == len(set(gets))  # nothing is fetched twice


@pytest.mark.statistical
def test_a_group_of_several_sheets_is_read_through(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.publish(*(world.change(n) for n in range(4200)))

    assert world.root().rows == 64 * 80
    assert world.patients() == list(range(4200))


@pytest.mark.parametrize("held", [(), ("use:odd",), ("use:hmb-1",)])
def test_a_key_that_lacks_an_attribute_opens_nothing(tmp_path: Path, held: tuple[str, ...]) -> None:
    world = World(tmp_path)
    world.publish(world.change(1))

    with pytest.raises(ProtocolError, match=f"^{REFUSAL}$"):
        world.open(key=reader(world.root(), *held))


def test_a_store_that_fails_is_no_failed_opening(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.publish(world.change(1))

    class Broken(MemoryStore):
        def get(self, name: str, *, at_most: int) -> bytes | None:
            raise DataError("the vault cannot be read")

    root = world.root()
    with pytest.raises(DataError):
        list(open_group(PUBLIC, reader(root, HMB), Broken(), root))
