"""Draws of joint noise for tests: by a real committee, and by parties in memory.

A real one consists of worker processes with gRPC, TLS, sealing and opening, as in
``upcare bench noise --out``. What it draws is drawn once for all tests of a process.
"""

import asyncio
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import Any

from laws import Sample

from upcare_mpc.cli.committee import rehearse
from upcare_mpc.mpc import field
from upcare_mpc.mpc.engine import Engine
from upcare_mpc.mpc.field import Words
from upcare_mpc.mpc.noise import Law, noise_shares
from upcare_mpc.privacy.gaussian import sample_gaussian
from upcare_mpc.privacy.laplace import sample_law
from upcare_mpc.study.layout import Sensitivity

__all__ = [
    "MILLION",
    "QUARTER",
    "Together",
    "gaussian_law",
    "laplace_law",
    "noise_of",
    "opened",
    "shares_in_memory",
]

Together = Callable[..., list[Any]]  # the fixture ``together``

MILLION = 1 << 20  # cells of the largest release, a little more than 10^6
QUARTER = 1 << 18

_ONE = Sensitivity(d0=1, d1=1, dinf=1)


@cache
def laplace_law(scale: Fraction) -> Law:
    """The law that one cell of discrete Laplace noise has in a release."""
    return sample_law(scale, _ONE)


@cache
def gaussian_law(sigma: Fraction) -> Law:
    """The law that one cell of discrete Gaussian noise has in a release."""
    return sample_gaussian(sigma**2, _ONE)


@cache
def noise_of(law: Law, *, cells: int = MILLION, parties: int = 3, session: int = 0) -> Sample:
    """The opened noise of one session; another number is another session."""
    return asyncio.run(rehearse(law, cells, parties=parties)).noise


def shares_in_memory(
    together: Together, law: Law, *, cells: int = QUARTER, parties: int = 3, batches: int = 1
) -> list[list[Words]]:
    """Every party's shares of ``batches`` batches, drawn one after the other in one session."""
    threshold = (parties - 1) // 2

    async def work(engine: Engine) -> list[Words]:
        return [
            await noise_shares(engine.lane(), law, cells, random=engine.local_random.words)
            for _ in range(batches)
        ]

    return [list(shares) for shares in zip(*together(parties, threshold, work), strict=True)]


def opened(shares: list[Words]) -> Sample:
    """The values that the shares of all parties stand for."""
    threshold = (len(shares) - 1) // 2
    return field.decode(field.open_shares(dict(enumerate(shares)), threshold=threshold))
