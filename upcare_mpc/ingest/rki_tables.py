"""oBDS-RKI as CSV tables, joined by their keys in constant memory.

    patient --< tumor --< op --< ops
            |         |-< st --< bestrahlung
            |         |-< syst
            |         `-< folgeereignis
            `-< todesursache

Each table must list its rows in the order of the table it belongs to: the tumours in the order of
the patients, the operations in the order of the tumours, and so on, as the published example does
(any order of the patients will do). Then one row of each table at a time is enough. A row that is
not where its parent is fails the delivery, since a therapy silently left out would read as "no".

``patient`` and ``tumor`` must be there; ``op`` needs ``ops``, and ``st`` needs ``bestrahlung``.
Other tables of the layout (substances, protocols, metastases, ...) are recognised and not read.
Tables are told apart by their columns, never by the names of the files.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from upcare_mpc.errors import DataError
from upcare_mpc.ingest import rki
from upcare_mpc.ingest.dates import earliest
from upcare_mpc.ingest.message import Message, Therapy
from upcare_mpc.ingest.tables import Row, Table, folded

__all__ = ["TABLES", "messages", "table_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """One table: what it is told by, the column with its parent's key, and what else is read."""

    told_by: tuple[str, ...]
    parent_key: str
    columns: tuple[str, ...]


def _with_precision(column: str) -> tuple[str, str]:
    return column, f"{column}_Genauigkeit"


_TUMOUR_KEY = "oBDS_RKIPatientTumorId"
_TNM_FIELDS = (
    "y_Symbol", "r_Symbol", "a_Symbol", "c_p_u_Praefix_T", "T", "c_p_u_Praefix_N", "N",
    "c_p_u_Praefix_M", "M", "UICC_Stadium",
)  # fmt: skip
# Of each classification: its field -> column of table `tumor`.
_TNM = {
    f"{standing}TNM": {
        "Version": f"TNM_Auflage_{standing}",
        **{field: f"{field}_{standing}" for field in _TNM_FIELDS},
    }
    for standing in "cp"
}

TABLES: Mapping[str, _Layout] = {
    "patient": _Layout(
        told_by=("PatientId", "Verstorben"),
        parent_key="PatientId",
        columns=("Geschlecht", "Verstorben", *_with_precision("Datum_Vitalstatus")),
    ),
    "todesursache": _Layout(
        told_by=("TodesursacheId", "IsGrundleiden"),
        parent_key="oBDS_RKIPatientId",
        columns=("Code", "IsGrundleiden"),
    ),
    "tumor": _Layout(
        told_by=("oBDS_RKIPatientId", "Diagnosedatum"),
        parent_key="oBDS_RKIPatientId",
        columns=(
            _TUMOUR_KEY,
            *_with_precision("Diagnosedatum"),
            "Diagnosealter",
            "Inzidenzort",
            "Diagnose_ICD10_Code",
            "Morphologie_Code",
            "Topographie_Code",
            "Diagnosesicherung",
            "Grading",
            "Seitenlokalisation",
            *(column for fields in _TNM.values() for column in fields.values()),
            "Anzahl_Tage_Diagnose_Tod",
        ),
    ),
    "op": _Layout(
        told_by=("OPId", "Datum_OP"),
        parent_key=_TUMOUR_KEY,
        columns=("OPId", "Intention", "Anzahl_Tage_Diagnose_OP", *_with_precision("Datum_OP")),
    ),
    "ops": _Layout(told_by=("OPSId", "OPId"), parent_key="OPId", columns=("Code",)),
    "st": _Layout(
        told_by=("STId", "Stellung_OP"),
        parent_key=_TUMOUR_KEY,
        columns=("STId",),
    ),
    "bestrahlung": _Layout(
        told_by=("BestrahlungId", "STId"),
        parent_key="STId",
        columns=("Anzahl_Tage_Diagnose_ST", *_with_precision("Datum_Beginn_Bestrahlung")),
    ),
    "syst": _Layout(
        told_by=("SYSTId", "Therapieart"),
        parent_key=_TUMOUR_KEY,
        columns=(
            "Therapieart",
            "Anzahl_Tage_Diagnose_SYST",
            *_with_precision("Datum_Beginn_SYST"),
        ),
    ),
    "folgeereignis": _Layout(
        told_by=("FolgeereignisId", "Datum_Folgeereignis"),
        parent_key=_TUMOUR_KEY,
        columns=(
            *_with_precision("Datum_Folgeereignis"),
            "Gesamtbeurteilung_Tumorstatus",
            "Verlauf_Lokaler_Tumorstatus",
            "Verlauf_Tumorstatus_Lymphknoten",
            "Verlauf_Tumorstatus_Fernmetastasen",
        ),
    ),
}
_NOT_READ = (
    ("SubstanzId", "SYSTId"),
    ("SYSTId", "TypeOfProtokoll_Typ"),
    ("BestrahlungId", "TypeOfST_TypBestrahlungApplikationsart"),
    ("fernmetastase_id", "Lokalisation"),
    ("weitere_klassifikation_id", "Name"),
)
_ALWAYS = ("patient", "tumor")
_NEEDS = {"op": "ops", "st": "bestrahlung"}
_DECLARABLE = {"surgery": "op", "radio": "st", "systemic": "syst"}


