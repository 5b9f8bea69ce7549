"""Noise shares at rest: they open in their place, and nowhere else."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from upcare_mpc.errors import SessionError
from upcare_mpc.mpc import field
from upcare_mpc.mpc.programs import segments as segments_module
from upcare_mpc.mpc.programs.segments import (
    SEALED_BYTES,
    Segments,
    open_segments,
    seal_segments,
)
from upcare_mpc.mpc.prss import LocalRandom
from upcare_mpc.study.draw import SEGMENT_CELLS

EPOCH = bytes(range(32))
NOISE = LocalRandom().words(3 * SEGMENT_CELLS) % np.uint64(field.PRIME)


def part(sealed: Segments, first: int, count: int) -> Segments:
    return Segments(
        keys=sealed.keys[first : first + count],
        sealed=sealed.sealed[first * SEALED_BYTES : (first + count) * SEALED_BYTES],
    )


def test_a_draw_opens_to_its_shares() -> None:
    sealed = seal_segments(NOISE, epoch=EPOCH, place=1)

    opened = open_segments(part(sealed, 1, 2), epoch=EPOCH, place=1, first=1, cells=5000)

    assert opened.tolist() == NOISE[SEGMENT_CELLS : SEGMENT_CELLS + 5000].tolist()


def test_no_share_is_in_the_sealed_bytes_or_shown() -> None:
    sealed = seal_segments(NOISE, epoch=EPOCH, place=1)

    shares = {int(share).to_bytes(8, "little") for share in NOISE}
    assert not any(sealed.sealed[i : i + 8] in shares for i in range(0, len(sealed.sealed), 8))
    assert not any(key.hex() in repr(sealed) or str(key) in repr(sealed) for key in sealed.keys)


@pytest.mark.parametrize(
    "other",
    [{"epoch": bytes(32)}, {"place": 0}, {"first": 0}, {"first": 2}],
    ids=["another-fill", "another-party", "before", "behind"],
)
def test_a_segment_does_not_open_in_another_place(other: dict[str, int | bytes]) -> None:
    sealed = seal_segments(NOISE, epoch=EPOCH, place=1)
    place = {"epoch": EPOCH, "place": 1, "first": 1, **other}

    with pytest.raises(SessionError, match="a segment of the noise bank does not open"):
        open_segments(part(sealed, 1, 1), cells=1, **place)  # type: ignore[arg-type]


@pytest.mark.parametrize("cut", [slice(1, None), slice(None, -1), slice(0, 0)])
def test_a_segment_that_was_cut_does_not_open(cut: slice) -> None:
    sealed = part(seal_segments(NOISE, epoch=EPOCH, place=1), 0, 1)

    with pytest.raises(SessionError, match="a segment of the noise bank does not open"):
        open_segments(
            Segments(keys=sealed.keys, sealed=sealed.sealed[cut]),
            epoch=EPOCH,
            place=1,
            first=0,
            cells=1,
        )


def test_keys_differ_even_where_a_cloned_machine_repeats_its_random_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(segments_module.os, "urandom", bytes)

    once = seal_segments(NOISE, epoch=EPOCH, place=1)
    again = seal_segments(NOISE, epoch=bytes(32), place=1)

    assert len({*once.keys, *again.keys}) == 6


def test_the_vectors_are_sealed_to_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = json.loads((Path(__file__).parents[1] / "vectors" / "bank.json").read_text())
    monkeypatch.setattr(segments_module.os, "urandom", lambda size: bytes(range(size)))
    shares = np.arange(2 * SEGMENT_CELLS, dtype=np.uint64)

    sealed = seal_segments(shares, epoch=bytes.fromhex(vectors["epoch"]), place=1)

    for case, key in zip(vectors["segments"], sealed.keys, strict=True):
        content = part(sealed, case["index"], 1).sealed
        assert key.hex() == case["key"]
        assert hashlib.sha256(content).hexdigest() == case["sealed"]
