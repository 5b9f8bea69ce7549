"""A report whose counts were made up, so that each is one of its kind."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from upcare_mpc.quality.counts import MEASURED, Counts, Group
from upcare_mpc.quality.report import QualityReport


@dataclass(frozen=True)
class MadeUpAccount:
    messages: int = 8_101
    replaced: int = 402
    rejected: dict[str, int] = field(
        default_factory=lambda: {"no date of diagnosis": 17, "no tumour <key>": 96}
    )
    remarks: dict[str, int] = field(default_factory=lambda: {"death before diagnosis": 23})
    formats: dict[str, int] = field(default_factory=lambda: {"oBDS 3": 5, "ENCR incidence": 1})


@dataclass(frozen=True)
class MadeUpSchemaCheck:
    files: int = 5
    valid_files: int = 3
    without_schema: int = 1
    patients: int = 700
    valid_patients: int = 655
    too_large: int = 2
    findings: dict[tuple[str, str], int] = field(
        default_factory=lambda: {("Meldung", "ends too early"): 7, ("<b>", "value too long"): 38}
    )


@pytest.fixture
def group() -> Callable[..., Group]:
    """Tumours of which every variable is expected, and known but where it is said."""

    def build(
        format_: str,
        year: int | None,
        tumours: int,
        *,
        unknown: dict[str, int] | None = None,
        found: dict[str, int] | None = None,
        with_error: int = 0,
        with_warning: int = 0,
    ) -> Group:
        return Group(
            format=format_,
            year=year,
            tumours=tumours,
            expected=dict.fromkeys(MEASURED, tumours),
            known={name: tumours - (unknown or {}).get(name, 0) for name in MEASURED},
            found=found or {},
            figures={"microscopically verified": tumours - 1, "death certificate only": 1},
            with_error=with_error,
            with_warning=with_warning,
        )

    return build


@pytest.fixture
def report(group: Callable[..., Group]) -> QualityReport:
    """Two formats, two years, one of them unknown."""
    groups = (
        group("ENCR incidence", 2019, 300, unknown={"laterality": 300, "stage": 30}),
        group(
            "oBDS 3",
            2019,
            1_000,
            unknown={"stage": 100},
            found={"age over 110": 2, "in situ sarcoma": 1},
            with_error=1,
            with_warning=2,
        ),
        group("oBDS 3", None, 50, found={"age over 110": 5}, with_warning=5),
    )
    return QualityReport(
        snapshot="c0ffee" * 10 + "abcd",
        written=datetime(2026, 3, 4, 5, 6, tzinfo=UTC),
        rules=3,
        account=MadeUpAccount(),
        counts=Counts(patients=1_234, groups=groups),
        schemas=MadeUpSchemaCheck(),
    )
