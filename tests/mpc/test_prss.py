"""Pseudorandom words: the members of a set agree, others cannot know, no two streams overlap."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upcare_mpc.mpc.prss import LocalRandom, Prss, Stream, agree_key, subsets

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "prss.json").read_text())
KEY = bytes(range(32))
ASKED = {"purpose": "and", "dealer": 1, "chunk": -7}


def prss(key: bytes = KEY, program: bytes = b"program") -> Prss:
    return Prss({(0, 1): key, (0, 2): key}, program=program)


def stream(streams: Prss | None = None, **changed: object) -> Stream:
    asked = {"subset": (0, 1), **ASKED, **changed}
    return (streams or prss()).stream(**asked)  # type: ignore[arg-type]


def drawn(count: int = 5, **changed: object) -> tuple[int, ...]:
    return tuple(stream(**changed).words(count).tolist())


def test_the_vectors_say_what_they_are() -> None:
    assert VECTORS["version"] == 2
    assert "HKDF" in VECTORS["about"]


@pytest.mark.parametrize("case", VECTORS["keys"], ids=lambda case: case["name"])
def test_agreed_keys_match_the_vectors(case: dict[str, object]) -> None:
    contributions = {int(k): bytes.fromhex(v) for k, v in case["contributions"].items()}

    key = agree_key(
        contributions, tuple(case["subset"]), transcript=bytes.fromhex(case["transcript"])
    )

    assert key.hex() == case["key"]


@pytest.mark.parametrize("case", VECTORS["streams"], ids=lambda case: case["name"])
def test_streams_match_the_vectors(case: dict[str, object]) -> None:
    subset = tuple(case["subset"])
    streams = Prss({subset: bytes.fromhex(case["key"])}, program=bytes.fromhex(case["program"]))

    found = streams.stream(
        subset, case["purpose"], dealer=case["dealer"], chunk=case["chunk"]
    ).words(len(case["words"]))

    assert [f"{word:016x}" for word in found.tolist()] == case["words"]


def test_a_stream_follows_its_written_definition() -> None:
    """Recomputed here from RFC 5869 and AES-CTR, not with the module's own functions."""
    import hashlib
    import hmac

    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    info = hashlib.sha256(b"upcare/v1/prss" + b"program").digest()
    info += b"and\0\0\0\0\0" + b"\0\x01\xff\xff\xff\xff\xff\xff" + b"\0\x01"
    info += (-7).to_bytes(8, "big", signed=True)
    key = hmac.digest(KEY, info + b"\x01", "sha256")[:16]
    encryptor = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()

    assert drawn() == tuple(np.frombuffer(encryptor.update(bytes(40)), "<u8").tolist())


def test_all_members_of_a_set_draw_the_same_words() -> None:
    assert stream(prss()).words(9).tolist() == stream(prss()).words(9).tolist()


@pytest.mark.parametrize(
    "changed",
    [
        {"subset": (0, 2)},
        {"purpose": "bit"},
        {"dealer": 0},
        {"chunk": -8},
        {"chunk": 7},
    ],
    ids=str,
)
def test_every_part_of_a_label_gives_another_stream(changed: dict[str, object]) -> None:
    assert not set(drawn()) & set(drawn(**changed))


def test_another_program_session_or_key_gives_another_stream() -> None:
    here = set(drawn())

    assert not here & set(stream(prss(program=b"other")).words(5).tolist())
    assert not here & set(stream(prss(key=bytes(32))).words(5).tolist())


@settings(deadline=None)
@given(st.lists(st.integers(0, 9000), max_size=6))
def test_a_stream_is_read_on_in_pieces_of_any_length(lengths: list[int]) -> None:
    """Of 16-byte AES blocks and of the 8192 words that are encrypted at once, too."""
    pieces = stream()
    joined = [word for length in lengths for word in pieces.words(length).tolist()]

    assert tuple(joined) == drawn(count=sum(lengths))


