"""The quality report as one HTML file, which needs nothing besides itself.

No script, no font, no image and no style sheet from elsewhere; readable on a phone and on paper.
Whatever comes from outside (reasons, formats, places in a schema) is escaped by the template.
"""

from functools import cache
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from upcare_mpc.quality.checks import CHECKS
from upcare_mpc.quality.counts import EXPECTED, Group
from upcare_mpc.quality.figures import FIGURES
from upcare_mpc.quality.report import QualityReport, percent, unknowns

__all__ = ["render"]

_BY_YEAR: Final = (
    "sex",
    "age",
    "site_group",
    "morphology",
    "basis",
    "stage",
    "region",
    "vital_status",
    "follow_up_days",
)


def render(report: QualityReport) -> str:
    """Return the report as a page of HTML."""
    found = {finding.check.name for finding in report.findings}
    schemas = report.schemas
    return _template().render(
        report=report,
        account=report.account,
        figures=FIGURES,
        by_year=_BY_YEAR,
        largest_year=max((year.tumours for year in report.years), default=0),
        silent=[check for check in CHECKS if check.name not in found],
        violations=[]
        if schemas is None
        else sorted(schemas.findings.items(), key=lambda item: (-item[1], item[0])),
        expected=EXPECTED,
        percent=percent,
        known=_known,
        share=_share,
        unknown=_unknown,
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("upcare_mpc", "quality"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2")


def _known(group: Group, variable: str) -> str:
    return percent(group.known.get(variable, 0), group.expected.get(variable, 0))


def _share(group: Group, variable: str) -> float:
    """What `_known` says, for the length of a bar."""
    expected = group.expected.get(variable, 0)
    return round(100 * group.known.get(variable, 0) / expected, 1) if expected else 0.0


def _unknown(group: Group, variable: str) -> str:
    found = {each.variable: each for each in unknowns((group,))}
    if variable not in found:
        return "-"
    return percent(found[variable].unknown, found[variable].expected)
