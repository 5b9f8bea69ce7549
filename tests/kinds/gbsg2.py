"""The 686 women of the German Breast Cancer Study Group 2, as records and as a study.

``tests/data/gbsg2_truth.csv`` holds treatment, days of follow-up, death and registry. Source:
lifelines.datasets.load_lymph_node (MIT licence); the split into registries is ours.
"""

import csv
from fractions import Fraction
from functools import cache
from pathlib import Path

from upcare_mpc import kinds
from upcare_mpc.kinds.survival.kind import Survival
from upcare_mpc.privacy.guarantee import Guarantee, gaussian_release, laplace_release
from upcare_mpc.records.case import Case
from upcare_mpc.study.layout import Sensitivity
from upcare_mpc.study.spec import Study, parse

EXACT = kinds.NoiseLaw(variance=0, quantile95=0, scale=0)  # no noise at all
ONE = Sensitivity(1, 1, 1)
HEAD = """
version = 1
title = "Does hormone therapy change survival after breast cancer?"
purpose = "DUO:0000007"
registries = ["de-a", "de-b", "de-c", "fr-a", "fr-b"]
overlap = 1
[cohort]
where = "site = 'C50' and age >= 18"
[privacy]
epsilon = 1.0
"""
ARMS = """
[survival.arms]
"hormone therapy" = "tx_hormone = yes"
"no hormone therapy" = "tx_hormone = no"
"""


def study(kind: str, options: str) -> Study:
    return parse(f'kind = "{kind}"\n{HEAD}\n[{kind}]\n{options}', name="study.toml")


@cache
def laplace(scale: Fraction | int) -> Guarantee:
    """A release with Laplace noise of this scale."""
    return laplace_release(1 / Fraction(scale), ONE, 1)[1]


@cache
def gaussian(epsilon: Fraction | int, delta: Fraction = Fraction(1, 10**9)) -> Guarantee:
    """A release with Gaussian noise; at epsilon 1, 1/2 and 1/10 sigma is about 6, 11 and 53."""
    return gaussian_release(Fraction(epsilon), delta, ONE, 1)[1]


def survival(interval_days: int, intervals: int, landmark_days: int = 0) -> Survival:
    grid = f"interval_days = {interval_days}\nintervals = {intervals}\n"
    return Survival.of(study("survival", f"{grid}landmark_days = {landmark_days}\n{ARMS}"))


def women() -> list[dict[str, str]]:
    path = Path(__file__).parent.parent / "data" / "gbsg2_truth.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def cases() -> list[Case]:
    return [
        Case(
            patient_id=str(number),
            tumour_id="1",
            sequence=1,
            topography="C50.9",
            age=50,
            tx_hormone="yes" if woman["hormone"] == "2" else "no",
            vital_status="dead" if woman["censdead"] == "1" else "alive",
            follow_up_days=int(woman["survtime"]),
            region=woman["centre"].replace("-", ""),
        )
        for number, woman in enumerate(women())
    ]
