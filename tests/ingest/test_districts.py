"""District keys have the NUTS codes that the shipped table says."""

from upcare_mpc.ingest.districts import nuts, nuts_by_district
from upcare_mpc.records.variables import VARIABLES


def test_known_districts_have_their_codes():
    assert nuts("11000") == "DE300"  # Berlin
    assert nuts("09162") == "DE212"  # Munich, city
    assert nuts("05315") == "DEA23"  # Cologne
    assert nuts("14729") == "DED52"  # Leipzig, district
    assert nuts("01099") == "DEF"  # Schleswig-Holstein as a whole


def test_what_is_no_key_of_the_table_has_no_region():
    assert nuts("14526") is None  # abolished
    assert nuts("99999") is nuts("") is nuts(None) is nuts("1100") is None


def test_the_table_is_whole_and_fits_the_record():
    table = nuts_by_district()
    lengths = [len(code) for code in table.values()]

    assert (len(table), lengths.count(5), lengths.count(4), lengths.count(3)) == (436, 401, 19, 16)
    assert all(len(key) == 5 and key.isdigit() for key in table)
    assert all(VARIABLES["region"].type.accepts(code) for code in table.values())
    districts = [code for code in table.values() if len(code) == 5]
    assert len(set(districts)) == len(districts)
