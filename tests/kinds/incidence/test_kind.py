"""Rates, ratios and trends of a study: equal to R and to the oracle, and never a wrong number."""

import json
from collections.abc import Hashable
from typing import Any

import numpy as np
import pytest
import vl_convert
from gbsg2 import EXACT, laplace
from registry_areas import (
    BY_REGION,
    REGIONS,
    WHERE,
    cases,
    districts,
    incidence,
    man,
    residents,
)

from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.incidence.kind import Incidence
from upcare_mpc.kinds.incidence.standards import STANDARDS
from upcare_mpc.kinds.kind import NoiseLaw, Result
from upcare_mpc.records.ages import AGE_GROUPS
from upcare_mpc.records.reference import Reference, Residents, Stratum
from upcare_mpc.stats.incidence import crude_rate, expected_cases, standardised_rate
from upcare_mpc.study.layout import Sensitivity
from upcare_mpc.study.rows import tabulate

LAW = NoiseLaw.of(laplace(1))
# R 4.2.2 on the 20 districts: crude and standardised rates and their standard errors, and the
# ratio to all districts with its exact Poisson limits.
IN_R = {
    "d_1": (
        (17.2943116687, 9.1255742883, 0.42780143518, 20.7195912616, 0.92720094307),
        (0.95755156912, 0.87654931118, 1.0440257545),
    ),
    "d_10": (
        (16.7017683916, 9.6271740641, 0.32739736738, 22.1528636305, 0.72877998652),
        (1.0195331912, 0.95585560072, 1.0863376556),
    ),
    "d_16": (
        (16.8319942547, 9.5587252544, 0.48811990047, 20.3791034636, 1.0096009049),
        (0.96635574196, 0.87613508712, 1.0633449859),
    ),
}


def answer(kind: Incidence, noise: NoiseLaw = EXACT) -> Result:
    vector = tabulate(kind.measures(), kind.layout(), cases(), residents())
    drawn = noise.draws(vector.shape, np.random.default_rng(4)).astype(np.int64)
    return kind.finish(vector + drawn, noise)


def figure(result: Result, measure: str, **where: str) -> dict[Hashable, Any]:
    rows = result.rows[result.rows["measure"] == measure]
    for name, label in where.items():
        rows = rows[rows[name] == label]
    (row,) = rows.to_dict(orient="records")
    return row


@pytest.mark.parametrize("district", IN_R)
def test_without_noise_rates_and_ratios_are_those_of_r(district: str) -> None:
    rates, ratio = IN_R[district]
    result = answer(incidence(f'{BY_REGION}\nreference = "pooled"'))
    region = REGIONS[district]

    found = [figure(result, name, region=region)["estimate"] for name in ("crude", "ASR world")] + [
        figure(result, "ASR esp2013", region=region)["estimate"]
    ]
    sir = figure(result, "SIR", region=region)

    assert found == pytest.approx([rates[0], rates[1], rates[3]], rel=1e-9)
    assert [sir["estimate"], sir["ci_low"], sir["ci_high"]] == pytest.approx(ratio, rel=1e-9)


@pytest.mark.parametrize("district", IN_R)
def test_the_oracle_gives_what_r_gives(district: str) -> None:
    crude, world, world_error, european, european_error = IN_R[district][0]
    lines = districts()[district]
    ages = [age for age, count, _ in lines for _ in range(count)]
    people = {age: years for age, _, years in lines}

    found = [
        standardised_rate(ages, people, dict(zip(AGE_GROUPS, STANDARDS[name], strict=True)))
        for name in ("world", "esp2013")
    ]

    assert 1e5 * crude_rate(ages, people).value == pytest.approx(crude, rel=1e-9)
    assert [1e5 * rate.value for rate in found] == pytest.approx([world, european], rel=1e-9)
    errors = [1e5 * rate.standard_error for rate in found]
    assert errors == pytest.approx([world_error, european_error], rel=1e-9)


def test_a_ratio_to_stated_rates_is_that_of_the_oracle() -> None:
    rates = [0, 0, 0, 0, 0.1, 0.2, 0.5, 1, 3, 7, 15, 25, 38, 55, 70, 85, 95, 101.125]
    kind = incidence(f"{BY_REGION}\nreference = {{ rates = {rates} }}")
    people = {age: years for age, _, years in districts()["d_10"]}
    known = {age: rate / 1e5 for age, rate in zip(AGE_GROUPS, rates, strict=True)}

    found = figure(answer(kind), "SIR", region="FRF11")

    assert found["estimate"] == pytest.approx(954 / expected_cases(people, known), rel=1e-9)


