"""Reading XML deliveries one patient at a time, from bytes that nobody has checked.

Model: a delivery is a root element with ``Patient`` elements somewhere below it. Each is handed
out when it is complete and is emptied before the next one is read, so memory holds one patient.
Elements are found by local name; the namespace, its prefix, or its absence do not matter.

Hostile input: entities are not expanded, no network or file is touched, and a document type
definition is refused outright. At most `MAX_PATIENT_BYTES` may lie between two ends of patients, so
one huge element is refused before it fills the memory; libxml2's limits on depth and text size
stay on. Its own error texts are never shown, since they quote the document; ours give the line.
"""

import io
from collections.abc import Iterator
from typing import BinaryIO, cast

from lxml import etree

from upcare_mpc.errors import DataError

__all__ = [
    "MAX_PATIENT_BYTES",
    "Element",
    "attribute",
    "child",
    "children",
    "fields",
    "inner_text",
    "local",
    "patients",
    "raw_text",
    "raw_texts",
    "root_of",
    "text",
    "texts",
]

MAX_PATIENT_BYTES = 16 * 2**20
"""The most that may be read before the next ``Patient`` is complete, or after the last one."""

Element = etree._Element  # noqa: SLF001 - lxml publishes the type of an element under this name only

_ENCODING_CODES = {
    etree.ErrorTypes.ERR_UNKNOWN_ENCODING,
    etree.ErrorTypes.ERR_UNSUPPORTED_ENCODING,
    etree.ErrorTypes.ERR_INVALID_ENCODING,
}


class _Watched(io.RawIOBase):
    """The stream as lxml sees it: counts, and remembers whether its end was reached."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream = stream
        self._name = name
        self.ended = False
        self.since_patient = 0

    def read(self, size: int = -1) -> bytes:
        chunk = self._stream.read(size)
        self.ended = not chunk
        self.since_patient += len(chunk)
        if self.since_patient > MAX_PATIENT_BYTES:
            raise DataError(
                f"{self._name}: wanted the end of a Patient element every {MAX_PATIENT_BYTES} "
                "bytes at most, got more without one"
            )
        return chunk


def patients(stream: BinaryIO, name: str) -> Iterator[Element]:
    """Hand out the ``Patient`` elements of a delivery, one at a time.

    An element is only good until the next one is asked for.

    Raises:
        DataError: The bytes are not well-formed XML, end early, hold a document type definition,
            or a patient is larger than `MAX_PATIENT_BYTES`. Patients handed out before it must be
            dropped by the caller.
    """
    watched = _Watched(stream, name)
    parsing = etree.iterparse(
        watched,
        events=("end",),
        tag="{*}Patient",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
    )
    checked = False
    try:
        for _, patient in parsing:
            watched.since_patient = 0
            if not checked:
                _refuse_definitions(patient, name)
                checked = True
            yield patient
            _release(patient)
    except etree.XMLSyntaxError as error:
        raise _unreadable(error, name, ended=watched.ended) from None
    if not checked:
        _refuse_definitions(parsing.root, name)


def root_of(head: bytes, name: str) -> Element | None:
    """Read the root element from the first bytes of a delivery; ``None`` if it is not in them."""
    parser = etree.XMLPullParser(
        events=("start",),
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
    )
    failure = None
    try:
        parser.feed(head)
    except etree.XMLSyntaxError as error:
        failure = error
    for _, event in parser.read_events():
        root = cast("Element", event)  # the other kinds of event are not asked for
        _refuse_definitions(root, name)
        return root
    if failure is not None:
        raise _unreadable(failure, name, ended=False) from None
    return None


def _refuse_definitions(element: Element, name: str) -> None:
    tree = element.getroottree()
    if tree.docinfo.internalDTD is not None or tree.docinfo.doctype:
        raise DataError(
            f"{name}: line 1: a document type definition (DOCTYPE) is not accepted in a delivery"
        )


def _release(element: Element) -> None:
    """Drop what has been read: the element's inside, and all before it and its ancestors."""
    element.clear()
    child, parent = element, element.getparent()
    while parent is not None:
        while child.getprevious() is not None:
            del parent[0]
        child, parent = parent, parent.getparent()


def _unreadable(error: etree.XMLSyntaxError, name: str, *, ended: bool) -> DataError:
    place = f"{name}: line {error.lineno}" if error.lineno else name
    if error.code in _ENCODING_CODES:  # type: ignore[attr-defined] # the stubs lack it
        return DataError(f"{place}: the bytes are not in the encoding that the file declares")
    if error.code == etree.ErrorTypes.ERR_RESOURCE_LIMIT:  # type: ignore[attr-defined]
        return DataError(
            f"{place}: wanted texts under 10 MB, fewer than 256 levels and no entities, got more"
        )
    if ended and error.lineno:
        return DataError(f"{place}: the file ends before its XML does; it was cut off")
    return DataError(f"{place}: not well-formed XML")


class _LocalNames(dict[object, str]):
    """Tags without their namespace, each cut once; the bound is for hostile files."""

    def __missing__(self, tag: object) -> str:
        # A comment or a processing instruction has a function for a tag.
        name = tag.rpartition("}")[2] if isinstance(tag, str) else ""
        if len(self) < _CACHED_TAGS:
            self[tag] = name
        return name


_CACHED_TAGS = 4096
_LOCAL = _LocalNames()


def local(element: Element) -> str:
    """The name of an element without its namespace; empty for a comment."""
    return _LOCAL[element.tag]


def children(element: Element | None, name: str) -> Iterator[Element]:
    """The children with this local name, in document order."""
    return iter(()) if element is None else element.iterchildren(f"{{*}}{name}")


def child(element: Element | None, name: str) -> Element | None:
    """The first child with this local name; for one child of few, faster than `fields`."""
    return next(children(element, name), None)


def fields(element: Element | None) -> dict[str, Element]:
    """The children by local name; of several with the same name, the first."""
    if element is None:
        return {}
    found = {_LOCAL[child.tag]: child for child in element}
    if len(found) < len(element):
        return {_LOCAL[child.tag]: child for child in reversed(element)}
    return found


def text(element: Element | None) -> str | None:
    """The text of an element without surrounding blanks; ``None`` if there is none."""
    if element is None or (found := element.text) is None:
        return None
    return found.strip() or None


def raw_text(element: Element | None) -> str | None:
    """The text of an element as it stands."""
    return None if element is None else element.text


def inner_text(element: Element, name: str) -> str | None:
    """The text of the first child with this local name, as it stands."""
    for child in element:
        if _LOCAL[child.tag] == name:
            return child.text
    return None


def texts(element: Element | None) -> dict[str, str]:
    """The texts of the children by local name, as `fields`; those without text are left out."""
    if element is None:
        return {}
    return {
        _LOCAL[child.tag]: said
        for child in reversed(element)
        if (found := child.text) and (said := found.strip())
    }


def raw_texts(element: Element) -> dict[str, str | None]:
    """The texts of the children by local name, as they stand; of several, the first."""
    found = {_LOCAL[child.tag]: child.text for child in element}
    if len(found) < len(element):
        return {_LOCAL[child.tag]: child.text for child in reversed(element)}
    return found


def attribute(element: Element | None, name: str) -> str | None:
    """An attribute without surrounding blanks; ``None`` if missing or empty."""
    value = element.get(name) if element is not None else None
    return (value.strip() or None) if value else None
