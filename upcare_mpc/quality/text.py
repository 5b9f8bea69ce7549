"""The quality report for a terminal: at most 96 columns, short, the worst first."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Final

from upcare_mpc.quality.counts import Group
from upcare_mpc.quality.report import QualityReport, SchemaCheck, percent, unknowns

__all__ = ["render"]

_MOST: Final = 12
_YEARS: Final = 15
_FIGURES: Final = ("microscopically verified", "death certificate only")
_VARIABLES: Final = ("morphology", "stage", "vital_status", "follow_up_days")
_HEAD: Final = ("error", "warning", "micro", "DCO", "morph.", "stage", "status", "days")
_KEY: Final = (
    "error, warning, micro (microscopically verified), DCO (death certificate only): percent",
    "morph(ology), stage, (vital) status, days (of follow-up): percent known",
)


def render(report: QualityReport) -> str:
    """Return the report as plain text, with a newline at the end."""
    parts = (
        _messages(report),
        _checks(report),
        _unknown(report),
        _table("Formats", [(group.format, group) for group in report.formats]),
        _years(report),
        () if report.schemas is None else _schemas(report.schemas),
    )
    return "\n".join(line.rstrip() for line in chain.from_iterable(parts)) + "\n"


def _messages(report: QualityReport) -> Iterator[str]:
    account = report.account
    rejected = sum(account.rejected.values())
    yield f"Quality of snapshot {report.snapshot[:12]}, frozen {report.written:%Y-%m-%d %H:%M}"
    yield "Exact figures, small ones too: they stay in this registry."
    yield ""
    yield f"{report.counts.patients:>12,}  patients"
    yield f"{report.tumours:>12,}  tumours"
    yield f"{sum(account.formats.values()):>12,}  files"
    yield f"{account.messages:>12,}  messages"
    yield f"{account.replaced:>12,}  of them replaced by a correction"
    yield f"{rejected:>12,}  of them rejected"
    yield from _list("Rejected messages", account.rejected)
    yield from _list("Noticed while reading", account.remarks)


def _checks(report: QualityReport) -> Iterator[str]:
    yield ""
    yield "Implausible tumours"
    yield _share(report.with_error, report.tumours, "with at least one error")
    yield _share(report.with_warning, report.tumours, "with at least one warning")
    if report.findings:
        yield ""
    for found in report.findings[:_MOST]:
        yield f"{found.tumours:>12,}  {found.check.severity:<7}  {found.check.name}"
    yield from _left_out(report.findings)


def _unknown(report: QualityReport) -> Iterator[str]:
    found = [each for each in report.unknowns if each.unknown]
    yield ""
    yield "Unknown values (of the tumours for which the variable is expected)"
    for each in found[:_MOST]:
        yield _share(each.unknown, each.expected, each.variable)
    yield from _left_out(found)


def _years(report: QualityReport) -> Iterator[str]:
    years = report.years
    rows = [("unknown" if year.year is None else str(year.year), year) for year in years[-_YEARS:]]
    yield from _table("Years of diagnosis", rows)
    if len(years) > _YEARS:
        yield f"    {len(years) - _YEARS} earlier years are in the page and in the JSON"
    yield from (f"    {line}" for line in _KEY)


def _schemas(schemas: SchemaCheck) -> Iterator[str]:
    yield ""
    yield "Validation against the supplied schemas"
    yield _share(schemas.valid_files, schemas.files, f"of {schemas.files:,} files valid")
    yield _share(
        schemas.valid_patients, schemas.patients, f"of {schemas.patients:,} patients in them valid"
    )
    if schemas.without_schema:
        yield f"{schemas.without_schema:>12,}  files without a supplied schema"
    if schemas.too_large:
        yield f"{schemas.too_large:>12,}  patients too large to validate"
    findings = sorted(schemas.findings.items(), key=lambda found: (-found[1], found[0]))
    for (place, kind), count in findings[:_MOST]:
        yield f"{count:>12,}  {place}: {kind}"
    yield from _left_out(findings)


def _table(title: str, rows: Iterable[tuple[str, Group]]) -> Iterator[str]:
    yield ""
    yield f"{title:<20}{'tumours':>10}" + "".join(f"{word:>8}" for word in _HEAD)
    for name, group in rows:
        unknown = {each.variable: each for each in unknowns((group,))}
        cells = [_of(group.with_error, group), _of(group.with_warning, group)]
        cells += [_of(group.figures.get(figure, 0), group) for figure in _FIGURES]
        cells += [
            percent(unknown[name].expected - unknown[name].unknown, unknown[name].expected)
            for name in _VARIABLES
        ]
        yield f"    {name:<16}{group.tumours:>10,}" + "".join(f"{cell:>8}" for cell in cells)


def _list(title: str, counts: Mapping[str, int]) -> Iterator[str]:
    if not counts:
        return
    yield ""
    yield title
    found = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    for reason, count in found[:_MOST]:
        yield f"{count:>12,}  {reason}"
    yield from _left_out(found)


def _left_out(found: Sequence[object]) -> Iterator[str]:
    if len(found) > _MOST:
        yield f"              and {len(found) - _MOST} more in the page and in the JSON"


def _of(part: int, group: Group) -> str:
    return percent(part, group.tumours)


def _share(part: int, whole: int, words: str) -> str:
    return f"{part:>12,}  {percent(part, whole):>5} %  {words}"