def test_no_patient_moves_the_population() -> None:
    kind = incidence(BY_REGION)
    without = tabulate(kind.measures(), kind.layout(), cases()[1:], residents())

    moved = tabulate(kind.measures(), kind.layout(), cases(), residents()) - without

    assert abs(moved).sum() == 1
    assert moved[kind.layout().tables[0].cells :].any() == np.False_
    assert kind.layout().sensitivity == Sensitivity(1, 1, 1)


def test_sites_share_one_population() -> None:
    kind = incidence(
        'by = [{variable = "site", values = ["C25", "C50"]}]\nstandards = ["world"]',
        where="site in ('C25', 'C50') and diagnosis_year between 2007 and 2015",
    )

    result = answer(kind)

    assert kind.layout().tables[1].shape == (18,)
    both = [figure(result, "crude", site=site)["person_years"] for site in ("C25", "C50")]
    assert both == pytest.approx([59794966.0] * 2)
    assert figure(result, "crude", site="C50")["estimate"] == 0


def test_own_weights_and_own_ages() -> None:
    kind = incidence(
        'ages = { from = 60, width = 10, to = 79 }\nstandards = ["world", '
        '{ name = "own", weights = [3, 1.5] }]'
    )

    result = answer(kind)

    assert kind.layout().tables[0].dimensions[0].labels == ("60-69", "70-79")
    young, old = (figure(result, "age-specific", **{"age group": age})["estimate"]
                  for age in ("60-69", "70-79"))  # fmt: skip
    assert figure(result, "ASR own")["estimate"] == pytest.approx((2 * young + old) / 3)
    assert figure(result, "ASR world")["estimate"] == pytest.approx((7 * young + 3 * old) / 10)


def test_a_stratum_without_people_says_so_and_has_no_number() -> None:
    kind = incidence('by = [{variable = "region", values = ["FRK24", "FRH01"]}]\n'
                     'reference = "pooled"')  # fmt: skip
    extra = [man(f"lost {i}", 70, "FRH01", 2010) for i in range(50)]
    vector = tabulate(kind.measures(), kind.layout(), [*cases(), *extra], residents())

    result = kind.finish(vector, LAW)
    lost = result.rows[result.rows["region"] == "FRH01"]

    assert lost["remark"].str.startswith("no person-years").all()
    assert lost["estimate"].isna().all()
    assert "NaN" not in json.dumps(result.records(), allow_nan=False)
    assert figure(result, "SIR", region="FRK24")["estimate"] == pytest.approx(1)


def test_a_missing_age_group_is_named_and_leaves_no_standardised_rate() -> None:
    kind = incidence("", where=f"{WHERE} and age >= 15")

    result = answer(kind)

    remark = figure(result, "ASR world")["remark"]
    assert remark == "no person-years that stand out from the noise, at ages 0-4, 5-9, 10-14"
    assert figure(result, "crude")["remark"] is None
    older = sum(years for lines in districts().values() for _, _, years in lines[3:])
    assert figure(result, "crude")["person_years"] == pytest.approx(older)


def test_a_rate_below_zero_is_shown_as_zero_and_says_so() -> None:
    kind = incidence("")
    vector = tabulate(kind.measures(), kind.layout(), [], residents())
    vector[:18] = -2

    result = kind.finish(vector, LAW)
    rates = result.rows[result.rows["measure"] != "total"]

    assert (rates["estimate"] == 0).all()
    assert (rates["remark"] == "the noise brought it below zero").all()
    assert (rates["ci_high"] >= 0).all()


def test_an_empty_registry_gives_no_number_at_all() -> None:
    kind = incidence(f'{BY_REGION}\nreference = "pooled"')

    result = kind.finish(np.zeros(kind.layout().cells, np.int64), LAW)

    assert result.rows["estimate"].isna().all()
    assert result.rows["remark"].notna().all()
    with pytest.raises(StudyError, match="nothing to draw"):
        kind.chart(result, title="t")


def test_ratios_of_each_sex_to_its_own_rates() -> None:
    female, male = [0] * 17 + [10], [0] * 17 + [20]
    kind = incidence(
        f'by = ["sex"]\nreference = {{ rates = {{ female = {female}, male = {male} }} }}'
    )
    both = Reference(
        tuple(
            Residents(Stratum(2010, sex, 5 * i, None if i == 17 else 5 * i + 4, None), 1e5)
            for sex in ("female", "male")
            for i in range(18)
        )
    )
    men = [man(str(i), 90, "FRK24", 2010) for i in range(30)]

    result = kind.finish(tabulate(kind.measures(), kind.layout(), men, both), EXACT)

    assert figure(result, "SIR", sex="male")["estimate"] == pytest.approx(1.5)
    assert figure(result, "SIR", sex="female")["estimate"] == 0
    assert figure(result, "SIR", sex="other")["remark"].startswith("no ")


