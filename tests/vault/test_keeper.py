"""An edition is in force as a whole or not at all, whenever the plug is pulled."""

import fcntl
import os
from datetime import date
from pathlib import Path

import pytest
from vault_world import PUBLIC, Cut, MemoryStore, World

from upcare_mpc.errors import ConfigError, DataError
from upcare_mpc.vault.edition import HEAD
from upcare_mpc.vault.keeper import Keeper
from upcare_mpc.vault.store import named_by_head

TUESDAY, WEDNESDAY = date(2026, 11, 3), date(2026, 11, 4)


def world_of_two_days(folder: Path) -> World:
    world = World(folder)
    world.publish(*(world.change(n) for n in range(5)))
    return world


def tuesday(world: World) -> None:
    world.publish(world.change(1, None), world.change(2, "use:odd"), world.change(7), day=TUESDAY)


def steps(folder: Path) -> int:
    world = world_of_two_days(folder)
    before = len(world.store.seen)
    tuesday(world)
    return len(world.store.seen) - before


def test_a_crash_at_any_step_leaves_the_old_edition_or_the_new_one(tmp_path: Path) -> None:
    total = steps(tmp_path / "trial")
    assert total > 10
    sequences = []
    for left in range(total):
        world = world_of_two_days(tmp_path / str(left))
        world.store.left = left
        with pytest.raises(Cut):
            tuesday(world)
        world.store.left = None

        sequence = world.edition.sequence
        sequences.append(sequence)
        assert world.keeper.state().sequence == sequence
        expected = [0, 3, 4, 7] if sequence == 2 else [0, 1, 2, 3, 4]
        assert world.patients() == expected
        if sequence == 1:
            tuesday(world)
        else:
            world.publish(day=WEDNESDAY)
        assert world.patients() == [0, 3, 4, 7]
        assert world.patients("use:odd") == [2]
        assert set(world.store.objects) == {HEAD, *named_by_head(world.store)}
        assert len(list(world.folder.glob("sealed-*"))) == 1

    assert sequences == sorted(sequences)
    assert set(sequences) == {1, 2}


@pytest.mark.parametrize("reached", range(4))
def test_a_crash_while_the_list_is_written_leaves_one_edition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reached: int
) -> None:
    world = world_of_two_days(tmp_path)
    waits = []

    def cut(_: int) -> None:
        if len(waits) == reached:
            raise Cut
        waits.append(1)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", cut)
        with pytest.raises(Cut):
            tuesday(world)
    if reached == 1:
        assert (tmp_path / "sealed-2.state.new").exists()

    if reached < 3:
        assert world.patients() == [0, 1, 2, 3, 4]
        tuesday(world)
    assert world.patients() == [0, 3, 4, 7]
    with world.keeper.writing():
        world.keeper.finish()
    assert [path.name for path in tmp_path.glob("sealed-*")] == ["sealed-2.state"]


def test_what_a_crash_left_half_done_is_finished_by_the_next_writer(tmp_path: Path) -> None:
    world = world_of_two_days(tmp_path / "keys")
    objects = len(world.store.objects)
    world.store.left = 8  # blocks and sheets are there, the head is not
    with pytest.raises(Cut):
        tuesday(world)
    world.store.left = None
    assert len(world.store.objects) > objects

    with world.keeper.writing():
        world.keeper.finish()
    assert len(world.store.objects) == objects


def test_one_process_writes_at_a_time(tmp_path: Path) -> None:
    world = World(tmp_path)

    with (tmp_path / "writer.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match="another process is writing"):
            world.publish()
    world.publish()


def test_a_lost_or_damaged_list_is_said(tmp_path: Path) -> None:
    world = world_of_two_days(tmp_path)
    path = tmp_path / "sealed-1.state"
    content = path.read_bytes()

    path.write_bytes(content[:-1])
    with pytest.raises(DataError, match="damaged"):
        tuesday(world)
    path.unlink()
    with pytest.raises(DataError, match="edition 1 cannot be read") as caught:
        tuesday(world)
    assert str(tmp_path) not in str(caught.value)
    assert world.patients() == [0, 1, 2, 3, 4]  # and what is published stays


def test_a_list_of_another_registry_is_refused(tmp_path: Path) -> None:
    world = world_of_two_days(tmp_path)

    with pytest.raises(DataError, match="another registry or edition"):
        Keeper(tmp_path, world.store, registry="de-b").state()


def test_a_store_that_went_back_finds_no_list(tmp_path: Path) -> None:
    world = world_of_two_days(tmp_path)
    before = dict(world.store.objects)
    tuesday(world)
    world.store.objects = before

    with pytest.raises(DataError, match="edition 1 cannot be read"):
        world.publish(day=WEDNESDAY)
    assert (tmp_path / "sealed-2.state").exists()  # for when the store is put right


@pytest.mark.parametrize("lost", ["list", "block", "shelf"])
def test_after_a_loss_everything_is_sealed_anew_under_the_next_number(
    tmp_path: Path, lost: str
) -> None:
    world = world_of_two_days(tmp_path)
    if lost == "list":
        (tmp_path / "sealed-1.state").unlink()
    else:
        needed = named_by_head(world.store).items()
        del world.store.objects[next(name for name, kind in needed if kind == lost)]
    with pytest.raises(DataError, match=r"seal all records anew|is missing or damaged"):
        tuesday(world)

    with world.keeper.writing():
        state = world.keeper.publish(
            [world.change(n) for n in (3, 4)],
            day=TUESDAY,
            public=PUBLIC,
            sign=world.sign,
            random=world.random,
            anew=True,
        )

    assert (world.edition.sequence, world.patients()) == (2, [3, 4])
    assert state.departures == ()
    assert set(world.store.objects) == {HEAD, *named_by_head(world.store)}
    world.publish(world.change(5), day=WEDNESDAY)
    assert world.patients() == [3, 4, 5]


def test_keys_are_the_owners_alone(tmp_path: Path) -> None:
    world = world_of_two_days(tmp_path / "keys")

    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    for path in world.folder.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_folder_that_cannot_be_made_is_said_without_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError) as caught:
        Keeper(tmp_path / "file", MemoryStore(), registry="de-a")
    assert str(tmp_path) not in str(caught.value)


def test_a_failing_signature_leaves_the_old_edition(tmp_path: Path) -> None:
    world = world_of_two_days(tmp_path)

    def refuses(_: bytes) -> bytes:
        raise Cut

    with pytest.raises(Cut), world.keeper.writing():
        world.keeper.publish([], day=TUESDAY, public=PUBLIC, sign=refuses, random=world.random)
    assert world.edition.sequence == 1
    tuesday(world)
