"""Slots and rows open as what they were sealed as, and as nothing else."""

import os

import numpy as np
import pytest
from vault_world import flipped

from upcare_mpc.errors import ProtocolError
from upcare_mpc.vault.sealing import ROW, ROW_BYTES, open_rows, open_slot, seal_rows, seal_slot

ID, KEY, PLACE = bytes(range(16)), bytes(range(32)), bytes(range(32, 64))
AS = {"registry": "de-a", "identity": ID, "version": 3, "key": KEY}


def some_rows(count: int) -> np.ndarray:
    return np.frombuffer(os.urandom(count * ROW.itemsize), ROW)


@pytest.mark.parametrize("length", [1, 495, 496])
def test_a_slot_has_its_size_whatever_is_in_it(length: int) -> None:
    sealed = seal_slot(b"x" * length, size=9, **AS)

    assert len(sealed) == 512
    assert open_slot(sealed, **AS) == b"x" * length


@pytest.mark.parametrize(
    "other",
    [
        {"registry": "de-b"},
        {"identity": ID[::-1]},
        {"identity": ID[:12] + bytes(4)},
        {"version": 4},
        {"key": KEY[::-1]},
        {"registry": "de-a|" + "\0", "identity": ID},
    ],
)
def test_a_slot_of_another_record_does_not_open(other: dict[str, object]) -> None:
    sealed = seal_slot(b"payload", size=9, **AS)

    with pytest.raises(ProtocolError, match="a slot does not open"):
        open_slot(sealed, **{**AS, **other})


def test_every_flipped_bit_closes_a_slot_and_a_row() -> None:
    slot = seal_slot(b"payload", size=9, **AS)
    rows = seal_rows(some_rows(1), wrapping_key=KEY, place=PLACE)

    for bit in range(0, 8 * len(slot), 11):
        with pytest.raises(ProtocolError):
            open_slot(flipped(slot, bit), **AS)
    for bit in range(8 * len(rows)):
        with pytest.raises(ProtocolError):
            open_rows(flipped(rows, bit), wrapping_key=KEY, place=PLACE, first=0)


def test_rows_open_in_parts_under_their_numbers() -> None:
    rows = some_rows(10)
    sealed = seal_rows(rows, wrapping_key=KEY, place=PLACE, first=100)

    assert len(sealed) == 10 * ROW_BYTES == 720
    part = open_rows(sealed[3 * 72 : 5 * 72], wrapping_key=KEY, place=PLACE, first=103)
    assert (part == rows[3:5]).all()
    with pytest.raises(ProtocolError, match="a row does not open"):
        open_rows(sealed[3 * 72 : 5 * 72], wrapping_key=KEY, place=PLACE, first=104)
    with pytest.raises(ProtocolError):
        open_rows(sealed, wrapping_key=KEY, place=PLACE[::-1], first=100)
    with pytest.raises(ProtocolError):
        open_rows(sealed, wrapping_key=KEY[::-1], place=PLACE, first=100)


def test_equal_rows_are_sealed_to_different_bytes() -> None:
    sealed = seal_rows(np.zeros(2, ROW), wrapping_key=KEY, place=PLACE)

    assert sealed[:72] != sealed[72:]


def test_what_is_sealed_beside_the_payload_is_less_than_100_bytes_a_record() -> None:
    assert ROW_BYTES + 16 == 88
