"""The counts of a quality report are those of the rows engine on the same records."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from frozen_cases import case_rows
from generated_studies import crowd

from upcare_mpc.errors import DataError
from upcare_mpc.quality.checks import CHECKS
from upcare_mpc.quality.counts import EXPECTED, MEASURED, Counts
from upcare_mpc.quality.figures import FIGURES
from upcare_mpc.records.case import Case, well_formed
from upcare_mpc.storage.quality_counts import count
from upcare_mpc.storage.snapshot_rows import ORDERED, write_rows
from upcare_mpc.study import language
from upcare_mpc.study.evaluation import compiled

NEVER_STATES = "ENCR incidence"  # in this test: no side, no cause, no judgement of the death
SILENT = {"side of a paired organ unknown", "dead without cause"}


def format_of(grade: str | None) -> str:
    return {"1": "oBDS 3", "2": "several"}.get(str(grade), NEVER_STATES)


def as_reported(case: Case) -> Case:
    if format_of(case.grade) != NEVER_STATES:
        return case
    return replace(case, laterality=None, cause=None, death_by_tumour=None)


CASES = [as_reported(case) for case in crowd(4000) if well_formed(case)]


def in_formats(batch: Any) -> Any:
    """The rows with a column of formats, made up from another one."""
    formats = pa.array([format_of(grade) for grade in batch["grade"].to_pylist()])
    return pa.record_batch(
        [formats if name == "format" else batch[name] for name in ORDERED.names], schema=ORDERED
    )


@pytest.fixture(scope="module")
def counts(tmp_path_factory: pytest.TempPathFactory) -> Counts:
    folder = tmp_path_factory.mktemp("counts")
    write_rows(map(in_formats, case_rows(CASES)), folder / "rows.parquet", rules=1)
    return count(folder / "rows.parquet", folder / "spill")


@pytest.fixture(scope="module")
def by_group() -> dict[tuple[str, int | None], list[Case]]:
    groups = defaultdict(list)
    for case in CASES:
        groups[format_of(case.grade), case.diagnosis_year].append(case)
    return groups


def condition(text: str) -> Callable[[Case], bool]:
    evaluate = compiled(language.parse(text, place="test"))
    return lambda case: evaluate(case) is True


def test_every_tumour_is_in_one_group(
    counts: Counts, by_group: dict[tuple[str, int | None], list[Case]]
) -> None:
    assert {(group.format, group.year): group.tumours for group in counts.groups} == {
        key: len(cases) for key, cases in by_group.items()
    }
    assert counts.patients == len({case.patient_id for case in CASES})


def test_groups_are_in_order_with_unknown_years_last(counts: Counts) -> None:
    places = [(group.format, group.year is None, group.year or 0) for group in counts.groups]

    assert places == sorted(places)
    assert None in {group.year for group in counts.groups}


@pytest.mark.parametrize("variable", MEASURED)
def test_a_variable_is_known_where_the_records_know_it(
    counts: Counts, by_group: dict[tuple[str, int | None], list[Case]], variable: str
) -> None:
    expects = condition(EXPECTED.get(variable, "true"))

    for group in counts.groups:
        expected = [case for case in by_group[group.format, group.year] if expects(case)]
        assert group.expected[variable] == len(expected)
        assert group.known[variable] == sum(
            getattr(case, variable) is not None for case in expected
        )


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_a_check_finds_what_the_rows_engine_finds(
    counts: Counts, by_group: dict[tuple[str, int | None], list[Case]], check: Any
) -> None:
    finds = condition(check.condition)

    for group in counts.groups:
        silent = group.format == NEVER_STATES and check.name in SILENT
        found = 0 if silent else sum(map(finds, by_group[group.format, group.year]))
        assert group.found.get(check.name, 0) == found


def test_most_checks_find_something_in_this_crowd(counts: Counts) -> None:
    assert len({name for group in counts.groups for name in group.found}) > len(CHECKS) // 3
    assert {name for group in counts.groups for name in group.found} >= SILENT


def test_a_format_that_never_states_a_variable_is_not_blamed_for_it(counts: Counts) -> None:
    silent = [group for group in counts.groups if group.format == NEVER_STATES]

    assert sum(group.known["laterality"] + group.known["cause"] for group in silent) == 0
    assert not SILENT & {name for group in silent for name in group.found}


def test_a_tumour_with_several_errors_counts_once(
    counts: Counts, by_group: dict[tuple[str, int | None], list[Case]]
) -> None:
    for severity in ("error", "warning"):
        checks = [
            (check.name, condition(check.condition))
            for check in CHECKS
            if check.severity == severity
        ]
        for group in counts.groups:
            blamed = sum(
                any(
                    finds(case)
                    for name, finds in checks
                    if not (group.format == NEVER_STATES and name in SILENT)
                )
                for case in by_group[group.format, group.year]
            )
            assert blamed == (group.with_error if severity == "error" else group.with_warning)


def test_figures_are_counted_in_every_group(
    counts: Counts, by_group: dict[tuple[str, int | None], list[Case]]
) -> None:
    for figure in FIGURES:
        counted = condition(figure.condition)
        for group in counts.groups:
            cases = by_group[group.format, group.year]
            assert group.figures[figure.name] == sum(map(counted, cases))


def test_a_snapshot_without_tumours_has_no_groups(tmp_path: Path) -> None:
    write_rows([], tmp_path / "rows.parquet", rules=1)

    assert count(tmp_path / "rows.parquet", tmp_path / "spill") == Counts(patients=0, groups=())


def test_a_file_of_something_else_gets_one_line_without_its_path(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    other = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"name": ["Wilhelmina"]}), other)
    for _ in range(2):
        with pytest.raises(DataError) as caught:
            count(other, tmp_path / "spill")

        assert str(tmp_path) not in str(caught.value)
        assert "Wilhelmina" not in str(caught.value)
        assert "\n" not in str(caught.value)
        other.write_bytes(b"PAR1 broken")
