"""XML deliveries held against the official schemas (XSD), which the operator supplies.

Reading is lenient and knows no schema (`ingest.elements`); this is the separate step that counts
what a strict reader would refuse. A file is streamed: each patient is put alone into an envelope
of the file's root and what stood before its first patient, and the envelope is validated. So a
file is judged to its end, whatever is wrong in it, and nothing piles up on the way. At the end the
envelope gets what stands behind the last patient and is judged itself.

A finding is a place and a kind of violation. Both are words of the schema or of ours: a name that
the schema does not have is shown as `OTHER`, and texts of libxml2, which quote values, are never
shown. A value of the wrong form and with several rules against it may count once for each.

Adversary: the bytes of a file. Limits are those of `ingest.elements`; a patient of more than
`MAX_NODES` elements and attributes is counted and not validated, since each may be a finding, and
a file with as many around its patients is refused. What a file says about where its schema lies is
not followed. The schemas are the operator's, but only read from the folder in which they lie: no
network, no entities.

Not checked: identity constraints (``xs:unique``, ``xs:key``, ``xs:keyref``: no id twice in a file,
every reporter named). They run over all patients of a file, which are never in memory together.
Stray elements between patients are not checked either.

Cost: a copy and a validation of each patient; memory is that of one.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from lxml import etree

from upcare_mpc.errors import ConfigError, DataError
from upcare_mpc.ingest.elements import Element, attribute, local, patients

__all__ = ["MAX_NODES", "OTHER", "Schemas", "Validation"]

MAX_NODES: Final = 50_000
OTHER: Final = "(not in the schema)"

_XSD: Final = "{http://www.w3.org/2001/XMLSchema}"
_REFERENCES: Final = tuple(_XSD + name for name in ("include", "import", "redefine", "override"))
_CONSTRAINTS: Final = tuple(_XSD + name for name in ("unique", "key", "keyref"))
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]*", re.ASCII)
_NAMED = etree.XPath(
    ".//xs:element/@name | .//xs:element/@ref | .//xs:attribute/@name | .//xs:attribute/@ref",
    namespaces={"xs": _XSD[1:-1]},
)
_VERSIONS = etree.XPath(
    ".//xs:attribute[@name = 'Schema_Version']//xs:enumeration/@value",
    namespaces={"xs": _XSD[1:-1]},
)
_NODES = etree.XPath("count(descendant-or-self::*) + count(descendant-or-self::*/@*)")

_PLACE = re.compile(r"Element '(?:\{[^']*\})?([^']*)'(?:, attribute '(?:\{[^']*\})?([^']*)')?: ")
_WANTED = re.compile(r"Expected is \( (?:\{[^}]*\})?([^ {}]+) \)\.$")
_KINDS: Final = {
    "SCHEMAV_CVC_PATTERN_VALID": "value not of the wanted pattern",
    "SCHEMAV_CVC_ENUMERATION_VALID": "value not in the list of codes",
    "SCHEMAV_CVC_DATATYPE_VALID_1_2_1": "value not of the wanted type",
    "SCHEMAV_CVC_DATATYPE_VALID_1_2_2": "value not of the wanted type",
    "SCHEMAV_CVC_DATATYPE_VALID_1_2_3": "value not of the wanted type",
    "SCHEMAV_CVC_LENGTH_VALID": "value not of the wanted length",
    "SCHEMAV_CVC_MINLENGTH_VALID": "value too short",
    "SCHEMAV_CVC_MAXLENGTH_VALID": "value too long",
    "SCHEMAV_CVC_MININCLUSIVE_VALID": "value too small",
    "SCHEMAV_CVC_MINEXCLUSIVE_VALID": "value too small",
    "SCHEMAV_CVC_MAXINCLUSIVE_VALID": "value too large",
    "SCHEMAV_CVC_MAXEXCLUSIVE_VALID": "value too large",
    "SCHEMAV_CVC_TOTALDIGITS_VALID": "value with too many digits",
    "SCHEMAV_CVC_FRACTIONDIGITS_VALID": "value with too many decimals",
    "SCHEMAV_CVC_COMPLEX_TYPE_4": "wanted attribute missing",
    "SCHEMAV_CVC_COMPLEX_TYPE_3_2_1": "attribute not allowed",
    "SCHEMAV_CVC_COMPLEX_TYPE_3_2_2": "attribute not allowed",
    "SCHEMAV_CVC_COMPLEX_TYPE_2_3": "text between elements",
    "SCHEMAV_CVC_TYPE_3_1_2": "elements inside a value",
    "SCHEMAV_CVC_TYPE_3_1_1": "attributes on a plain value",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """What validating files came to; `+` adds two of different files up.

    Attributes:
        files: Files validated.
        valid_files: Of these, without a finding and validated as a whole.
        without_schema: Files for whose root element no schema was supplied; not validated.
        patients: Patients in the validated files.
        valid_patients: Of these, without a finding in them.
        too_large: Of these, not validated because they have more than `MAX_NODES` nodes.
        findings: How often each violation occurs, by place and kind.
    """

    files: int = 0
    valid_files: int = 0
    without_schema: int = 0
    patients: int = 0
    valid_patients: int = 0
    too_large: int = 0
    findings: Mapping[tuple[str, str], int] = field(default_factory=dict)

    def __add__(self, other: "Validation") -> "Validation":
        return Validation(
            files=self.files + other.files,
            valid_files=self.valid_files + other.valid_files,
            without_schema=self.without_schema + other.without_schema,
            patients=self.patients + other.patients,
            valid_patients=self.valid_patients + other.valid_patients,
            too_large=self.too_large + other.too_large,
            findings=Counter(self.findings) + Counter(other.findings),
        )


@dataclass(frozen=True, slots=True)
class _Schema:
    """One XSD, ready to validate; names and versions are those of its included files too."""

    compiled: etree.XMLSchema
    roots: frozenset[str]
    versions: frozenset[str]
    names: frozenset[str]


class Schemas:
    """The XSDs that an operator has supplied.

    Args:
        paths: One file a schema. A file that they include or import lies in the same folder and
            is not listed itself.

    Raises:
        ConfigError: A file is not there, not an XML schema, or refers to another folder or host.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        for path in paths:
            if not path.is_file():
                raise ConfigError(f"{path.name}: wanted an XML schema, got no readable XML file")
        self._schemas = [_load(path) for path in paths]

    def check(self, stream: BinaryIO, name: str) -> Validation:
        """Validate one file against the schema that declares its root element.

        Of several, the last one counts that knows the file's ``Schema_Version``, else the last.

        Args:
            stream: The file, at its start; XML.
            name: What to call it in an error.

        Raises:
            DataError: The file cannot be read at all, as `ingest.elements` says, or more than
                `MAX_NODES` elements and attributes stand around its patients.
        """
        reading = patients(stream, name)
        first = next(reading, None)
        if first is None:
            return Validation(files=1, findings={("Patient", "no such element in the file"): 1})
        root = first.getroottree().getroot()
        schema = self._schema_for(root)
        if schema is None:
            return Validation(without_schema=1)
        return _Judge(schema, first, name).all(chain([first], reading))

    def _schema_for(self, root: Element) -> _Schema | None:
        able = [schema for schema in self._schemas if root.tag in schema.roots]
        version = attribute(root, "Schema_Version")
        fitting = [schema for schema in able if version in schema.versions] or able
        return fitting[-1] if fitting else None


