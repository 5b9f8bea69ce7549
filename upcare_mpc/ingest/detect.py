"""Which format a delivery is in, from its first bytes and never from its name.

XML is told by its root element (by local name) and schema version; CSV by column names in its
first line. A file that is nearly one of these is named as such, so that the reader can say what is
wrong with it; anything else is refused here.
"""

import re
from enum import Enum

from upcare_mpc.errors import DataError
from upcare_mpc.ingest import rki_tables
from upcare_mpc.ingest.denominators import LIFE_TABLE, MORTALITY, POPULATION, has_columns
from upcare_mpc.ingest.elements import attribute, local, root_of
from upcare_mpc.ingest.encr import COLUMNS
from upcare_mpc.ingest.tables import folded, header_columns

__all__ = ["HEAD_BYTES", "Format", "detect"]

HEAD_BYTES = 65_536
"""How many of the first bytes `detect` wants; fewer if the file is shorter."""

_BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_ENOUGH_COLUMNS = 10
_SHOWABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,39}", re.ASCII)


class Format(Enum):
    """The formats that can be read; the value is the name that people see."""

    OBDS = "oBDS 3"
    ADT = "ADT_GEKID 2"
    RKI = "oBDS-RKI"
    RKI_TABLE = "oBDS-RKI table"
    ENCR = "ENCR incidence"
    POPULATION = "ENCR population"
    LIFE_TABLE = "ENCR life table"
    MORTALITY = "ENCR mortality"


# Root element without case -> format, and how its schema version must begin.
_ROOTS = {
    "obds": (Format.OBDS, "3."),
    "adt_gekid": (Format.ADT, "2."),
    "obds_rki": (Format.RKI, "3.0.0.8"),
}
_KNOWN = "oBDS 3, ADT_GEKID 2 or oBDS-RKI as XML, or oBDS-RKI or ENCR as CSV"


def detect(head: bytes, name: str) -> Format:
    """Tell the format of a delivery.

    Args:
        head: The first `HEAD_BYTES` bytes.
        name: What to call the delivery in an error.

    Raises:
        DataError: It is empty, or none of the formats.
    """
    start = head
    for mark in _BYTE_ORDER_MARKS:
        start = start.removeprefix(mark)
    start = start.lstrip(b"\0 \t\r\n")  # zero bytes: XML may come in UTF-16
    if not start:
        raise DataError(f"{name}: the file is empty; wanted {_KNOWN}")
    return _detect_xml(head, name) if start.startswith(b"<") else _detect_csv(head, name)


def _detect_xml(head: bytes, name: str) -> Format:
    root = root_of(head, name)
    if root is None:
        raise DataError(f"{name}: line 1: no whole XML root element found; wanted {_KNOWN}")
    title = local(root)
    place = f"{name}: line {root.sourceline}"
    if title.casefold() not in _ROOTS:
        shown = title if _SHOWABLE.fullmatch(title) else "another root element"
        raise DataError(f"{place}: the XML is of something else ({shown}); wanted {_KNOWN}")
    found, version = _ROOTS[title.casefold()]
    stated = attribute(root, "Schema_Version")
    if stated is not None and not stated.startswith(version):
        got = stated if _SHOWABLE.fullmatch(f"v{stated}") else "another one"
        raise DataError(f"{place}: {title} of another version; wanted {version}x, got {got}")
    return found


def _detect_csv(head: bytes, name: str) -> Format:
    try:
        line = head.split(b"\n", 1)[0].decode("utf-8")
    except UnicodeDecodeError:
        raise DataError(f"{name}: line 1: not UTF-8 text and not XML; wanted {_KNOWN}") from None
    _, columns = header_columns(line)
    if len(set(folded(COLUMNS)).intersection(folded(columns))) >= _ENOUGH_COLUMNS:
        return Format.ENCR
    if has_columns(columns, POPULATION):
        return Format.POPULATION
    if has_columns(columns, LIFE_TABLE):
        return Format.LIFE_TABLE
    if has_columns(columns, MORTALITY):
        return Format.MORTALITY
    if rki_tables.table_of(columns) is not None:
        return Format.RKI_TABLE
    raise DataError(
        f"{name}: line 1: neither XML nor the header of an oBDS-RKI or ENCR file; wanted {_KNOWN}"
    )
