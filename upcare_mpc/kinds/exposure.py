"""Exposures of places: from a file by region to the dimension of a study.

What is known of a region, such as the quality of its air, is public. The file stays with the
researcher. ``read_places`` reads it, ``classes`` cuts the values into classes, and the classes
stand in the study's text, as lists of the codes of their regions:

    [association.exposure]
    name = "fine dust"
    regions = [{ label = "low", codes = ["FRF11", "DE2"] }, { label = "high", codes = ["DEA"] }]

So the digest binds them, they are the same everywhere, and each registry joins them to its own
records. A code of three characters is a NUTS 1 region and stands for all within, four NUTS 2, five
NUTS 3. A patient of another region, or of one that is not stated so finely, is in no class.
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from itertools import pairwise

from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.options import Options
from upcare_mpc.study.expression import Choose, Expression, Field, InList, Integer, Or, Text
from upcare_mpc.study.spec import Option

__all__ = ["classes", "read_places", "regions"]

MAX_BYTES = 1 << 20
MAX_LABEL = 80
_LEVELS = {3: "nuts1", 4: "nuts2", 5: "region"}
_CODE = re.compile(r"[A-Z]{2}[0-9A-Z]{1,3}", re.ASCII)
_NUMBER = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,12})?", re.ASCII)


def read_places(text: str, *, name: str = "regions.csv") -> dict[str, Fraction]:
    """Read a CSV file with the columns ``region`` and ``value``; others are not looked at.

    Args:
        text: The file.
        name: What it is called in error texts.

    Raises:
        StudyError: It is too large, lacks a column, or a line is not usable.
    """
    if len(text.encode()) > MAX_BYTES:
        raise StudyError(f"{name}: wanted at most {MAX_BYTES} bytes")
    lines = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    if not {"region", "value"} <= set(lines.fieldnames or ()):
        raise StudyError(f"{name}: wanted the columns region and value")
    places: dict[str, Fraction] = {}
    for line in lines:
        where, code, value = f"{name}:{lines.line_num}", line["region"], line["value"]
        if not _CODE.fullmatch(code or ""):
            raise StudyError(f"{where}: wanted a NUTS code like FRF11, got {ascii(code)[:40]}")
        if not _NUMBER.fullmatch(value or ""):
            raise StudyError(f"{where}: wanted a number like 12.5, got {ascii(value)[:40]}")
        if code in places:
            raise StudyError(f"{where}: wanted each region once, got {code} again")
        places[code] = Fraction(value)
    return places


def classes(
    places: Mapping[str, Fraction], cuts: Iterable[Fraction | int | str], *, name: str
) -> dict[str, object]:
    """Cut regions into classes, as the dimension of a study: for ``exposure``, ``by``, ...

    Args:
        places: A value for each region.
        cuts: Where classes begin, rising: ``(10, 15)`` gives below 10, 10 to below 15, 15 or more.
            Decimals as texts or fractions.
        name: What the dimension is called.

    Returns:
        ``{"name": ..., "regions": [...]}``, of plain lists and texts.

    Raises:
        StudyError: The cuts do not rise, or a class is empty.
    """
    given = list(cuts)
    if any(isinstance(cut, str) and not _NUMBER.fullmatch(cut) for cut in given):
        raise StudyError(f'{name}: wanted cuts that are numbers, such as 10 or "12.5"')
    edges = [Fraction(cut) for cut in given]
    if not edges or any(low >= high for low, high in pairwise(edges)):
        raise StudyError(f"{name}: wanted one or more rising cuts")
    found: list[list[str]] = [[] for _ in range(len(edges) + 1)]
    for code, value in sorted(places.items()):
        found[sum(value >= edge for edge in edges)].append(code)
    shown = [f"{float(edge):.10g}" for edge in edges]
    between = [f"{low} to below {high}" for low, high in pairwise(shown)]
    labels = [f"below {shown[0]}", *between, f"{shown[-1]} or more"]
    for label, codes in zip(labels, found, strict=True):
        if not codes:
            raise StudyError(f"{name}: no region is {label}; wanted cuts between the values")
    pairs = zip(labels, found, strict=True)
    return {"name": name, "regions": [{"label": label, "codes": own} for label, own in pairs]}


def regions(options: Options) -> tuple[tuple[str, ...], Expression]:
    """Read the classes of a study: their labels, and the position of a record.

    Raises:
        StudyError: They are not usable, or a region lies in two.
    """
    labels: list[str] = []
    branches: list[tuple[Expression, Expression]] = []
    seen: dict[str, str] = {}
    for number, item in enumerate(options.items("regions")):
        label, codes = _class(item, f"{options.place}.regions[{number}]")
        if label in labels:
            raise StudyError(f"{options.place}.regions: wanted labels that differ, got {label!a}")
        labels.append(label)
        for code in codes:
            if code in seen:
                raise StudyError(
                    f"{options.place}.regions: wanted each region once, got {code} in "
                    f"{seen[code]!a} and {label!a}"
                )
            seen[code] = label
        branches.append((_among(codes), Integer(number)))
    for code in seen:
        for short in (code[:3], code[:4]):
            if short != code and short in seen:
                raise StudyError(
                    f"{options.place}.regions: wanted regions side by side, got {code} within "
                    f"{short}"
                )
    return tuple(labels), Choose(tuple(branches))


def _class(item: Option, place: str) -> tuple[str, tuple[str, ...]]:
    if not isinstance(item, Mapping):
        raise StudyError(f'{place}: wanted {{ label = "...", codes = ["...", ...] }}')
    own = Options(item, place)
    own.only(("label", "codes"))
    label = own.text("label")
    if len(label) > MAX_LABEL:
        raise StudyError(f"{place}.label: wanted at most {MAX_LABEL} characters")
    codes = []
    for code in own.items("codes"):
        if not isinstance(code, str) or not _CODE.fullmatch(code):
            raise StudyError(f"{place}.codes: wanted NUTS codes like FRF11, FRF1 or FRF")
        codes.append(code)
    return label, tuple(codes)


def _among(codes: tuple[str, ...]) -> Expression:
    """Return whether a record lies in one of the regions."""
    lists = [
        InList(Field(level), tuple(Text(code) for code in codes if len(code) == length))
        for length, level in _LEVELS.items()
        if any(len(code) == length for code in codes)
    ]
    return lists[0] if len(lists) == 1 else Or(tuple(lists))
