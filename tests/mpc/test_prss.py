"""Pseudorandom words: the members of a set agree, others cannot know, no two calls overlap."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upcare_mpc.mpc.prss import LocalRandom, Prss, agree_key, subsets

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "prss.json").read_text())
KEY = bytes(range(32))
ASKED = {"purpose": "and", "dealer": 1, "chunk": -7, "counter": 3, "count": 5}


def prss(key: bytes = KEY, program: bytes = b"program") -> Prss:
    return Prss({(0, 1): key, (0, 2): key}, program=program)


def drawn(**changed: object) -> tuple[int, ...]:
    asked = {"subset": (0, 1), **ASKED, **changed}
    return tuple(prss().words(**asked).tolist())  # type: ignore[arg-type]


def test_the_vectors_say_what_they_are() -> None:
    assert VECTORS["version"] == 1
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

    words = streams.words(
        subset,
        case["purpose"],
        dealer=case["dealer"],
        chunk=case["chunk"],
        counter=case["counter"],
        count=len(case["words"]),
    )

    assert [f"{word:016x}" for word in words.tolist()] == case["words"]


def test_a_stream_follows_its_written_definition() -> None:
    """Recomputed here from RFC 5869 and AES-CTR, not with the module's own functions."""
    import hashlib
    import hmac

    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    info = hashlib.sha256(b"upcare/v1/prss" + b"program").digest()
    info += b"and\0\0\0\0\0" + b"\0\x01\xff\xff\xff\xff\xff\xff" + b"\0\x01"
    info += (-7).to_bytes(8, "big", signed=True) + (3).to_bytes(8, "big")
    key = hmac.digest(KEY, info + b"\x01", "sha256")[:16]
    encryptor = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()

    assert drawn() == tuple(np.frombuffer(encryptor.update(bytes(40)), "<u8").tolist())


def test_all_members_of_a_set_draw_the_same_words() -> None:
    assert prss().words((0, 1), **ASKED).tolist() == prss().words((0, 1), **ASKED).tolist()


@pytest.mark.parametrize(
    "changed",
    [
        {"subset": (0, 2)},
        {"purpose": "bit"},
        {"dealer": 0},
        {"chunk": -8},
        {"chunk": 7},
        {"counter": 4},
    ],
    ids=str,
)
def test_every_part_of_a_label_gives_another_stream(changed: dict[str, object]) -> None:
    assert not set(drawn()) & set(drawn(**changed))


def test_another_program_session_or_key_gives_another_stream() -> None:
    here = set(drawn())

    assert not here & set(prss(program=b"other").words((0, 1), **ASKED).tolist())
    assert not here & set(prss(key=bytes(32)).words((0, 1), **ASKED).tolist())


@given(st.integers(1, 400), st.integers(1, 400))
def test_a_longer_draw_starts_with_the_shorter_one(short: int, extra: int) -> None:
    longer = drawn(count=short + extra)

    assert drawn(count=short) == longer[:short]


def test_draws_longer_than_one_buffer_do_not_repeat_it() -> None:
    words = np.array(drawn(count=3 * (1 << 17) + 1), np.uint64)  # a buffer holds 2^17 words

    assert len(np.unique(words)) == len(words)


def test_asking_twice_for_one_stream_raises_even_for_another_length() -> None:
    streams = prss()
    streams.words((0, 1), **ASKED)

    with pytest.raises(AssertionError, match="twice"):
        streams.words((0, 1), **{**ASKED, "count": 9})


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
    shown = repr(prss())

    assert "(0, 1)" in shown
    assert KEY.hex()[:8] not in shown
    assert str(KEY)[:8] not in shown
