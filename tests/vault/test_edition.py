"""Groups, editions and heads have one encoding, and limits come before parsing."""

from dataclasses import replace
from datetime import date

import pytest
from vault_world import flipped

from upcare_mpc.errors import InputError, ProtocolError
from upcare_mpc.vault.edition import (
    MAX_GROUP_BYTES,
    MAX_GROUPS,
    MAX_HEAD_BYTES,
    Edition,
    Group,
    Place,
    Root,
    head_bytes,
    open_head,
)
from upcare_mpc.vault.objects import (
    SHEET_ROWS,
    block_bytes,
    block_slots,
    sheet_bytes,
    sheet_rows,
    shelf_blocks,
)

NAME = "ab" * 32
PLACE = Place(registry="de-a", epoch="2026-11", sequence=7, policy="and(epoch:2026-11,site:de-a)")
GROUP = Group(place=PLACE, header=b"header", rows=SHEET_ROWS + 64, shelf=NAME, sheets=(NAME,) * 2)


def edition(*policies: str) -> Edition:
    roots = [Root(place=replace(PLACE, policy=policy), rows=64, name=NAME) for policy in policies]
    day = date(2026, 11, 23)
    return Edition(registry="de-a", day=day, sequence=7, shelf=NAME, groups=tuple(roots))


def test_group_edition_and_head_read_back() -> None:
    some = edition("a:1", "a:2")

    assert Group.from_bytes(bytes(GROUP)) == GROUP
    assert Edition.from_bytes(bytes(some)) == some
    assert open_head(head_bytes(some, b"signature")) == (bytes(some), b"signature")
    assert Edition.from_bytes(bytes(edition())) == edition()


@pytest.mark.parametrize("whole", [bytes(GROUP), bytes(edition("a:1", "a:2"))], ids=["UVG", "UVE"])
def test_a_cut_or_longer_object_is_refused(whole: bytes) -> None:
    read = Group.from_bytes if whole.startswith(b"UVG1") else Edition.from_bytes

    for length in range(len(whole)):
        with pytest.raises(ProtocolError):
            read(whole[:length])
    with pytest.raises(ProtocolError, match="behind its end"):
        read(whole + b"\0")


@pytest.mark.parametrize("whole", [bytes(GROUP), bytes(edition("a:1", "a:2"))], ids=["UVG", "UVE"])
def test_any_flipped_bit_is_refused_or_reads_as_something_else(whole: bytes) -> None:
    read = Group.from_bytes if whole.startswith(b"UVG1") else Edition.from_bytes
    original = read(whole)

    for bit in range(8 * len(whole)):
        try:
            other = read(flipped(whole, bit))
        except ProtocolError:
            continue
        assert other != original
        assert bytes(other) == flipped(whole, bit)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"UVE1", b"UVE2"),
        (b"de-a", b"de_a"),
        (b"2026-11-23", b"2026-11-31"),
        (b"2026-11-23", b"2026-W47-1"),
        (b"2026-11-23", b"1926-11-23"),
        (b"a:2", b"a:1"),
        (b"a:2", b"A:2"),
        (b"a:1", b"a\xff1"),
        (b"\0\0\0\x04de-a", b"\xff\xff\xff\xffde-a"),
    ],
)
def test_an_edition_written_another_way_is_refused(old: bytes, new: bytes) -> None:
    whole = bytes(edition("a:1", "a:2"))
    assert old in whole

    with pytest.raises(ProtocolError):
        Edition.from_bytes(whole.replace(old, new))


@pytest.mark.parametrize("rows", [0, 2**24 + 1, 2**32 - 1])
def test_a_group_with_too_few_or_too_many_rows_is_refused(rows: int) -> None:
    with pytest.raises(ProtocolError, match="at least one row"):
        Group.from_bytes(bytes(replace(GROUP, rows=rows)))


def test_what_is_too_long_is_refused_unread() -> None:
    with pytest.raises(ProtocolError, match="too long"):
        Group.from_bytes(bytes(GROUP) + bytes(MAX_GROUP_BYTES))
    with pytest.raises(ProtocolError, match="too long"):
        open_head(b"UVH1" + bytes(MAX_HEAD_BYTES))


def test_too_many_groups_are_refused_on_both_sides() -> None:
    many = edition(*(f"a:{n:05}" for n in range(MAX_GROUPS + 1)))

    with pytest.raises(InputError, match="at most 4096 policies"):
        head_bytes(many, b"")
    with pytest.raises(ProtocolError, match="too many groups"):
        Edition.from_bytes(bytes(many))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"UVL1" + bytes(32),
        b"UVL2" + b"\x09" + bytes(32),
        b"UVL1" + b"\x08" + bytes(32),
        b"UVL1\x11" + bytes(32),
    ],
)
def test_a_shelf_with_other_than_whole_blocks_is_refused(content: bytes) -> None:
    with pytest.raises(ProtocolError):
        shelf_blocks(content)


def test_blocks_and_sheets_have_the_length_that_is_said_elsewhere() -> None:
    block, sheet = block_bytes([bytes(512)] * 64), sheet_bytes(bytes(72 * 64))

    assert len(block_slots(block, size=9)) == 64 * 512
    assert len(sheet_rows(sheet, rows=64)) == 64 * 72
    for bad in (block[:-1], block + b"\0", b"UVB2" + block[4:]):
        with pytest.raises(ProtocolError):
            block_slots(bad, size=9)
    for bad in (sheet[:-1], sheet + b"\0", b"UVS2" + sheet[4:]):
        with pytest.raises(ProtocolError):
            sheet_rows(bad, rows=64)
    with pytest.raises(ProtocolError):
        block_slots(block, size=10)
