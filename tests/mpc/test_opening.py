"""Sealed output shares open for one session, sender, place and length, and only together."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from upcare_mpc.errors import OpeningError, ProtocolError
from upcare_mpc.mpc import field, opening
from upcare_mpc.mpc.field import Words
from upcare_mpc.mpc.opening import Passing
from upcare_mpc.mpc.prss import LocalRandom

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "opening.json").read_text())
KEY = X25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
PUBLIC = KEY.public_key().public_bytes_raw()
SESSION = bytes(range(32))
BOUND = {"session": SESSION, "sender": "de-a", "index": 0}


def sealed(values: tuple[int, ...] = (1, 2, 3)) -> bytes:
    return opening.seal_share(np.array(values, np.uint64), PUBLIC, **BOUND)


def shares_of(integers: list[int], m: int = 3, t: int = 1) -> dict[int, Words]:
    shares = field.share(
        field.encode(np.array(integers, np.int64)),
        parties=m,
        threshold=t,
        random=LocalRandom().words,
    )
    return dict(enumerate(shares))


def parameters(case: dict[str, object]) -> dict[str, object]:
    return {
        "session": bytes.fromhex(str(case["session"])),
        "sender": case["sender"],
        "index": case["index"],
        "cells": case["cells"],
    }


@pytest.mark.parametrize("case", VECTORS["good"], ids=lambda case: case["name"])
def test_sealed_shares_of_the_vectors_open(case: dict[str, object]) -> None:
    key = X25519PrivateKey.from_private_bytes(bytes.fromhex(VECTORS["private_key"]))

    share = opening.unseal_share(bytes.fromhex(case["sealed"]), key, **parameters(case))

    assert share.tolist() == case["share"]


@pytest.mark.parametrize("case", VECTORS["bad"], ids=lambda case: case["name"])
def test_bad_vectors_fail_with_one_text(case: dict[str, object]) -> None:
    with pytest.raises(OpeningError) as caught:
        opening.unseal_share(bytes.fromhex(case["sealed"]), KEY, **parameters(case))

    assert str(caught.value) == "the sealed share of de-a does not open"


@given(st.lists(st.integers(0, field.PRIME - 1), min_size=1, max_size=20))
def test_a_sealed_share_opens_to_itself_and_has_the_stated_length(values: list[int]) -> None:
    ciphertext = sealed(tuple(values))

    assert len(ciphertext) == 8 * len(values) + 49
    opened = opening.unseal_share(ciphertext, KEY, **BOUND, cells=len(values))
    assert opened.tolist() == values


def test_sealing_twice_gives_different_bytes() -> None:
    assert sealed() != sealed()


@pytest.mark.parametrize(
    "changed",
    [
        {"session": bytes(32)},
        {"sender": "de-b"},
        {"sender": "de-a|0"},
        {"index": 1},
        {"cells": 2},
        {"cells": 4},
    ],
    ids=str,
)
def test_a_share_moved_elsewhere_does_not_open(changed: dict[str, object]) -> None:
    with pytest.raises(OpeningError, match="does not open"):
        opening.unseal_share(sealed(), KEY, **{**BOUND, "cells": 3, **changed})


def test_another_researcher_cannot_open() -> None:
    with pytest.raises(OpeningError, match="does not open"):
        opening.unseal_share(sealed(), X25519PrivateKey.generate(), **BOUND, cells=3)


def test_an_altered_byte_anywhere_is_noticed() -> None:
    good = sealed((7,))
    for place in range(len(good)):
        altered = bytearray(good)
        altered[place] ^= 0x01

        with pytest.raises(OpeningError):
            opening.unseal_share(bytes(altered), KEY, **BOUND, cells=1)


def test_a_sealed_element_outside_the_field_is_refused() -> None:
    with pytest.raises(ProtocolError, match="below 2\\^61 - 1"):
        opening.unseal_share(sealed((field.PRIME,)), KEY, **BOUND, cells=1)


@pytest.mark.parametrize(
    "recipient", [bytes(32), (1).to_bytes(32, "little"), bytes(31), b""], ids=len
)
def test_a_sealing_key_that_is_none_is_refused_in_words(recipient: bytes) -> None:
    """A point of small order would make the shared secret known to everybody."""
    with pytest.raises(ProtocolError, match="not a usable X25519 key"):
        opening.seal_share(np.zeros(1, np.uint64), recipient, **BOUND)


def test_every_field_enters_the_output_statement() -> None:
    base = (SESSION, 1, bytes(32), b"sealed")
    changed = [
        (bytes(32), 1, bytes(32), b"sealed"),
        (SESSION, 2, bytes(32), b"sealed"),
        (SESSION, 1, bytes([1] * 32), b"sealed"),
        (SESSION, 1, bytes(32), b"sealeD"),
    ]

    assert len({opening.output_statement(*fields) for fields in (base, *changed)}) == 5


# -- recombining ------------------------------------------------------------------------------


@pytest.mark.parametrize(("m", "t"), [(3, 1), (5, 2), (7, 3)])
def test_all_shares_open_the_signed_vector_and_are_checked(m: int, t: int) -> None:
    result = opening.open_result(shares_of([-5, 0, 17], m, t), parties=m, threshold=t)

    assert result.noisy.tolist() == [-5, 0, 17]
    assert (result.shares, result.checked) == (m, True)


@pytest.mark.parametrize(("m", "t"), [(3, 1), (5, 2), (7, 3)])
def test_t_plus_one_shares_open_and_are_labelled_unchecked(m: int, t: int) -> None:
    shares = shares_of([4, -9], m, t)
    for members in itertools.combinations(range(m), t + 1):
        result = opening.open_result({i: shares[i] for i in members}, parties=m, threshold=t)

        assert result.noisy.tolist() == [4, -9]
        assert (result.shares, result.checked) == (t + 1, False)


@pytest.mark.parametrize("present", [0, 1])
def test_fewer_shares_are_refused(present: int) -> None:
    shares = shares_of([4])

    with pytest.raises(OpeningError, match="needs 2 shares"):
        opening.open_result({i: shares[i] for i in range(present)}, parties=3, threshold=1)


def test_a_tampered_share_rejects_the_result_and_names_nobody() -> None:
    shares = shares_of([4, 5])
    shares[1] = field.add(shares[1], np.array([0, 1], np.uint64))

    with pytest.raises(OpeningError) as caught:
        opening.open_result(shares, parties=3, threshold=1)

    assert "do not belong together" in str(caught.value)
    assert not any(digit in str(caught.value) for digit in "0123456789")


def test_swapped_shares_are_rejected() -> None:
    shares = shares_of([4, 5])
    shares[0], shares[1] = shares[1], shares[0]

    with pytest.raises(OpeningError):
        opening.open_result(shares, parties=3, threshold=1)


def test_shares_of_two_sessions_do_not_mix() -> None:
    mixed = {**shares_of([4, 5]), 2: shares_of([4, 5])[2]}

    with pytest.raises(OpeningError):
        opening.open_result(mixed, parties=3, threshold=1)


@pytest.mark.parametrize("index", [-1, 3])
def test_a_share_from_outside_the_committee_is_refused(index: int) -> None:
    shares = shares_of([4])

    with pytest.raises(OpeningError, match="outside the committee"):
        opening.open_result({**shares, index: shares[0]}, parties=3, threshold=1)


def test_shares_of_different_lengths_are_rejected_even_unchecked() -> None:
    shares = shares_of([4, 5, 6])

    with pytest.raises(OpeningError, match="different lengths"):
        opening.open_result({0: shares[0], 1: shares[1][:1]}, parties=3, threshold=1)


# -- with a rule about what is shown --------------------------------------------------------------


def passing_of(*shown: bool, cohort_met: bool = True) -> Passing:
    return Passing(cohort_met=cohort_met, shown=np.array(shown))


def sealed_passing(passing: Passing, values: tuple[int, ...] = (7, 8, 9)) -> bytes:
    return opening.seal_share(np.array(values, np.uint64), PUBLIC, **BOUND, passing=passing)


def test_what_is_not_shown_is_not_in_the_sealed_share() -> None:
    passing = passing_of(True, False, True)

    got, share = opening.unseal_passing(sealed_passing(passing), KEY, **BOUND, cells=3)

    assert share.tolist() == [7, 0, 9]
    assert got.to_bytes() == passing.to_bytes() == bytes([1, 0b101])


def test_the_size_does_not_tell_how_much_is_shown() -> None:
    sizes = {
        len(sealed_passing(passing))
        for passing in (
            passing_of(True, True, True),
            passing_of(False, False, False),
            passing_of(False, False, False, cohort_met=False),
        )
    }

    assert sizes == {8 * 3 + 49 + 1 + 1}


def test_a_share_with_a_rule_does_not_open_as_one_without_nor_the_other_way() -> None:
    with pytest.raises(OpeningError, match="does not open"):
        opening.unseal_share(sealed_passing(passing_of(True, True, True)), KEY, **BOUND, cells=3)
    with pytest.raises(OpeningError, match="does not open"):
        opening.unseal_passing(sealed(), KEY, **BOUND, cells=3)


def sealed_by_hand(payload: bytes) -> bytes:
    info = opening._info(**BOUND, cells=3, rule=True)
    key = KEY.public_key()
    return opening._VERSION + opening._SUITE.encrypt(payload, key, info=info)


@pytest.mark.parametrize(
    "header",
    [bytes([2, 0b101]), bytes([1, 0b1101]), bytes([0, 0b001]), bytes([1])],
    ids=["no truth value", "padding", "cells without a cohort", "short"],
)
def test_a_header_that_is_not_canonical_is_refused(header: bytes) -> None:
    payload = header + field.to_bytes(np.array([7, 0, 9], np.uint64))

    with pytest.raises(ProtocolError):
        opening.unseal_passing(sealed_by_hand(payload), KEY, **BOUND, cells=3)


def test_a_share_of_a_cell_that_is_not_shown_is_refused() -> None:
    payload = bytes([1, 0b101]) + field.to_bytes(np.array([7, 8, 9], np.uint64))

    with pytest.raises(OpeningError, match="says are not shown"):
        opening.unseal_passing(sealed_by_hand(payload), KEY, **BOUND, cells=3)


def outputs_of(passing: Passing, integers: list[int]) -> dict[int, tuple[Passing, Words]]:
    shares = shares_of(integers)
    return {index: (passing, share * passing.shown) for index, share in shares.items()}


def test_shown_cells_recombine_and_the_others_are_nothing() -> None:
    passing = passing_of(True, False, True)

    opened = opening.open_passing(outputs_of(passing, [12, 3, -4]), parties=3, threshold=1)

    assert opened.noisy.tolist() == [12, None, -4]
    assert opened.passing is not None
    assert opened.passing.to_bytes() == passing.to_bytes()
    assert opened.checked


def test_parties_that_show_different_cells_reject_the_result() -> None:
    outputs = outputs_of(passing_of(True, False, True), [12, 3, -4])
    outputs[2] = outputs_of(passing_of(True, False, False), [12, 3, -4])[2]

    with pytest.raises(OpeningError, match="do not show the same cells"):
        opening.open_passing(outputs, parties=3, threshold=1)


def test_no_outputs_are_too_few() -> None:
    with pytest.raises(OpeningError, match="needs 2 shares, got 0"):
        opening.open_passing({}, parties=3, threshold=1)


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_what_is_shown_survives_encoding(shown: list[bool]) -> None:
    passing = passing_of(*shown)

    decoded = Passing.from_bytes(passing.to_bytes(), cells=len(shown))

    assert decoded.shown.tolist() == shown