def test_draws_longer_than_one_buffer_do_not_repeat_it() -> None:
    words = np.array(drawn(count=5 * (1 << 13) + 1), np.uint64)  # a buffer holds 2^13 words

    assert len(np.unique(words)) == len(words)


@pytest.mark.parametrize("shape", [(7,), (3, 5), (2, 1, 9), (0,), (4, 0)], ids=str)
def test_an_array_of_any_shape_is_filled_in_order(shape: tuple[int, ...]) -> None:
    out = np.zeros(shape, np.uint64)

    stream().fill(out)

    assert tuple(out.reshape(-1).tolist()) == drawn(count=out.size)


def test_rows_of_a_larger_array_are_filled_where_they_are() -> None:
    bits = np.zeros((3, 4, 5), np.uint64)

    stream().fill(bits[1])

    assert tuple(bits[1].reshape(-1).tolist()) == drawn(count=20)
    assert not bits[[0, 2]].any()


@pytest.mark.parametrize("part", [np.s_[:, :2], np.s_[:, ::2], np.s_[::2], np.s_[:, 0]], ids=str)
def test_an_array_with_gaps_is_not_filled_by_a_copy_of_it(part: object) -> None:
    """A copy would take the words, and what the caller holds would stay as it was: zeros."""
    out = np.zeros((4, 4), np.uint64)[part]  # type: ignore[index]

    with pytest.raises((TypeError, ValueError)):
        stream().fill(out)


def test_asking_twice_for_one_stream_raises() -> None:
    streams = prss()
    stream(streams)

    with pytest.raises(AssertionError, match="twice"):
        stream(streams)
    stream(streams, dealer=2)


def test_a_set_that_a_party_is_not_in_has_no_stream() -> None:
    with pytest.raises(KeyError):
        stream(subset=(1, 2))


def test_mpycs_key_is_none_of_our_streams() -> None:
    streams = Prss({(0, 1): KEY, (0, 2): bytes(32)}, program=b"program")

    assert len(streams.subkey((0, 1))) == 16
    assert streams.subkey((0, 1)) not in {KEY[:16], streams.subkey((0, 2))}
    assert streams.subkey((0, 1)) == prss().subkey((0, 1))


def test_a_key_depends_on_every_contribution_the_set_and_the_transcript() -> None:
    parts = {0: bytes([1] * 32), 1: bytes([2] * 32), 2: bytes([3] * 32)}
    base = agree_key(parts, (0, 1), transcript=bytes(32))

    others = [
        agree_key({**parts, 0: bytes(32)}, (0, 1), transcript=bytes(32)),
        agree_key({**parts, 1: bytes(32)}, (0, 1), transcript=bytes(32)),
        agree_key({**parts, 2: parts[1]}, (0, 2), transcript=bytes(32)),
        agree_key({0: parts[1], 1: parts[0]}, (0, 1), transcript=bytes(32)),
        agree_key(parts, (0, 1), transcript=bytes([1] * 32)),
    ]

    assert len({base, *others}) == 6


@pytest.mark.parametrize(("m", "t", "count"), [(3, 1, 3), (5, 2, 10), (7, 3, 35)])
def test_every_coalition_of_t_misses_exactly_one_set(m: int, t: int, count: int) -> None:
    import itertools

    assert len(subsets(m, t)) == count
    for coalition in itertools.combinations(range(m), t):
        missed = [s for s in subsets(m, t) if not {*s} & {*coalition}]
        assert missed == [tuple(sorted({*range(m)} - {*coalition}))]


def test_local_words_are_fresh_on_every_call() -> None:
    local = LocalRandom()

    assert not set(local.words(100).tolist()) & set(local.words(100).tolist())


def test_no_key_is_shown_by_repr() -> None:
    shown = repr(prss()) + repr(stream())

    assert "(0, 1)" in shown
    assert KEY.hex()[:8] not in shown
    assert str(KEY)[:8] not in shown
