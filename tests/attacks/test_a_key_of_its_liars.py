"""Story: holders who wait for the others' shares of a key, and then make it their own.

A key for deposits is opened from shares of degree t. Whoever recombines t + 1 of them and looks at
nothing else lets t liars, who send last, choose what comes out: a key whose secret they have. All
sign it, because all have the same.

Adversary: up to t of h >= 2t + 1 holders, who deviate and send after they have seen all frames.
"""

import itertools
import os
from operator import mul

import pytest
from holders import dealt_key, shamir

from upcare_mpc.errors import ProtocolError
from upcare_mpc.he import ring
from upcare_mpc.he.parameters import Q
from upcare_mpc.he.scheme import (
    KeyShare,
    PublicKey,
    encrypt,
    lagrange,
    partial,
    round_to_plaintext,
)
from upcare_mpc.mpc.programs.deposit_key import recombined

COMMITTEES = [(3, 1), (5, 2), (7, 3)]
TABLE = [3, 1, 4, 1, 5]


def opened_from_few(frames: list[bytes], *, degree: int) -> list[int]:
    """The unprotected variant: the first t + 1 shares, and no look at the others."""
    weights = lagrange(range(1, degree + 2))
    shares = [ring.from_bytes(frame) for frame in frames[: degree + 1]]
    return [sum(map(mul, weights, column)) % Q for column in zip(*shares, strict=True)]


def steered(frames: list[bytes], liars: tuple[int, ...], wanted: tuple[int, ...]) -> list[bytes]:
    """The frames, with the liars' such that all opens to ``wanted`` from the first t + 1."""
    degree = len(liars)
    honest = [place for place in range(len(frames)) if place not in liars]
    points = [0, *(place + 1 for place in honest[:degree])]
    known = [wanted, *(ring.from_bytes(frames[place]) for place in honest[:degree])]
    lied = list(frames)
    for liar in liars:
        weights = lagrange(points, at=liar + 1)
        lied[liar] = ring.to_bytes(
            [sum(map(mul, weights, column)) % Q for column in zip(*known, strict=True)]
        )
    return lied


@pytest.mark.parametrize(("holders", "degree"), COMMITTEES)
def test_liars_read_what_is_encrypted_to_an_unchecked_key(holders: int, degree: int) -> None:
    public, _ = dealt_key(holders, degree)
    rogue, (secret,) = dealt_key(1, 0)
    frames = [ring.to_bytes(share) for share in shamir(public.b, holders, degree)]
    lied = steered(frames, tuple(range(degree)), rogue.b)

    signed_by_all = PublicKey(seed=rogue.seed, b=tuple(opened_from_few(lied, degree=degree)))
    ciphertext = encrypt(signed_by_all, TABLE, os.urandom).ciphertext
    read = round_to_plaintext(partial(ciphertext, KeyShare.of(secret, 1), with_c0=True))

    assert read == TABLE


@pytest.mark.parametrize(("holders", "degree"), COMMITTEES)
def test_whoever_lies_the_dealing_ends(holders: int, degree: int) -> None:
    public, _ = dealt_key(holders, degree)
    rogue, _ = dealt_key(1, 0)
    frames = [ring.to_bytes(share) for share in shamir(public.b, holders, degree)]

    assert recombined(frames, degree=degree) == list(public.b)
    for liars in itertools.combinations(range(holders), degree):
        with pytest.raises(ProtocolError, match="do not belong together"):
            recombined(steered(frames, liars, rogue.b), degree=degree)


@pytest.mark.parametrize("frame", [b"", bytes(22), b"\xff" * 22])
def test_what_is_no_share_is_named(frame: bytes) -> None:
    public, _ = dealt_key(3, 1)
    frames = [ring.to_bytes(share) for share in shamir(public.b, 3, 1)]
    frames[1] = frame + frames[1][len(frame) :] if frame[:1] == b"\xff" else frame

    with pytest.raises(ProtocolError, match="holder 1 sent no share of a key"):
        recombined(frames, degree=1)