def table_of(columns: Sequence[str]) -> str | None:
    """Which table of the layout has these columns: its name, empty if not read, else ``None``."""
    here = set(folded(columns))
    for name, layout in TABLES.items():
        if here.issuperset(folded(layout.told_by)):
            return name
    return "" if any(here.issuperset(folded(told_by)) for told_by in _NOT_READ) else None


def messages(
    files: Sequence[tuple[BinaryIO, str]], *, complete: frozenset[str] = frozenset()
) -> Iterator[Message]:
    """Read one delivery, a message a tumour, in the order of the patients.

    Args:
        files: All its tables, open at their start, each with what to call it in an error.
        complete: Kinds of treatment declared complete; their tables must then be there.

    Raises:
        DataError: A table is missing or there twice, lacks a column, is not readable, or its rows
            are not in the order of the table they belong to.
    """
    cursors = _open(files, complete)
    patients, tumours = cursors["patient"], cursors["tumor"]
    for row in patients.all():
        patient_id = row.get("PatientId", "")
        causes = _of(cursors, "todesursache", patient_id)
        underlying = [c for c in causes if c.get("IsGrundleiden", "").casefold() == "true"]
        person = rki.patient(row, cause=underlying[0].get("Code") if underlying else None)
        for stated in tumours.of(patient_id):
            key = stated.get(_TUMOUR_KEY, "")
            events = _of(cursors, "folgeereignis", key)
            tnm = {
                element: {
                    field: stated[column] for field, column in fields.items() if column in stated
                }
                for element, fields in _TNM.items()
            }
            yield rki.tumour(
                person,
                stated,
                tnm,
                _therapies(cursors, key),
                earliest(map(rki.recurrence, events)),
            )
    for cursor in cursors.values():
        cursor.finish()


def _therapies(cursors: Mapping[str, "_Cursor"], key: str) -> list[Therapy]:
    found: list[Therapy] = []
    for stated in _of(cursors, "op", key):
        procedures = [ops.get("Code", "") for ops in cursors["ops"].of(stated.get("OPId", ""))]
        found += rki.surgery(stated, procedures)
    for stated in _of(cursors, "st", key):
        found += rki.radiotherapy(list(cursors["bestrahlung"].of(stated.get("STId", ""))))
    for stated in _of(cursors, "syst", key):
        found += rki.systemic(stated)
    return found


def _of(cursors: Mapping[str, "_Cursor"], table: str, key: str) -> Iterator[dict[str, str]]:
    return cursors[table].of(key) if table in cursors else iter(())


def _open(files: Sequence[tuple[BinaryIO, str]], complete: frozenset[str]) -> dict[str, "_Cursor"]:
    cursors: dict[str, _Cursor] = {}
    for stream, name in files:
        table = Table(stream, name)
        found = table_of(table.columns)
        if not found:
            continue
        if found in cursors:
            raise DataError(
                f"{name}: a second oBDS-RKI table '{found}'; wanted one in a delivery, "
                f"got {cursors[found].name} too"
            )
        cursors[found] = _Cursor(found, table)
    wanted = {*_ALWAYS, *(_NEEDS[found] for found in cursors if found in _NEEDS)}
    wanted |= {_DECLARABLE[kind] for kind in complete}
    if missing := sorted(wanted - set(cursors)):
        raise DataError(
            f"oBDS-RKI tables: wanted {', '.join(sorted(wanted))}; missing: {', '.join(missing)}"
        )
    return cursors


class _Cursor:
    """A table that is read forward, one row ahead."""

    def __init__(self, title: str, table: Table) -> None:
        layout = TABLES[title]
        positions = table.positions(
            (layout.parent_key, *layout.columns), f"the oBDS-RKI table '{title}'"
        )
        self.name = table.name
        self._title = title
        self._table = table
        self._positions = tuple(positions.items())
        self._key = positions[layout.parent_key]
        self._rows = table.rows()
        self._number = 0
        self._next: Row | None = None
        self._advance()

    def all(self) -> Iterator[dict[str, str]]:
        """Every row, by column; cells without value are left out."""
        while self._next is not None:
            yield self._take(self._next)

    def of(self, key: str) -> Iterator[dict[str, str]]:
        """The rows that belong to this key, if they come next."""
        while self._next is not None and self._next[self._key].strip() == key:
            yield self._take(self._next)

    def finish(self) -> None:
        """Refuse what is left, and rows of another width: both could hide a therapy."""
        if self._next is not None:
            raise DataError(
                f"{self.name}: row {self._number}: wanted the rows of '{self._title}' in the order "
                "of the table they belong to, got one whose key is not there or came before"
            )
        if self._table.skipped:
            raise DataError(
                f"{self.name}: wanted {len(self._table.columns)} cells in every row, "
                f"got another number in {self._table.skipped}"
            )

    def _take(self, row: Row) -> dict[str, str]:
        self._advance()
        return {
            column: value
            for column, position in self._positions
            if (value := _value(row[position]))
        }

    def _advance(self) -> None:
        self._next = next(self._rows, None)
        self._number += 1


def _value(cell: str) -> str:
    """Undo the export: ``None`` is no value, ``JN_Typ.N`` is ``N``."""
    stated = cell.strip()
    return "" if stated == "None" else stated.removeprefix("JN_Typ.")
