"""Men with cancer of the pancreas in French districts, as records and as a population.

``tests/data/francim_pancreas_men.csv`` holds cases and person-years of 2007-2015 by age group in
three districts, and in 17 others together. Source: ``dt_calib`` of the R package CalibInc (data of
the network of French cancer registries, FRANCIM); licence GPL-3; input of tests alone, no part of
the package. The names of the regions here are not those of the districts. Persons are made up to
fit the counts.
"""

import csv
from functools import cache
from pathlib import Path

from gbsg2 import HEAD

from upcare_mpc.kinds.incidence.kind import Incidence
from upcare_mpc.records.ages import AGE_GROUPS
from upcare_mpc.records.case import Case
from upcare_mpc.records.reference import Reference, Residents, Stratum
from upcare_mpc.study.spec import parse

REGIONS = {"d_1": "FRK24", "d_10": "FRF11", "d_16": "FRC11", "others": "FRB01"}
BY_REGION = 'by = [{variable = "region", values = ["FRK24", "FRF11", "FRC11", "FRB01"]}]'
WHERE = "site = 'C25' and diagnosis_year between 2007 and 2015"


def incidence(options: str, *, where: str = WHERE, more: str = "") -> Incidence:
    head = HEAD.replace("site = 'C50' and age >= 18", where)
    text = f'kind = "incidence"\n{head}\n{more}\n[incidence]\n{options}'
    return Incidence.of(parse(text, name="study.toml"))


@cache
def districts() -> dict[str, list[tuple[str, int, float]]]:
    """Age group, cases and person-years of each district."""
    path = Path(__file__).parent.parent / "data" / "francim_pancreas_men.csv"
    found: dict[str, list[tuple[str, int, float]]] = {name: [] for name in REGIONS}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            line = (row["age_group"], int(row["cases"]), float(row["person_years"]))
            found[row["district"]].append(line)
    return found


@cache
def cases() -> tuple[Case, ...]:
    return tuple(
        man(f"{name} {age} {number}", 5 * AGE_GROUPS.index(age), REGIONS[name], 2007 + number % 9)
        for name, lines in districts().items()
        for age, count, _ in lines
        for number in range(count)
    )


def man(name: str, age: int, region: str, year: int) -> Case:
    return Case(
        patient_id=name,
        tumour_id="1",
        sequence=1,
        topography="C25.9",
        sex="male",
        age=age,
        diagnosis_year=year,
        region=region,
    )


@cache
def residents() -> Reference:
    """All person-years as if of one year: what is compared does not look at the year."""
    return Reference(
        residents=tuple(
            Residents(
                Stratum(2010, "male", 5 * i, None if i == 17 else 5 * i + 4, REGIONS[name]), people
            )
            for name, lines in districts().items()
            for i, (_, _, people) in enumerate(lines)
        )
    )