@pytest.mark.parametrize(
    "options",
    [
        f'{BY_REGION}\nreference = "pooled"',
        'by = [{variable = "diagnosis_year", from = 2007, to = 2015}]\ntrend = true',
        "",
    ],
)
def test_each_form_has_a_chart(options: str) -> None:
    kind = incidence(options)
    people = Reference(
        tuple(
            Residents(Stratum(year, "male", 5 * i, None if i == 17 else 5 * i + 4, region), 4e5)
            for year in range(2007, 2016)
            for region in REGIONS.values()
            for i in range(18)
        )
    )
    vector = tabulate(kind.measures(), kind.layout(), cases(), people)

    drawn = kind.chart(kind.finish(vector, LAW), title="Pancreas").to_json()

    assert "ASR world" in vl_convert.vegalite_to_svg(drawn)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ('by = ["age_group"]', "wanted no dimension of age"),
        ('by = [{name = "x", arms = {"a" = "sex = male and stage = 1"}}]', "got both in x"),
        ("ages = { from = 0, width = 7, open = 85 }", "wanted groups of 7 years that fill"),
        ("ages = { open = 85, to = 84 }", "wanted one of open and to"),
        ('ages = { width = 17, open = 85 }\nstandards = ["world"]', "made of those of world"),
        ('standards = ["europe"]', "wanted world, esp2013, esp1976"),
        ('standards = ["world", "world"]', "wanted names that differ"),
        ('standards = [{ name = "o", weights = [1] }]', "one for each of 18 age groups"),
        ('by = ["sex"]\ntrend = true', "wanted three or more single years"),
        ('by = ["sex"]\nreference = "pooled"', "wanted years or regions"),
        ('by = ["sex"]\nreference = { rates = [1] }', "reference.rates: wanted a table"),
        ("reference = { rates = [1] }", "a rate per 100,000 for each of 18"),
        ('by = ["stage"]\nreference = { rates = [1] }', "dimensions that a population has"),
        ('by = [{variable = "sex", name = "cases"}]', "wanted names that differ, got cases"),
        ('by = ["sex", {variable = "age", name = "x"}]', "wanted no dimension of age"),
    ],
)
def test_what_would_give_a_wrong_rate_is_refused_by_name(options: str, wanted: str) -> None:
    with pytest.raises(StudyError) as refused:
        incidence(options)

    assert wanted in str(refused.value)


@pytest.mark.parametrize(
    ("where", "wanted"),
    [
        ("site = 'C25'", "wanted a first and a last year"),
        ("diagnosis_year >= 2007", "wanted a first and a last year"),
        (f"{WHERE} and stage is known", "would leave all residents out"),
        (f"{WHERE} and not (stage is unknown)", "would leave all residents out"),
    ],
)
def test_a_cohort_that_no_resident_can_be_in_is_refused(where: str, wanted: str) -> None:
    with pytest.raises(StudyError) as refused:
        incidence("", where=where)

    assert wanted in str(refused.value)


def test_a_cohort_may_ask_that_sex_is_known_or_stage_is_not() -> None:
    kind = incidence("", where=f"{WHERE} and sex is known and (stage is unknown or stage != 0)")

    assert figure(answer(kind), "crude")["person_years"] == pytest.approx(59794966.0)


def test_small_cells_cannot_be_suppressed() -> None:
    with pytest.raises(StudyError, match="whose rates need every cell"):
        incidence("", more="[release]\nsuppress_below = 5")


def test_the_preview_agrees_with_a_simulation() -> None:
    """Each quantile of 4,000 draws is within 10 % of what is stated, but once in 10^6 runs."""
    kind = incidence(f'{BY_REGION}\nstandards = ["world"]')
    generator = np.random.default_rng(8)
    weights = np.array(STANDARDS["world"], dtype=float)
    drawn = LAW.draws((4000, 18), generator)
    evenly = 10_000 / 4 / 18

    stated = {figure.figure: figure.error95[2] for figure in kind.preview(LAW).figures}

    crude = np.quantile(abs(drawn.sum(axis=1)), 0.95) / (18 * evenly)
    world = np.quantile(abs(drawn @ weights), 0.95) / (weights.sum() * evenly)
    single = np.quantile(abs(drawn[:, 0]), 0.95) / evenly
    assert stated["crude rate"] == pytest.approx(100 * crude, rel=0.1)
    assert stated["ASR world"] == pytest.approx(100 * world, rel=0.1)
    assert stated["age-specific rate"] == pytest.approx(100 * single, rel=0.15)
