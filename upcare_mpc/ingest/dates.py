"""Dates as registries report them: a day, and how much of it may be believed.

oBDS 3 marks a date with ``Datumsgenauigkeit`` (E exact, T day estimated, M month estimated, V
wholly estimated); ADT_GEKID 2 writes ``00`` for an unknown day or month. Both become a `Moment`.

The estimated part of an oBDS date may be any plausible day, so it is never read as information:

- age compares months as soon as one of the two days is estimated (a birthday then counts as
  reached in its month), and takes July for an unknown month; it may be one year off there;
- days between two dates need the month of both; an estimated day is used as it stands, ``00``
  is the 15th, so follow-up may be a month off there;
- a year is kept unless the whole date is estimated.
"""

import re
from collections.abc import Iterable
from datetime import date
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

__all__ = [
    "Moment",
    "Precision",
    "age_on_day",
    "before",
    "completed_years",
    "days_between",
    "earliest",
    "german",
    "iso",
    "latest",
    "unreadable",
]

_ISO = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?:Z|[+-][0-9]{2}:[0-9]{2})?")
_GERMAN = re.compile(r"([0-9]{2})\.([0-9]{2})\.([0-9]{4})")
_YEAR = re.compile(r"(?<![0-9])[0-9]{4}(?![0-9])")
_MID_MONTH = 15
_MID_YEAR = 7
_FIRST_YEAR = 1850  # 00.00.1800 is in use for "unknown"
_MAX_AGE = 120
_MAX_DAYS = 60_000
_CACHED = 65_536  # the days of 180 years; the bound is for hostile files


class Precision(IntEnum):
    """How much of a date is known; smaller is better, the name is ``diagnosis_precision``."""

    DAY = 0
    MONTH = 1
    YEAR = 2
    ESTIMATED = 3


_KNOWN_PARTS = {Precision.DAY: 3, Precision.MONTH: 2, Precision.YEAR: 1}
_FLAGS = {
    None: Precision.DAY,
    "E": Precision.DAY,
    "T": Precision.MONTH,
    "M": Precision.YEAR,
    "V": Precision.ESTIMATED,
}


class Moment(NamedTuple):
    """A day as reported, and how much of it is known."""

    day: date
    precision: Precision

    @property
    def year(self) -> int | None:
        """The calendar year, unless the whole date is estimated."""
        return self.day.year if self.precision <= Precision.YEAR else None

    @property
    def month(self) -> int | None:
        """The calendar month, if known."""
        return self.day.month if self.precision <= Precision.MONTH else None

    def __repr__(self) -> str:
        """Hide the date: it belongs to a patient."""
        return "Moment(<hidden>)"


@lru_cache(_CACHED)
def iso(text: str | None, flag: str | None = None) -> Moment | None:
    """Read an oBDS 3 date; ``None`` if there is none or it is not a date."""
    matched = _ISO.fullmatch(text.strip()) if text else None
    if matched is None:
        return None
    precision = _FLAGS.get(flag.strip() or None if flag else None, Precision.ESTIMATED)
    return _moment(int(matched[1]), int(matched[2]), int(matched[3]), precision)


@lru_cache(_CACHED)
def german(text: str | None) -> Moment | None:
    """Read an ADT_GEKID 2 date; ``None`` if there is none or it is not a date."""
    matched = _GERMAN.fullmatch(text.strip()) if text else None
    if matched is None:
        return None
    day, month, year = int(matched[1]), int(matched[2]), int(matched[3])
    if month == 0:
        return _moment(year, _MID_YEAR, 1, Precision.YEAR)
    if day == 0:
        return _moment(year, month, _MID_MONTH, Precision.MONTH)
    return _moment(year, month, day, Precision.DAY)


def unreadable(text: str | None) -> bool:
    """Say whether a text that gave no date was meant to be one; ``00.00.1800`` was not."""
    stated = text.strip() if text else ""
    year = _YEAR.search(stated)
    return bool(stated) and not (year and int(year[0]) < _FIRST_YEAR)


def _moment(year: int, month: int, day: int, precision: Precision) -> Moment | None:
    if year < _FIRST_YEAR:
        return None
    try:
        return Moment(date(year, month, day), precision)
    except ValueError:
        return None


def completed_years(birth: Moment | None, at: Moment | None) -> int | None:
    """Age in completed years at ``at``, by the rules above; ``None`` outside 0-120."""
    if birth is None or at is None or birth.year is None or at.year is None:
        return None
    if birth.precision is Precision.DAY and at.precision is Precision.DAY:
        return age_on_day(birth, at)
    reached = (at.month or _MID_YEAR) >= (birth.month or _MID_YEAR)
    return _human(at.year - birth.year - (0 if reached else 1))


def age_on_day(birth: Moment | None, at: Moment | None) -> int | None:
    """Age in completed years between two days as they stand, whatever their precision.

    So the oBDS-RKI tables state it; the estimated days of that layout are fixed by convention.
    """
    if birth is None or at is None:
        return None
    reached = (at.day.month, at.day.day) >= (birth.day.month, birth.day.day)
    return _human(at.day.year - birth.day.year - (0 if reached else 1))


def _human(years: int) -> int | None:
    return years if 0 <= years <= _MAX_AGE else None


def days_between(start: Moment | None, end: Moment | None) -> int | None:
    """Days from ``start`` to ``end``; ``None`` if a month is unknown or the order is wrong.

    Two dates in the same month, one of them with an estimated day, are never in wrong order.
    """
    if start is None or end is None:
        return None
    if start.precision > Precision.MONTH or end.precision > Precision.MONTH:
        return None
    days = (end.day - start.day).days
    if days < 0:
        return None if before(end, start) else 0
    return days if days <= _MAX_DAYS else None


def before(one: Moment, other: Moment) -> bool:
    """Say whether a date lies surely before another, as far as the two are known."""
    known = max(one.precision, other.precision)
    if known is Precision.ESTIMATED:
        return False
    parts = _KNOWN_PARTS[known]
    return one.day.timetuple()[:parts] < other.day.timetuple()[:parts]


def earliest(moments: Iterable[Moment | None]) -> Moment | None:
    """The earliest of the dates whose month is known."""
    found: Moment | None = None
    for moment in moments:
        if moment is None or moment.precision > Precision.MONTH:
            continue
        if found is None or moment.day < found.day:
            found = moment
    return found


def latest(moments: Iterable[Moment | None]) -> Moment | None:
    """The latest of the dates whose month is known."""
    found: Moment | None = None
    for moment in moments:
        if moment is None or moment.precision > Precision.MONTH:
            continue
        if found is None or moment.day > found.day:
            found = moment
    return found
