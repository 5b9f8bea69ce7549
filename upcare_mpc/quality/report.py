"""The quality report of a snapshot: counts and reasons, never a value of a record.

The report is for the operator. Its numbers are exact functions of the records, small ones too: it
stays in the registry, and nothing of it is sent anywhere. `quality.text` and `quality.page` show
it; `QualityReport.to_json` is for programs.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from itertools import groupby
from operator import add
from typing import Any, Final, Protocol

from upcare_mpc.quality.checks import CHECKS, Check
from upcare_mpc.quality.counts import MEASURED, Counts, Group
from upcare_mpc.quality.figures import FIGURES

__all__ = [
    "VERSION",
    "Account",
    "Finding",
    "QualityReport",
    "SchemaCheck",
    "Unknown",
    "percent",
    "unknowns",
]

VERSION: Final = 1


class Account(Protocol):
    """What became of the messages; `storage.snapshot.Account` is one."""

    @property
    def messages(self) -> int:
        """Messages and rows read."""

    @property
    def replaced(self) -> int:
        """Of these, replaced by a correction."""

    @property
    def rejected(self) -> Mapping[str, int]:
        """Of these, left out, by reason."""

    @property
    def remarks(self) -> Mapping[str, int]:
        """What was noticed while reading and rejects nothing, by kind."""

    @property
    def formats(self) -> Mapping[str, int]:
        """Files read, by format."""


class SchemaCheck(Protocol):
    """What schema validation found; `ingest.validation.Validation` is one."""

    @property
    def files(self) -> int:
        """Files validated."""

    @property
    def valid_files(self) -> int:
        """Of these, without a finding."""

    @property
    def without_schema(self) -> int:
        """Files that no supplied schema is for."""

    @property
    def patients(self) -> int:
        """Patients in the validated files."""

    @property
    def valid_patients(self) -> int:
        """Of these, without a finding."""

    @property
    def too_large(self) -> int:
        """Of these, not validated because of their size."""

    @property
    def findings(self) -> Mapping[tuple[str, str], int]:
        """Violations by place and kind; both are words of the schema."""


@dataclass(frozen=True, slots=True)
class Finding:
    """How many tumours a check has found; ``by_format`` leaves zeros out."""

    check: Check
    tumours: int
    by_format: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Unknown:
    """How often a variable is unknown.

    Attributes:
        variable: Its name.
        expected: Of how many tumours it should be known.
        unknown: Of how many of these it is not.
    """

    variable: str
    expected: int
    unknown: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityReport:
    """What is known of the quality of one snapshot.

    Attributes:
        snapshot: The snapshot's digest, in hex.
        written: When it was frozen.
        rules: Version of the rules by which messages became cases.
        account: What became of the messages.
        counts: Of the rows of the snapshot (`storage.quality_counts`).
        schemas: What schema validation found, if it was asked for.
    """

    snapshot: str
    written: datetime
    rules: int
    account: Account
    counts: Counts
    schemas: SchemaCheck | None = None

    @property
    def formats(self) -> tuple[Group, ...]:
        """All years of each format together; their ``year`` means nothing."""
        by_format = groupby(self.counts.groups, lambda group: group.format)
        return tuple(reduce(add, groups) for _, groups in by_format)

    @property
    def years(self) -> tuple[Group, ...]:
        """All formats of each year together, unknown last; their ``format`` means nothing."""

        def year(group: Group) -> tuple[bool, int]:
            return group.year is None, group.year or 0

        by_year = groupby(sorted(self.counts.groups, key=year), year)
        return tuple(reduce(add, groups) for _, groups in by_year)

    @property
    def tumours(self) -> int:
        """All tumours."""
        return sum(group.tumours for group in self.counts.groups)

    @property
    def with_error(self) -> int:
        """Tumours with at least one error."""
        return sum(group.with_error for group in self.counts.groups)

    @property
    def with_warning(self) -> int:
        """Tumours with at least one warning."""
        return sum(group.with_warning for group in self.counts.groups)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Checks that found something, errors first, then the most frequent."""
        found = [
            Finding(check, sum(by_format.values()), by_format)
            for check, by_format in self._by_check()
            if by_format
        ]
        return tuple(sorted(found, key=lambda finding: (finding.check.severity, -finding.tumours)))

    @property
    def unknowns(self) -> tuple[Unknown, ...]:
        """All variables that are expected of a tumour, the least known first."""
        return unknowns(self.counts.groups)

    def to_json(self) -> dict[str, Any]:
        """Return the report as an object of JSON; its keys belong to `VERSION`."""
        account = self.account
        return {
            "report": VERSION,
            "snapshot": self.snapshot,
            "written": self.written.isoformat(),
            "rules": self.rules,
            "files": dict(sorted(account.formats.items())),
            "messages": {
                "read": account.messages,
                "replaced": account.replaced,
                "rejected": dict(sorted(account.rejected.items())),
                "remarks": dict(sorted(account.remarks.items())),
            },
            "patients": self.counts.patients,
            "tumours": self.tumours,
            "with_error": self.with_error,
            "with_warning": self.with_warning,
            "groups": [_group(group) for group in self.counts.groups],
            "unknown": {
                each.variable: {
                    "expected": each.expected,
                    "unknown": each.unknown,
                    "percent": round(100 * each.unknown / each.expected, 2),
                }
                for each in sorted(self.unknowns, key=lambda each: each.variable)
            },
            "checks": [
                {
                    "name": check.name,
                    "severity": check.severity,
                    "meaning": check.meaning,
                    "source": check.source,
                    "condition": check.condition,
                    "tumours": sum(by_format.values()),
                    "by_format": by_format,
                }
                for check, by_format in self._by_check()
            ],
            "schemas": None if self.schemas is None else _schemas(self.schemas),
        }

    def _by_check(self) -> Iterator[tuple[Check, dict[str, int]]]:
        by_format = {group.format: Counter(group.found) for group in self.formats}
        for check in CHECKS:
            yield (
                check,
                {name: found[check.name] for name, found in by_format.items() if found[check.name]},
            )


