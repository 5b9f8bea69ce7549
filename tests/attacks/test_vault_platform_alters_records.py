"""Story: the platform holds all records of a registry, sealed, and gives a reader other ones.

It cannot open anything, but it could gain from a reader who takes what it was given: swap the
records of two patients, show one of yesterday that was corrected or withdrawn today, leave out
those that spoil a result, add its own, show one registry's under another's name. Everything that a
reader takes hangs on one signature of the registry, by names that are digests, and is sealed once
more to its place. So each of these ends with one error text, and nothing opened.

The second half takes the names away: an attacker who could find other content for a name, or who
has the registry's signature on it, still meets the seals of slots and rows.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from vault_world import HMB, PUBLIC, REFUSAL, World, flipped, policy, pseudonym, reader

from upcare_mpc.abe.kem import encapsulate
from upcare_mpc.abe.policy import parse
from upcare_mpc.errors import ProtocolError
from upcare_mpc.vault.changes import Change
from upcare_mpc.vault.edition import HEAD, Group, Root
from upcare_mpc.vault.encoding import name_of
from upcare_mpc.vault.opening import check_head, open_group
from upcare_mpc.vault.sealing import ROW_BYTES

TUESDAY, DECEMBER = date(2026, 11, 3), date(2026, 12, 1)
KINDS = ["group", "shelf", "sheet", "block"]


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.publish(*(world.change(n) for n in range(100)))  # two blocks
    return world


def refused(world: World, root: Root | None = None, terms: str = HMB) -> None:
    root = root or world.root(terms)
    opened = open_group(PUBLIC, reader(root, terms), world.store, root)
    with pytest.raises(ProtocolError) as caught:
        next(opened)  # not even the first record
    assert str(caught.value) == REFUSAL
    assert caught.value.__suppress_context__


def named(world: World, kind: str) -> list[str]:
    start = {"group": b"UVG1", "shelf": b"UVL1", "sheet": b"UVS1", "block": b"UVB1"}[kind]
    return [name for name, content in world.store.objects.items() if content.startswith(start)]


def changed(world: World, kind: str, change: Callable[[bytes], bytes]) -> None:
    """Other content under the old name."""
    for name in named(world, kind):
        world.store.objects[name] = change(world.store.objects[name])


# --- what the platform can do -----------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_that_is_missing_is_missed(world: World, kind: str) -> None:
    for name in named(world, kind):
        del world.store.objects[name]

    refused(world)


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_that_is_shorter_or_longer_is_refused(world: World, kind: str) -> None:
    whole = dict(world.store.objects)
    for change in (
        lambda content: content[:-1],
        lambda content: content[:4],
        lambda content: b"",
        lambda content: content + b"\0",
        lambda content: content + content,
        lambda content: content + bytes(10_000_000),
    ):
        world.store.objects = dict(whole)
        changed(world, kind, change)
        refused(world)


@pytest.mark.statistical
@pytest.mark.parametrize("kind", ["group", "shelf", "sheet"])
def test_every_flipped_byte_is_seen(world: World, kind: str) -> None:
    (name,) = named(world, kind)
    content = world.store.objects[name]
    for at in range(0, len(content), max(1, len(content) // 200)):
        world.store.objects[name] = flipped(content, 8 * at + at % 8)
        refused(world)


def test_every_flipped_byte_of_a_block_is_seen(world: World) -> None:
    (first, _) = sorted(named(world, "block"), key=lambda name: name)
    content = world.store.objects[first]
    root = world.root()
    key = reader(root, HMB)
    for at in range(0, len(content), 997):  # in records and in empty slots alike
        world.store.objects[first] = flipped(content, 8 * at + at % 8)
        with pytest.raises(ProtocolError, match=f"^{REFUSAL}$"):
            list(open_group(PUBLIC, key, world.store, root))


def test_two_blocks_or_two_objects_of_any_kind_swapped_are_seen(world: World) -> None:
    one, two = named(world, "block")
    objects = world.store.objects
    for a, b in ((one, two), (one, named(world, "sheet")[0]), (named(world, "shelf")[0], one)):
        objects[a], objects[b] = objects[b], objects[a]
        refused(world)
        objects[a], objects[b] = objects[b], objects[a]
    assert world.patients() == list(range(100))


def test_a_registry_shown_under_anothers_name_is_refused(world: World, tmp_path: Path) -> None:
    other = World(tmp_path / "other", registry="de-b")
    other.publish(other.change(1))
    shown = other.store.objects[HEAD]

    with pytest.raises(ProtocolError, match="the vault of de-a shows an edition of de-b"):
        check_head(
            shown, registry="de-a", verify=other.verify, earliest=date(2026, 11, 1), seen=None
        )
    mixed = replace(world.root(), name=other.root().name)
    world.store.objects.update(other.store.objects)
    refused(world, mixed)


def test_a_root_that_goes_back_is_refused(world: World) -> None:
    monday = dict(world.store.objects)
    _, seen = check_head(
        monday[HEAD], registry="de-a", verify=world.verify, earliest=date.min, seen=None
    )
    world.publish(world.change(1, None), day=TUESDAY)
    _, seen = check_head(
        world.store.objects[HEAD],
        registry="de-a",
        verify=world.verify,
        earliest=date.min,
        seen=seen,
    )
    with pytest.raises(ProtocolError, match="goes back: it shows edition 1, and has shown 2"):
        check_head(monday[HEAD], registry="de-a", verify=world.verify, earliest=date.min, seen=seen)
    # A reader who comes for the first time knows what day it is.
    with pytest.raises(ProtocolError, match="wanted one of 2026-11-03 or later"):
        check_head(monday[HEAD], registry="de-a", verify=world.verify, earliest=TUESDAY, seen=None)


def test_two_editions_with_one_number_are_refused(world: World, tmp_path: Path) -> None:
    fork = World(tmp_path / "fork")
    fork.signer = world.signer
    fork.publish(fork.change(1))

    _, seen = check_head(
        world.store.objects[HEAD],
        registry="de-a",
        verify=world.verify,
        earliest=date.min,
        seen=None,
    )
    with pytest.raises(ProtocolError, match="has signed two editions with number 1"):
        check_head(
            fork.store.objects[HEAD],
            registry="de-a",
            verify=world.verify,
            earliest=date.min,
            seen=seen,
        )


@pytest.mark.parametrize("kind", KINDS)
def test_yesterdays_object_is_not_todays(world: World, kind: str) -> None:
    monday = {name: world.store.objects[name] for name in named(world, kind)}
    world.publish(world.change(1, None), day=TUESDAY)

    for name in named(world, kind):
        world.store.objects[name] = next(iter(monday.values()))

    refused(world)


def test_a_head_cut_or_altered_anywhere_is_refused(world: World) -> None:
    head = world.store.objects[HEAD]

    for length in range(len(head)):
        with pytest.raises(ProtocolError):
            check_head(
                head[:length],
                registry="de-a",
                verify=world.verify,
                earliest=date.min,
                seen=None,
            )
    for bit in range(8 * len(head)):
        with pytest.raises(ProtocolError):
            check_head(
                flipped(head, bit),
                registry="de-a",
                verify=world.verify,
                earliest=date.min,
                seen=None,
            )


def test_a_group_that_the_platform_hides_is_named_by_the_edition(world: World) -> None:
    world.publish(world.change(200, "use:odd"), day=TUESDAY)
    hidden = world.root("use:odd")
    del world.store.objects[hidden.name]

    assert {root.place.policy for root in world.edition.groups} == {
        policy(HMB),
        policy("use:odd"),
    }
    refused(world, hidden, "use:odd")


# --- the seals, without the names ----------------------------------------------------------------


def resigned(world: World, kind: str, change: Callable[[bytes], bytes]) -> Root:
    """As if the registry had signed the change: all names above are made anew."""
    old_root = world.root()
    objects = world.store.objects
    group = Group.from_bytes(objects[old_root.name])
    if kind == "block":
        shelf = objects[group.shelf]
        for name in named(world, "block"):
            content = change(objects[name])
            new = name_of("block", content)
            objects[new] = content
            shelf = shelf.replace(bytes.fromhex(name), bytes.fromhex(new))
        group = replace(group, shelf=name_of("shelf", shelf))
        objects[group.shelf] = shelf
    elif kind == "sheet":
        content = change(objects[group.sheets[0]])
        group = replace(group, sheets=(name_of("sheet", content),))
        objects[group.sheets[0]] = content
    elif kind == "header":
        group = replace(group, header=change(group.header))
    name = name_of("group", bytes(group))
    objects[name] = bytes(group)
    return replace(old_root, name=name, place=group.place)


def test_a_change_that_changes_nothing_still_opens(world: World) -> None:
    for kind in ("block", "sheet", "header"):
        root = resigned(world, kind, lambda content: content)
        assert world.open(root=root).num_rows == 100


def swapped(content: bytes, a: int, b: int, width: int) -> bytes:
    """Two fields of equal width behind the first four bytes change places."""
    fields = [content[at : at + width] for at in range(4, len(content), width)]
    fields[a], fields[b] = fields[b], fields[a]
    return content[:4] + b"".join(fields)


def test_two_records_swapped_within_a_block_do_not_open(world: World) -> None:
    refused(world, resigned(world, "block", lambda content: swapped(content, 0, 1, 512)))


def test_two_rows_swapped_do_not_open(world: World) -> None:
    refused(world, resigned(world, "sheet", lambda content: swapped(content, 0, 1, ROW_BYTES)))


def test_a_row_in_the_place_of_an_empty_one_does_not_open(world: World) -> None:
    def doubled(content: bytes) -> bytes:
        return content[:-ROW_BYTES] + content[4 : 4 + ROW_BYTES]

    root = resigned(world, "sheet", doubled)
    with pytest.raises(ProtocolError, match=REFUSAL):
        world.open(root=root)


def test_rows_of_another_edition_month_or_group_do_not_open(world: World) -> None:
    november = world.store.objects[named(world, "sheet")[0]]
    for day in (TUESDAY, DECEMBER):
        world.publish(day=day)
        refused(world, resigned(world, "sheet", lambda _: november))
    world.publish(
        Change(pseudonym=pseudonym(5), policy=policy("use:odd", day=DECEMBER), payload=None),
        day=DECEMBER.replace(day=2),
    )
    odd = Group.from_bytes(world.store.objects[world.root("use:odd").name])
    rows = world.store.objects[odd.sheets[0]]
    refused(
        world,
        resigned(world, "sheet", lambda content: rows.ljust(len(content), b"\0")[: len(content)]),
    )


def test_a_header_of_another_edition_does_not_open(world: World) -> None:
    monday = Group.from_bytes(world.store.objects[world.root().name])
    world.publish(day=TUESDAY)

    refused(world, resigned(world, "header", lambda _: monday.header))


def test_a_group_that_the_platform_makes_up_opens_no_record_of_the_registry(
    world: World,
) -> None:
    # Anybody can seal under a policy: it is the signature that says whose records these are.
    place = world.root().place
    header, _ = encapsulate(PUBLIC, parse(place.policy), context=place.context, random=os.urandom)

    refused(world, resigned(world, "header", lambda _: header))


def test_a_reader_does_not_follow_a_row_out_of_the_vault(world: World) -> None:
    # The shelf lists one block less than the rows name.
    root = world.root()
    group = Group.from_bytes(world.store.objects[root.name])
    shelf = world.store.objects[group.shelf][:-33]
    group = replace(group, shelf=name_of("shelf", shelf))
    world.store.objects[group.shelf] = shelf
    world.store.objects[name_of("group", bytes(group))] = bytes(group)

    with pytest.raises(ProtocolError, match=REFUSAL):
        world.open(root=replace(root, name=name_of("group", bytes(group))))
