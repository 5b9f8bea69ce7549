"""How large errors are: a plaintext that comes out right says nothing about them.

Given key error E and secret s, an error is ``E u + e_0 + s e_1``: each coefficient has mean 0 and
variance ``|E|^2 2/3 + 10.5 + |s|^2 10.5``, and errors of a sum add up as independent ones do. The
sample variance over N coefficients has a relative deviation of about ``sqrt(4 / N)`` = 2.2 %, as
neighbours are weakly correlated; bounds are ten of those away, for which no chance is left.
"""

import os

import numpy as np
import pytest
from joint import Joint

from upcare_mpc.he import scheme
from upcare_mpc.he.parameters import ERROR_BOUND, N, fresh_error
from upcare_mpc.he.sampling import Integers, Random, binomial
from upcare_mpc.he.scheme import Sum, encrypt

TEN_DEVIATIONS = 10 * (4 / N) ** 0.5


def variance(joint: Joint) -> float:
    """Of one coefficient of the error of one ciphertext."""
    error, secret = (float((x * x).sum()) for x in (joint.error, joint.secret))
    return error * 2 / 3 + (1 + secret) * ERROR_BOUND / 2


def errors(joint: Joint, deposits: int) -> Integers:
    """Of a sum of that many ciphertexts."""
    total, cells = Sum(N), np.arange(N)
    for _ in range(deposits):
        total.add(encrypt(joint.public, cells, os.urandom).ciphertext)
    return joint.errors(total.ciphertext())


def grow_as_stated(joint: Joint, found: Integers, deposits: int) -> bool:
    ratio = float((found * found).mean()) / (deposits * variance(joint))
    return (
        abs(ratio - 1) < TEN_DEVIATIONS
        and float(np.abs(found).max()) < 8 * (deposits * variance(joint)) ** 0.5
    )


@pytest.mark.parametrize("deposits", [1, 100, pytest.param(1000, marks=pytest.mark.statistical)])
def test_errors_grow_with_the_root_of_the_deposits(joint: Joint, deposits: int) -> None:
    found = errors(joint, deposits)

    assert grow_as_stated(joint, found, deposits)
    assert int(np.abs(found).max()) <= deposits * (fresh_error(3) + 1)


def wraps(random: Random) -> Integers:
    """Unsigned octets: a difference below 0 comes out near 256, and cells still decrypt."""
    return binomial(random) % 256


def narrow(random: Random) -> Integers:
    """Half as wide."""
    return binomial(random) // 2


def coarse(random: Random) -> Integers:
    """What a detour over floats leaves of large numbers: the plaintext, and errors of 2^40."""
    return binomial(random) << 40


@pytest.mark.parametrize("sampler", [wraps, narrow, coarse])
def test_errors_of_another_size_are_seen_where_cells_are_still_right(
    joint: Joint, monkeypatch: pytest.MonkeyPatch, sampler: object
) -> None:
    monkeypatch.setattr(scheme, "binomial", sampler)
    one = encrypt(joint.public, np.arange(N), os.urandom).ciphertext

    assert joint.decrypt(one) == list(range(N))
    assert not grow_as_stated(joint, joint.errors(one), 1)


def floats(random: Random) -> Integers:
    """``int64 - uint64`` is a float64: what is added to it has 53 bits from then on."""
    return binomial(random) - np.zeros(N, np.uint64)  # type: ignore[return-value]


def test_a_float_gets_into_no_ciphertext(joint: Joint, monkeypatch: pytest.MonkeyPatch) -> None:
    assert floats(os.urandom).dtype == np.float64
    monkeypatch.setattr(scheme, "binomial", floats)

    with pytest.raises(TypeError, match=r"Cannot cast ufunc 'add' output from dtype\('float64'\)"):
        encrypt(joint.public, np.arange(N), os.urandom)
