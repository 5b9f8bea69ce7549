"""ENCR population, life-table and mortality files: typed rows, or one line that names the bad."""

import io
import runpy
from pathlib import Path

import pytest

from upcare_mpc.errors import DataError
from upcare_mpc.ingest.denominators import (
    DeathProbability,
    Deaths,
    Residents,
    Stratum,
    life_table,
    mortality,
    population,
)

ROOT = Path(__file__).parents[2]
POPULATION = "Calendar year;Sex;Age unit;Geo_code;Number of residents\n"
LIFE_TABLE = "Calendar year;Sex;Age_Unit;All causes death probability\n"
MORTALITY = "Calendar year;Sex;Age unit;Cause of death;Number of deaths\n"


def rows_of(reader, text):
    return list(reader(io.BytesIO(text.encode()), "file"))


def test_the_sample_population_is_read(sample):
    assert rows_of(population, sample("encr_population.csv").decode()) == [
        Residents(Stratum(2021, "male", 69, 69, "FRF11"), 6011.0),
        Residents(Stratum(2021, "male", 70, 74, "FRF11"), 25112.0),
        Residents(Stratum(2021, "female", 85, None, "FRF11"), 30123.5),
    ]


def test_the_sample_life_table_is_read(sample):
    assert rows_of(life_table, sample("encr_life_table.csv").decode()) == [
        DeathProbability(Stratum(2021, "male", 69, 69, None), 0.0181),
        DeathProbability(Stratum(2021, "female", 69, 69, None), 0.0091),
    ]


def test_the_sample_mortality_file_is_read(sample):
    assert rows_of(mortality, sample("encr_mortality.csv").decode()) == [
        Deaths(Stratum(2021, "male", 69, 69, None), "C61", 41),
        Deaths(Stratum(2021, "male", 69, 69, None), "C67.9", 7),
        Deaths(Stratum(2021, "female", 85, None, None), "C50.9", 1203),
    ]


@pytest.mark.parametrize(
    "header",
    [
        "Calendar_Year,Sex,Age unit,Geo_code,Number of residents",
        "calendar year,SEX,Age.Unit,GEO CODE,number_of_residents",
        "\ufeffCalendar year,Sex,Annual age,Geo_code,Number of residents",
        '"Calendar year","Sex","Age unit","Geo_code","Number of residents"',
    ],
)
def test_names_of_columns_are_compared_without_case_blanks_and_signs(header):
    (row,) = rows_of(population, header + "\n2021,2,0,FRF,7\n")

    assert row == Residents(Stratum(2021, "female", 0, 0, "FRF"), 7.0)


def test_the_region_is_optional():
    (row,) = rows_of(population, POPULATION.replace("Geo_code;", "") + "2021;2;0;7\n")

    assert row.stratum.region is None


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ("21;1;0;FRF;5", "wanted a calendar year of four digits"),
        ("2021;9;0;FRF;5", r"wanted sex 1 \(male\) or 2 \(female\)"),
        ("2021;1;old;FRF;5", r"wanted an age like 67, 65-69 or 85\+"),
        ("2021;1;69-65;FRF;5", "wanted an age like"),
        ("2021;1;0;75056;5", "wanted a NUTS code in Geo_code"),
        ("2021;1;0;FRF;", "wanted a number in Number of residents"),
        ("2021;1;0;FRF;-5", "wanted a number in Number of residents"),
        ("2021;1;0;FRF;nan", "wanted a number in Number of residents"),
        ("2021;1;0;FRF;1e999", "wanted a number in Number of residents"),
        ("2021;1;1;FRF;5", "wanted every year, sex, age and region once"),
    ],
)
def test_one_bad_row_fails_the_file_and_is_named(row, text):
    with pytest.raises(DataError, match=f"^file: row 2: {text}") as caught:
        rows_of(population, POPULATION + "2021;1;1;FRF;4\n" + row + "\n")

    assert "\n" not in str(caught.value)


def test_a_probability_is_at_most_one():
    rows_of(life_table, LIFE_TABLE + "2021;1;99;1\n")
    with pytest.raises(DataError, match=r"^file: row 1: wanted a probability from 0 to 1"):
        rows_of(life_table, LIFE_TABLE + "2021;1;99;1.01\n")


def test_a_missing_column_is_named():
    with pytest.raises(DataError, match=r"^file: line 1: an ENCR life table; missing: Cal"):
        rows_of(life_table, LIFE_TABLE.replace("Calendar year", "Year"))


def test_a_row_of_another_width_fails_the_file():
    with pytest.raises(DataError, match="wanted 4 cells in every row, got another number in 1"):
        rows_of(life_table, LIFE_TABLE + "2021;1;5\n2021;1;4;0.1\n")


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ("2021;1;69;;5", "wanted an ICD-10 code as cause"),
        ("2021;1;69;1749;5", "wanted an ICD-10 code as cause"),
        ("2021;1;69;C61;5.5", "wanted a whole number of deaths"),
        ("2021;1;69;C61;", "wanted a number in Number of deaths"),
        ("2021;1;69;C50.9;5", "wanted every year, sex, age, region and cause once"),
        ("2021;3;69;C61;5", "wanted sex 1"),
    ],
)
def test_one_bad_row_fails_a_mortality_file(row, text):
    with pytest.raises(DataError, match=f"^file: row 2: {text}") as caught:
        rows_of(mortality, MORTALITY + "2021;1;69;C509;4\n" + row + "\n")

    assert "\n" not in str(caught.value)


def test_the_files_of_the_demo_are_what_their_program_writes(party_reference):
    program = runpy.run_path(str(ROOT / "scripts" / "made_up_denominators.py"))

    for name, women in program["WOMEN"].items():
        data = ROOT / "parties" / name / "data"
        people = program["population"](women, program["REGIONS"].get(name))

        found = party_reference(name)

        assert (data / "population.csv").read_text("ascii") == people
        assert (data / "life_table.csv").read_text("ascii") == program["life_table"]()
        assert {group.stratum.year for group in found.residents} == set(range(1984, 1992))
        for sex in ("female", "male"):
            in_1984 = [
                group.count
                for group in found.residents
                if (group.stratum.sex, group.stratum.year) == (sex, 1984)
            ]
            assert sum(in_1984) == pytest.approx(women, abs=10)
            assert found.life_table.years(sex) == range(1984, 1994)
