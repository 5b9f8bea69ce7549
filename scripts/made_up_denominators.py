#!/usr/bin/env python3
"""Write population files and life tables for the demo registries; all of it is made up.

    scripts/made_up_denominators.py

Population: per registry a number of women, as many men, in groups of five years of age, 1984 to
1991. The shape is a flat one up to 60, then it falls in a straight line; each year has half a
per cent more people. Life table: a law of Gompertz for each sex, 1984 to 1993, whose mortality
falls by one and a half per cent a year. The same program writes the same bytes.
"""

import math
from pathlib import Path

PARTIES = Path(__file__).parents[1] / "parties"
WOMEN = {"de-a": 30_000, "de-b": 20_000, "de-c": 7_000, "fr-a": 14_500, "fr-b": 7_500}
REGIONS = {"fr-a": "FRF11", "fr-b": "FRK24"}
POPULATION_YEARS = range(1984, 1992)
LIFE_TABLE_YEARS = range(1984, 1994)
SHARES = [1.0] * 12 + [0.9, 0.8, 0.65, 0.5, 0.35, 0.3]  # of 0-4, 5-9, ..., 80-84, 85+
SEXES = {1: (-10.0, 0.094), 2: (-11.0, 0.100)}  # ENCR code -> log of mortality at age 0, and slope
OLDEST = 99


def main() -> None:
    """Write all of them."""
    for name, women in WOMEN.items():
        folder = PARTIES / name / "data"
        (folder / "population.csv").write_text(population(women, REGIONS.get(name)), "ascii")
        (folder / "life_table.csv").write_text(life_table(), "ascii")


def population(women: int, region: str | None) -> str:
    """A population file with so many women in 1984."""
    columns = ["Calendar year", "Sex", "Age unit", "Number of residents"]
    lines = [";".join([*columns, "Geo_code"] if region else columns)]
    for year in POPULATION_YEARS:
        for sex in SEXES:
            for group, share in enumerate(SHARES):
                last = group == len(SHARES) - 1
                ages = f"{5 * group}+" if last else f"{5 * group}-{5 * group + 4}"
                people = round(women * share / sum(SHARES) * 1.005 ** (year - 1984))
                cells = [str(year), str(sex), ages, str(people)]
                lines.append(";".join([*cells, region] if region else cells))
    return "\n".join(lines) + "\n"


def life_table() -> str:
    """A life table, the same for all."""
    lines = ["Calendar year;Sex;Annual age;All causes death probability"]
    for year in LIFE_TABLE_YEARS:
        for sex, (start, slope) in SEXES.items():
            for age in range(OLDEST + 1):
                force = math.exp(start + slope * age) * 0.985 ** (year - 1984)
                lines.append(f"{year};{sex};{age};{1 - math.exp(-force):.6f}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
