"""A chi-square test twice: as if there were no noise, and with the noise accounted for."""

from dataclasses import dataclass

from scipy.special import chdtrc

__all__ = ["ChiSquare"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChiSquare:
    """A test.

    Attributes:
        statistic: Chi-square with ``df`` degrees of freedom, as if there were no noise.
        df: Degrees of freedom.
        p: p-value of ``statistic``; too small when there is noise.
        p_noise_aware: p-value with the noise accounted for; the one to read.
    """

    statistic: float
    df: int
    p: float
    p_noise_aware: float

    @classmethod
    def of(cls, statistic: float, aware: float, df: int) -> "ChiSquare":
        """Look the statistics up."""
        return cls(
            statistic=statistic,
            df=df,
            p=float(chdtrc(df, statistic)),
            p_noise_aware=float(chdtrc(df, aware)),
        )
