"""Objects are whole or not there, named by what they hold, and never a path."""

import os
from pathlib import Path

import pytest
from vault_world import Cut, MemoryStore, World

from upcare_mpc.errors import ConfigError, DataError, InputError
from upcare_mpc.vault.bucket import Bucket
from upcare_mpc.vault.edition import HEAD
from upcare_mpc.vault.encoding import name_of
from upcare_mpc.vault.store import Folder, Store, copy, fetch, named_by_head, open_store, sweep

NAMES = [f"{n:064x}" for n in range(5)]


@pytest.fixture(params=["folder", "url", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return Folder(tmp_path / "objects")
    if request.param == "url":
        return open_store(f"file://{tmp_path}/objects")
    return MemoryStore()


def test_what_was_put_and_settled_can_be_got_listed_and_deleted(store: Store) -> None:
    for name in NAMES:
        store.put(name, name.encode() * 100)
    store.settle()

    assert store.get(NAMES[1], at_most=6400) == NAMES[1].encode() * 100
    assert store.get(NAMES[1], at_most=6399) is None
    assert store.get("f" * 64, at_most=10) is None
    assert sorted(store.names()) == NAMES
    store.delete(NAMES[0])
    store.delete(NAMES[0])
    assert sorted(store.names()) == NAMES[1:]


def test_an_object_is_not_written_again_and_the_head_is(store: Store) -> None:
    for content in (b"first", b"second"):
        store.put(NAMES[0], content)
        store.settle()
        store.put(HEAD, content)

    assert store.get(NAMES[0], at_most=9) == b"first"
    assert store.get(HEAD, at_most=9) == b"second"


@pytest.mark.parametrize(
    "name",
    [
        *("", "..", "../head", "/etc/passwd", "a" * 63, "a" * 65, "A" * 64, "a" * 63 + "/"),
        *("head.new", "a" * 64 + "\n", "head\n", "a" * 63 + "\0", "\u0660" * 64),
    ],
)
def test_a_name_that_is_none_reaches_no_file(store: Store, name: str) -> None:
    for attempt in (
        lambda: store.put(name, b""),
        lambda: store.get(name, at_most=1),
        lambda: store.delete(name),
    ):
        with pytest.raises(InputError, match="64 hexadecimal digits"):
            attempt()


def test_a_folder_and_its_files_are_the_owners_alone(tmp_path: Path) -> None:
    store = Folder(tmp_path / "objects")
    store.put(NAMES[0], b"x")
    store.settle()

    assert (tmp_path / "objects").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "objects" / NAMES[0]).stat().st_mode & 0o777 == 0o600


def test_an_object_has_its_name_only_when_it_is_on_the_disk(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    store.put(NAMES[0], b"x")

    assert store.names() == []
    assert Folder(tmp_path).get(NAMES[0], at_most=9) is None
    again = Folder(tmp_path)  # after a crash
    again.put(NAMES[1], b"y")
    again.settle()
    assert again.names() == [NAMES[1]]
    assert [path.name for path in tmp_path.iterdir()] == [NAMES[1]]


def test_errors_name_no_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = Folder(tmp_path / "objects")
    (tmp_path / "objects" / NAMES[0]).mkdir()
    (tmp_path / "objects" / f"{NAMES[1]}.new").mkdir()

    attempts = [
        (ConfigError, lambda: Folder(tmp_path / "file")),
        (ConfigError, lambda: open_store("nowhere://bucket")),
        (ConfigError, lambda: Bucket(f"file://{tmp_path}/file/objects")),
        (DataError, lambda: folder.get(NAMES[0], at_most=1)),
        (DataError, lambda: folder.delete(NAMES[0])),
        (DataError, lambda: folder.put(NAMES[1], b"")),
    ]
    for kind, attempt in attempts:
        with pytest.raises(kind) as caught:
            attempt()
        assert str(tmp_path) not in str(caught.value)
        assert caught.value.__suppress_context__


def test_fetch_gives_an_object_only_as_what_it_is_named(store: Store) -> None:
    name = name_of("sheet", b"content")
    store.put(name, b"content")
    store.put(NAMES[0], b"content")
    store.settle()

    assert fetch(store, "sheet", name) == b"content"
    assert fetch(store, "group", name) is None
    assert fetch(store, "sheet", NAMES[0]) is None
    assert fetch(store, "sheet", NAMES[1]) is None


def test_a_copy_has_the_same_objects_and_drops_old_ones(tmp_path: Path) -> None:
    world, platform = World(tmp_path), Folder(tmp_path / "platform")
    world.publish(*(world.change(n) for n in range(5)))
    copy(world.store, platform)
    world.publish(day=world.edition.day.replace(day=3))
    copy(world.store, platform)

    assert set(platform.names()) == set(world.store.names())
    world.store = platform  # type: ignore[assignment]
    assert world.patients() == list(range(5))


def test_the_head_comes_when_all_it_needs_is_there_for_good(tmp_path: Path) -> None:
    world, platform = World(tmp_path), MemoryStore()
    world.publish(*(world.change(n) for n in range(5)))
    copy(world.store, platform)

    for store in (world.store, platform):
        steps = [what for what, _ in store.seen]
        head = steps.index("head")
        assert steps[head - 1] == "settle"
        assert "put" not in steps[head:]
        assert "delete" not in steps[:head]


def test_a_copy_that_was_cut_goes_on_behind_what_arrived(tmp_path: Path) -> None:
    world, platform = World(tmp_path), MemoryStore()
    world.publish(*(world.change(n, f"use:g{n}") for n in range(3)))
    total = len(world.store.objects)
    platform.left = total // 2
    with pytest.raises(Cut):
        copy(world.store, platform)
    assert HEAD not in platform.objects

    platform.left = None
    copy(world.store, platform)

    puts = [what for what, _ in platform.seen if what == "put"]
    assert len(puts) == total - 1  # each object once, the head apart
    assert platform.objects == world.store.objects


def test_a_copy_cut_anywhere_leaves_the_old_edition_whole(tmp_path: Path) -> None:
    world, platform = World(tmp_path), MemoryStore()
    world.publish(*(world.change(n) for n in range(3)))
    copy(world.store, platform)
    world.publish(world.change(1, None), day=world.edition.day.replace(day=3))
    before = len(platform.seen)
    trial = MemoryStore()
    trial.objects = dict(platform.objects)
    copy(world.store, trial)

    for left in range(len(trial.seen)):
        cut = MemoryStore()
        cut.objects, cut.left = dict(platform.objects), left
        with pytest.raises(Cut):
            copy(world.store, cut)
        cut.left = None
        named = named_by_head(cut)  # raises if a group or the shelf is missing
        assert set(named) <= set(cut.objects)
    assert before


def test_a_damaged_source_brings_nothing_into_force(tmp_path: Path) -> None:
    world, platform = World(tmp_path), MemoryStore()
    world.publish(world.change(1))
    name = next(n for n, kind in named_by_head(world.store).items() if kind == "block")
    world.store.objects[name] = os.urandom(len(world.store.objects[name]))

    with pytest.raises(DataError, match="a block of the vault is missing or damaged"):
        copy(world.store, platform)
    assert HEAD not in platform.objects


def test_nothing_is_swept_when_the_head_is_damaged(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.publish(world.change(1))
    world.store.objects[HEAD] = world.store.objects[HEAD][:-1]
    before = len(world.store.objects)

    with pytest.raises(DataError, match="edition in force in the vault is damaged"):
        sweep(world.store)
    assert len(world.store.objects) == before


def test_an_empty_source_is_no_edition() -> None:
    with pytest.raises(DataError, match="no edition"):
        copy(MemoryStore(), MemoryStore())
