"""Association of an exposure with an outcome, from individual patients, in the clear.

Sources: Woolf 1955; Mantel and Haenszel 1959; Robins, Breslow and Greenland 1986; Greenland and
Robins 1985. As in ``mantelhaen.test`` of R without the correction for continuity.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import exp, fsum, log, sqrt

__all__ = ["Interval", "chi_square", "mantel_haenszel", "odds_ratio", "risk_ratio"]

_Z = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % interval."""

    value: float
    low: float
    high: float


def _around(value: float, variance_of_log: float) -> Interval:
    factor = exp(_Z * sqrt(variance_of_log))
    return Interval(value, value / factor, value * factor)


def _fourfold(exposed: Sequence[bool], outcome: Sequence[bool]) -> tuple[int, int, int, int]:
    pairs = list(zip(exposed, outcome, strict=True))
    return (
        pairs.count((True, True)),
        pairs.count((True, False)),
        pairs.count((False, True)),
        pairs.count((False, False)),
    )


def odds_ratio(exposed: Sequence[bool], outcome: Sequence[bool]) -> Interval:
    """The crude odds ratio, with Woolf's interval."""
    a, b, c, d = _fourfold(exposed, outcome)
    return _around(a * d / (b * c), 1 / a + 1 / b + 1 / c + 1 / d)


def risk_ratio(exposed: Sequence[bool], outcome: Sequence[bool]) -> Interval:
    """The crude risk ratio."""
    a, b, c, d = _fourfold(exposed, outcome)
    variance = 1 / a - 1 / (a + b) + 1 / c - 1 / (c + d)
    return _around(a / (a + b) / (c / (c + d)), variance)


def mantel_haenszel(
    exposed: Sequence[bool], outcome: Sequence[bool], stratum: Sequence[Hashable]
) -> tuple[Interval, float]:
    """The common odds ratio, and the chi-square of the test that it is 1."""
    patients = list(zip(exposed, outcome, stratum, strict=True))
    r, s, pr, ps_qr, qs, excess, spread = [], [], [], [], [], [], []
    for name in set(stratum):
        here = [(e, o) for e, o, k in patients if k == name]
        a, b, c, d = _fourfold([e for e, _ in here], [o for _, o in here])
        n = a + b + c + d
        p, q, rk, sk = (a + d) / n, (b + c) / n, a * d / n, b * c / n
        r.append(rk)
        s.append(sk)
        pr.append(p * rk)
        ps_qr.append(p * sk + q * rk)
        qs.append(q * sk)
        excess.append(a - (a + b) * (a + c) / n)
        if n > 1:
            spread.append((a + b) * (c + d) * (a + c) * (b + d) / n**2 / (n - 1))
    top, bottom = fsum(r), fsum(s)
    variance = (
        fsum(pr) / (2 * top**2) + fsum(ps_qr) / (2 * top * bottom) + fsum(qs) / (2 * bottom**2)
    )
    return _around(exp(log(top) - log(bottom)), variance), fsum(excess) ** 2 / fsum(spread)


def chi_square(category: Sequence[Hashable], outcome: Sequence[bool]) -> float:
    """Pearson's, over categories and outcome."""
    n, parts = len(outcome), []
    for name in set(category):
        own = [o for k, o in zip(category, outcome, strict=True) if k == name]
        for happened in (True, False):
            expected = len(own) * list(outcome).count(happened) / n
            parts.append((own.count(happened) - expected) ** 2 / expected)
    return fsum(parts)
