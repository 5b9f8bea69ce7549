"""Incidence from individual tumours and residents, in the clear.

Source: Breslow and Day, Statistical Methods in Cancer Research II, IARC 1987, chapter 2 (direct
and indirect standardisation, and their variances) and chapter 4 (Poisson regression of rates).
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import exp, sqrt
from typing import TypeVar

__all__ = ["Rate", "annual_change", "crude_rate", "expected_cases", "standardised_rate"]


Age = TypeVar("Age", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate per person-year and its standard error, if cases vary as Poisson counts."""

    value: float
    standard_error: float


def crude_rate(ages: Iterable[Age], people: Mapping[Age, float]) -> Rate:
    """Cases over person-years.

    Args:
        ages: Age group of each case.
        people: Person-years of each age group.
    """
    cases, years = sum(age in people for age in ages), sum(people.values())
    return Rate(cases / years, sqrt(cases) / years)


def standardised_rate(
    ages: Iterable[Age],
    people: Mapping[Age, float],
    weights: Mapping[Age, float],
) -> Rate:
    """The rate of a population with other ages: ``sum w d / p``, its variance ``sum w^2 d / p^2``.

    Args:
        ages: Age group of each case.
        people: Person-years of each age group.
        weights: People in each age group of the standard population.
    """
    cases = Counter(ages)
    whole = sum(weights.values())
    value = variance = 0.0
    for age, weight in weights.items():
        share = weight / whole / people[age]
        value += share * cases[age]
        variance += share**2 * cases[age]
    return Rate(value, sqrt(variance))


def expected_cases(people: Mapping[Age, float], rates: Mapping[Age, float]) -> float:
    """Cases that there would be at the rates of others, per person-year."""
    return sum(years * rates[age] for age, years in people.items())


def annual_change(
    cases: Sequence[tuple[int, Age]], people: Mapping[tuple[int, Age], float]
) -> tuple[float, float]:
    """Slope of the logarithm of the rate over the years, age by age, and its standard error.

    The conditional likelihood of the year of each case, given its age: the slope of the Poisson
    regression with age as a factor.

    Args:
        cases: Year and age group of each case.
        people: Person-years by year and age group.
    """
    slope = 0.0
    for _ in range(100):
        score = information = 0.0
        moments: dict[Age, tuple[float, float]] = {}
        for age in {age for _, age in cases}:
            lived = [
                (year, p * exp(slope * (year - 2000)))
                for (year, a), p in people.items()
                if a == age
            ]
            whole = sum(p for _, p in lived)
            mean = sum(year * p for year, p in lived) / whole
            moments[age] = mean, sum((year - mean) ** 2 * p for year, p in lived) / whole
        for year, age in cases:
            score += year - moments[age][0]
            information += moments[age][1]
        slope += score / information
    return slope, 1 / sqrt(information)