def unknowns(groups: tuple[Group, ...]) -> tuple[Unknown, ...]:
    """Say how often each variable is unknown in some groups, the least known first."""
    found: list[Unknown] = []
    for name in MEASURED:
        expected = sum(group.expected.get(name, 0) for group in groups)
        known = sum(group.known.get(name, 0) for group in groups)
        if expected:
            found.append(Unknown(name, expected, expected - known))
    return tuple(sorted(found, key=lambda each: -each.unknown / each.expected))


def percent(part: int, whole: int) -> str:
    """Spell a share in percent so that only nothing is ``0`` and only all of it is ``100``."""
    if part == 0 or whole == 0:
        return "0" if whole else "-"
    if part == whole:
        return "100"
    tenths = (2000 * part + whole) // (2 * whole)  # rounded half up
    if tenths == 0:
        return "<0.1"
    return ">99.9" if tenths >= 1000 else f"{tenths // 10}.{tenths % 10}"


def _group(group: Group) -> dict[str, Any]:
    return {
        "format": group.format,
        "year": group.year,
        "tumours": group.tumours,
        "with_error": group.with_error,
        "with_warning": group.with_warning,
        "figures": {figure.name: group.figures.get(figure.name, 0) for figure in FIGURES},
        "known": {name: group.known.get(name, 0) for name in MEASURED},
        "expected": {name: group.expected.get(name, 0) for name in MEASURED},
    }


def _schemas(schemas: SchemaCheck) -> dict[str, Any]:
    return {
        "files": schemas.files,
        "valid_files": schemas.valid_files,
        "without_schema": schemas.without_schema,
        "patients": schemas.patients,
        "valid_patients": schemas.valid_patients,
        "too_large": schemas.too_large,
        "findings": [
            {"place": place, "kind": kind, "count": count}
            for (place, kind), count in sorted(schemas.findings.items())
        ],
    }