class _Judge:
    """The validation of one file.

    Args:
        schema: Against what.
        first: Its first patient, just complete.
        name: What to call it in an error.
    """

    def __init__(self, schema: _Schema, first: Element, name: str) -> None:
        self._schema = schema
        self._name = name
        self._envelope = deepcopy(first.getroottree().getroot())
        self._slot = self._envelope
        for element in reversed([first, *first.iterancestors()][:-1]):
            parent = element.getparent()
            assert parent is not None, "the root is left out"
            position = parent.index(element)
            del self._slot[position + 1 :]  # read ahead of the patient
            self._slot = self._slot[position]
        self._slot.clear()
        self._refuse_large(self._envelope)
        self._inside = self._envelope.getroottree().getpath(self._slot)

    def all(self, patients: Iterator[Element]) -> Validation:
        """Judge the patients, one by one, and then the envelope."""
        findings: Counter[tuple[str, str]] = Counter()
        read = valid = too_large = 0
        branch = self._envelope
        for patient in patients:
            read += 1
            branch = _below_root(patient)
            if _nodes(patient) > MAX_NODES:
                too_large += 1
                continue
            self._fill(patient)
            found = Counter(self._found(inside=True))
            findings += found
            valid += not found
        behind = list(branch.itersiblings())
        self._refuse_large(*behind)
        self._envelope.extend(deepcopy(behind))
        findings += Counter(self._found(inside=False))
        return Validation(
            files=1,
            valid_files=int(not findings and not too_large),
            patients=read,
            valid_patients=valid,
            too_large=too_large,
            findings=dict(findings),
        )

    def _fill(self, patient: Element) -> None:
        """Put a patient in the place of the one before it."""
        parent = self._slot.getparent()
        assert parent is not None, "patients() hands out no root"
        fresh = deepcopy(patient)
        parent.replace(self._slot, fresh)
        self._slot = fresh

    def _found(self, *, inside: bool) -> Iterator[tuple[str, str]]:
        """The findings in the patient, or all others."""
        compiled = self._schema.compiled
        if compiled.validate(self._envelope):
            return
        for error in cast("Iterable[Any]", compiled.error_log):  # the stubs lack its iterator
            path = error.path or ""
            if (path == self._inside or path.startswith(self._inside + "/")) is inside:
                yield _finding(error, self._schema.names)

    def _refuse_large(self, *parts: Element) -> None:
        if sum(map(_nodes, parts)) > MAX_NODES:
            raise DataError(
                f"{self._name}: wanted at most {MAX_NODES} elements and attributes around the "
                "patients, got more"
            )


