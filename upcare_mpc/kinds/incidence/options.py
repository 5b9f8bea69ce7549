"""What a study of incidence may ask, read from its text.

A population file knows sex, age, year and region. What else a study says of tumours, a resident
cannot answer, and counts as one who might have got such a tumour. Options for which that would
give a wrong denominator are refused here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.axes import Axis
from upcare_mpc.kinds.incidence.standards import STANDARDS, weights
from upcare_mpc.kinds.options import Options
from upcare_mpc.study.coverage import asked_years
from upcare_mpc.study.expression import (
    And,
    Arithmetic,
    Between,
    Choose,
    Comparison,
    Expression,
    Field,
    Integer,
    IsKnown,
    Not,
    Or,
    children,
    fields,
)
from upcare_mpc.study.layout import Measures
from upcare_mpc.study.spec import Option

__all__ = [
    "ALL",
    "Ages",
    "Standard",
    "ages_of",
    "check_denominators",
    "check_years",
    "is_area",
    "is_populated",
    "is_single_years",
    "rates_of",
    "standards_of",
]

ALL: Final = "all"
"""The category of an axis that a figure is not cut by; rates that hold for all strata."""
_OLDEST: Final = 120
_YEARS: Final = (1900, 2100)
_POPULATED: Final = frozenset(
    {"sex", "age", "age_group", "diagnosis_year", "region", "nuts1", "nuts2"}
)


@dataclass(frozen=True, slots=True)
class Ages:
    """The age groups.

    Attributes:
        axis: As any other.
        starts: First age of each group, rising.
        end: The age after the last group; ``None`` if that is open.
    """

    axis: Axis
    starts: tuple[int, ...]
    end: int | None


@dataclass(frozen=True, slots=True)
class Standard:
    """A population to standardise to.

    Attributes:
        name: What the rate is called.
        weights: Of each age group; not all are 0.
    """

    name: str
    weights: tuple[Fraction, ...]


def ages_of(options: Options) -> Ages:
    """Read the age groups; without the key, 0-4, 5-9, ..., 85+."""
    if "ages" not in options:
        return _ages(0, 5, 85, closed=False)
    given = options.table("ages")
    given.only(("from", "width", "open", "to"))
    if "open" in given and "to" in given:
        raise StudyError(f"{given.place}: wanted one of open and to, got both")
    low = given.integer("from", low=0, high=_OLDEST - 1, default=0)
    width = given.integer("width", low=1, high=_OLDEST, default=5)
    closed = "to" in given
    if closed:
        end = given.integer("to", low=low, high=_OLDEST - 1) + 1
    else:
        end = given.integer("open", low=low + 1, high=_OLDEST, default=85)
    if (end - low) % width:
        raise StudyError(
            f"{given.place}: wanted groups of {width} years that fill the ages from {low} to "
            f"{end - 1}"
        )
    return _ages(low, width, end, closed=closed)


def _ages(low: int, width: int, end: int, *, closed: bool) -> Ages:
    age = Field("age")
    starts = tuple(range(low, end, width))
    labels = [str(low) if width == 1 else f"{low}-{low + width - 1}" for low in starts]
    position = Arithmetic("//", Arithmetic("-", age, Integer(low)), Integer(width))
    branches: tuple[tuple[Expression, Expression], ...] = (
        (Between(age, Integer(low), Integer(end - 1)), position),
    )
    if closed:
        return Ages(Axis("age group", tuple(labels), Choose(branches)), starts, end)
    branches = (*branches, (Comparison(">=", age, Integer(end)), Integer(len(starts))))
    axis = Axis("age group", (*labels, f"{end}+"), Choose(branches))
    return Ages(axis, (*starts, end), None)


def standards_of(options: Options, ages: Ages) -> tuple[Standard, ...]:
    """Read the populations to standardise to; without the key, those that fit the age groups."""
    if "standards" not in options:
        fitting = ((name, weights(name, ages.starts, ages.end)) for name in STANDARDS)
        return tuple(_standard(name, found) for name, found in fitting if found is not None)
    found = tuple(
        _one_standard(item, f"{options.place}.standards[{i}]", ages)
        for i, item in enumerate(options.items("standards"))
    )
    if len({standard.name for standard in found}) < len(found):
        raise StudyError(f"{options.place}.standards: wanted names that differ")
    return found


def _one_standard(item: Option, place: str, ages: Ages) -> Standard:
    if isinstance(item, Mapping):
        own = Options(item, place)
        own.only(("name", "weights"))
        given = own.decimals("weights")
        if len(given) != len(ages.starts) or not any(given):
            raise StudyError(
                f"{place}.weights: wanted one for each of {len(ages.starts)} age groups, not all 0"
            )
        return Standard(own.text("name"), given)
    if not isinstance(item, str) or item not in STANDARDS:
        raise StudyError(
            f"{place}: wanted {', '.join(STANDARDS)}, or a table with a name and weights"
        )
    found = weights(item, ages.starts, ages.end)
    if found is None:
        raise StudyError(
            f"{place}: wanted age groups made of those of {item}, which are of five years "
            "up to 85 and over"
        )
    return _standard(item, found)


def _standard(name: str, people: tuple[int, ...]) -> Standard:
    return Standard(name, tuple(map(Fraction, people)))


def rates_of(
    options: Options, axes: tuple[Axis, ...], ages: Ages
) -> Mapping[str, tuple[Fraction, ...]] | None:
    """Read the reference rates per 100,000: of each sex, or ``ALL``; None: of the strata together.

    Raises:
        StudyError: There are not as many as age groups, or they cannot be of all strata.
    """
    if options.content["reference"] == "pooled":
        if not any(is_area(axis) for axis in axes):
            raise StudyError(
                f"{options.place}.reference: wanted years or regions among the dimensions, whose "
                "strata are held against all of them"
            )
        return None
    given = options.table("reference")
    given.only(("rates",))
    if not all(is_populated(axis) for axis in axes):
        raise StudyError(
            f"{options.place}.reference: wanted dimensions that a population has, since the same "
            "rates cannot be those of different tumours"
        )
    sexes = [axis.labels for axis in axes if fields(axis.position) == {"sex"}]
    if not sexes:
        return {ALL: _rates(given, "rates", ages)}
    by_sex = given.table("rates")
    by_sex.only(sexes[0])
    return {sex: _rates(by_sex, sex, ages) for sex in by_sex.content}


def _rates(options: Options, key: str, ages: Ages) -> tuple[Fraction, ...]:
    rates = options.decimals(key)
    if len(rates) != len(ages.starts) or not any(rates):
        raise StudyError(
            f"{options.place}.{key}: wanted a rate per 100,000 for each of {len(ages.starts)} "
            "age groups, not all 0"
        )
    return rates


def is_populated(axis: Axis) -> bool:
    """Say whether a population file can be cut by this axis.

    Raises:
        StudyError: Only by a part of it, so that residents and tumours would be cut differently.
    """
    read = fields(axis.position)
    if read & {"age", "age_group"}:
        raise StudyError("incidence.by: wanted no dimension of age; that is what ages is for")
    if read <= _POPULATED:
        return True
    if read & _POPULATED:
        raise StudyError(
            f"incidence.by: wanted dimensions of people or of tumours, got both in {axis.name}: "
            f"a population does not know {min(read - _POPULATED)}"
        )
    return False


def is_area(axis: Axis) -> bool:
    """Say whether the axis cuts by place or time, which strata are compared over."""
    return is_populated(axis) and fields(axis.position) != {"sex"}


def is_single_years(axis: Axis) -> bool:
    """Say whether the categories are consecutive years of diagnosis."""
    match axis.position:
        case Choose(((Between(Field(name), _, _), Arithmetic("-", Field(), Integer())),), None):
            return name == "diagnosis_year"
        case _:
            return False


def check_denominators(where: Expression) -> None:
    """Refuse a condition that a resident fails because nothing is known of a tumour.

    Raises:
        StudyError: It asks whether something is known that no population knows.
    """
    if _fails_residents(where, wanted=True):
        raise StudyError(
            "cohort.where: wanted no condition that what is known of a tumour is known; "
            "it would leave all residents out of the person-years"
        )


def _fails_residents(expression: Expression, *, wanted: bool) -> bool:
    match expression:
        case IsKnown(item, known):
            return known == wanted and not fields(item) <= _POPULATED
        case Not(term):
            return _fails_residents(term, wanted=not wanted)
        case And(terms) | Or(terms):
            return any(_fails_residents(term, wanted=wanted) for term in terms)
        case _:
            return any(
                _fails_residents(part, wanted=side)
                for part in children(expression)
                for side in (True, False)
            )


def check_years(measures: Measures) -> None:
    """Refuse a study without a first and a last year: residents are those of the same years.

    Raises:
        StudyError: The years are open to a side, or there is none.
    """
    asked = asked_years(measures)
    if asked is None or asked[0] <= _YEARS[0] or asked[1] >= _YEARS[1]:
        raise StudyError(
            "incidence: wanted a first and a last year of diagnosis, in cohort.where "
            '("diagnosis_year between 2007 and 2015") or as a dimension, for the person-years'
        )