def _nodes(element: Element) -> int:
    return int(cast("float", _NODES(element)))


def _below_root(patient: Element) -> Element:
    """The child of the root in which a patient stands."""
    branch = patient
    while (parent := branch.getparent()) is not None and parent.getparent() is not None:
        branch = parent
    return branch


def _finding(error: Any, names: Collection[str]) -> tuple[str, str]:
    """Say what is wrong in words of the schema: place and kind."""
    named = _PLACE.match(error.message)
    element, detail = (named[1], named[2]) if named else ("", None)
    place = element if element in names else OTHER
    if detail is not None:
        place += f"/@{detail}" if detail in names else f"/@{OTHER}"
    if error.type_name != "SCHEMAV_ELEMENT_CONTENT" or named is None:
        return place, _KINDS.get(error.type_name, "another rule of the schema")
    expected = _WANTED.search(error.message)
    wanted = expected[1] if expected and expected[1] in names else "another element"
    if error.message.startswith("Missing child", named.end()):
        return place, f"ends too early, wanted {wanted}"
    return place, f"not expected here, wanted {wanted}"


# --- loading ----------------------------------------------------------------------------------


def _load(path: Path) -> _Schema:
    documents: dict[str, Element] = {}
    waiting = [path.name]
    while waiting:
        name = waiting.pop()
        if name not in documents:
            documents[name] = _schema_element(path.with_name(name))
            waiting.extend(_referred(documents[name], name))
    main = documents[path.name]
    for constraint in list(main.iter(*_CONSTRAINTS)):
        parent = constraint.getparent()
        assert parent is not None, "the root is a schema"
        parent.remove(constraint)
    try:
        compiled = etree.XMLSchema(main.getroottree())
    except etree.XMLSchemaParseError:  # its text may quote the file
        raise ConfigError(f"{path.name}: wanted an XML schema, got one with errors") from None
    namespace = main.get("targetNamespace")
    return _Schema(
        compiled,
        frozenset(
            f"{{{namespace}}}{element.get('name')}" if namespace else str(element.get("name"))
            for document in documents.values()
            for element in document.iterchildren(_XSD + "element")
        ),
        frozenset(_texts(_VERSIONS, documents.values())),
        frozenset(name.rpartition(":")[2] for name in _texts(_NAMED, documents.values())),
    )


def _schema_element(path: Path) -> Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        root = etree.parse(path, parser).getroot()
    except (OSError, etree.XMLSyntaxError):  # their texts hold paths
        raise ConfigError(f"{path.name}: wanted an XML schema, got no readable XML file") from None
    if root.tag != _XSD + "schema" or cast("Any", root.getroottree().docinfo).doctype:
        got = local(root) if root.tag != _XSD + "schema" else "a DOCTYPE"
        raise ConfigError(f"{path.name}: wanted an XML schema, got {got}")
    return root


def _referred(schema: Element, name: str) -> Iterator[str]:
    for reference in schema.iterchildren(*_REFERENCES):
        place = reference.get("schemaLocation")
        if place is None:
            continue
        if not _FILE_NAME.fullmatch(place):
            raise ConfigError(
                f"{name}: wanted every included schema as a file in the same folder, got another "
                "place; put a copy beside it and name that"
            )
        yield place


def _texts(find: etree.XPath, documents: Collection[Element]) -> Iterator[str]:
    for document in documents:
        yield from map(str, cast("Iterable[object]", find(document)))
