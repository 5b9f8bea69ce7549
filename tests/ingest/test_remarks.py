"""What is noticed in records that are used all the same: counted by kind, without a value."""

import pytest

from upcare_mpc.ingest import encr

EXAMINED = (
    "<Verlauf><Untersuchungsdatum_Verlauf>{}</Untersuchungsdatum_Verlauf>"
    "<Gesamtbeurteilung_Tumorstatus>{}</Gesamtbeurteilung_Tumorstatus></Verlauf>"
)
DIED = "<Tod><Sterbedatum>{}</Sterbedatum></Tod>"
HORMONE = "<SYST><Therapieart>{}</Therapieart><Beginn>{}</Beginn></SYST>"
GRADED = "<Diagnose><Histologie><Grading>{}</Grading></Histologie></Diagnose>"
STAGED = "<Diagnose><cTNM><T>{}</T><N>{}</N><UICC_Stadium>{}</UICC_Stadium></cTNM></Diagnose>"


def remarks_of(delivery):
    return dict(delivery.tally.remarks)


# The order of dates (diagnosed 2010-03-01, born 1950-06-15)


@pytest.mark.parametrize(
    ("inside", "remark"),
    [
        (DIED.format("2010-02-28"), "death before diagnosis"),
        (EXAMINED.format("2010-02-28", "Y"), "recurrence before diagnosis"),
        (HORMONE.format("HO", "2009-11-30"), "therapy more than 90 days before diagnosis"),
    ],
)
def test_a_date_before_the_diagnosis_is_noticed(read_bytes, obds, assignment, inside, remark):
    delivery = read_bytes(obds(assignment() + inside))

    assert remarks_of(delivery) == {remark: 1}
    assert delivery.tumours == 1


@pytest.mark.parametrize(
    "inside",
    [
        DIED.format("2010-03-01"),
        DIED.format(""),
        EXAMINED.format("2010-02-28", "P"),
        HORMONE.format("HO", "2009-12-01"),
    ],
)
def test_what_may_be_is_not_noticed(read_bytes, obds, assignment, inside):
    assert remarks_of(read_bytes(obds(assignment() + inside))) == {}


@pytest.mark.parametrize(("flag", "noticed"), [("E", 1), ("T", 0), ("M", 0), ("V", 0)])
def test_an_estimated_day_is_not_held_against_a_source(read_bytes, obds, assignment, flag, noticed):
    """Death stands in the month of the diagnosis, some days before it."""
    file = obds(assignment("2010-03-31", flag=flag) + DIED.format("2010-03-01"))

    assert remarks_of(read_bytes(file)).get("death before diagnosis", 0) == noticed


def test_a_last_contact_before_diagnosis_is_noticed(read_bytes, sample):
    alive = (
        sample("obds_rki.xml")
        .replace(b"<Verstorben>J", b"<Verstorben>N")
        .replace(b">2024-06-15<", b">2019-06-15<")
    )

    assert remarks_of(read_bytes(sample("obds_rki.xml"))) == {}
    assert set(remarks_of(read_bytes(alive))) == {"last contact before diagnosis"}


@pytest.mark.parametrize(
    ("birth", "remark"),
    [("2010-03-02", "birth after diagnosis"), ("1885-01-01", "age that cannot be")],
)
def test_an_age_that_cannot_be_is_noticed(read_bytes, obds, assignment, birth, remark):
    delivery = read_bytes(obds(assignment(), birth=birth))

    assert remarks_of(delivery) == {remark: 1}
    assert delivery.cases[0].age is None


# Contradictions


def test_a_diagnosis_date_stated_differently_is_noticed_once_a_tumour(read_bytes, obds, assignment):
    file = obds(
        assignment(), assignment("2010-04-01"), assignment("2010-05-01"), assignment(key="2")
    )

    assert remarks_of(read_bytes(file)) == {"diagnosis date stated differently": 1}


def test_a_sex_stated_differently_is_noticed_with_each_tumour(read_bytes, obds, assignment):
    said = obds(assignment(), assignment(key="2"))
    later = obds('<Meldung Meldung_ID="x" Melder_ID="m">' + assignment() + "</Meldung>")

    unknown = later.replace(b"<Geschlecht>W", b"<Geschlecht>U")
    other = later.replace(b"<Geschlecht>W", b"<Geschlecht>M")

    assert remarks_of(read_bytes(said, unknown)) == {}
    assert remarks_of(read_bytes(said, other)) == {"sex stated differently": 2}


# What cannot be read


@pytest.mark.parametrize(
    ("inside", "remark"),
    [
        (DIED.format("31.12.2010"), "a date that cannot be read"),
        (DIED.format("2010-02-31"), "a date that cannot be read"),
        (GRADED.format("9"), "grade: not a code"),
        (STAGED.format("5", "0", "I"), "t: not a code"),
        (STAGED.format("1", "9", "I"), "n: not a code"),
        (STAGED.format("1", "0", "VI"), "stage: not a code"),
        (HORMONE.format("HH", "2010-04-01"), "therapy: not a code"),
    ],
)
def test_what_is_no_date_or_code_is_noticed(read_bytes, obds, assignment, inside, remark):
    assert remarks_of(read_bytes(obds(assignment() + inside))) == {remark: 1}


@pytest.mark.parametrize(
    "inside",
    [
        DIED.format(" "),
        DIED.format("1800-01-01"),
        *(GRADED.format(code) for code in ("X", "L", "M", "H", "B", "U", "T", "0", "")),
        STAGED.format("X", "X", "okk"),
        STAGED.format("a", "", ""),
        HORMONE.format("WW", "2010-04-01"),
    ],
)
def test_what_says_unknown_in_its_own_list_is_not_noticed(read_bytes, obds, assignment, inside):
    assert remarks_of(read_bytes(obds(assignment() + inside))) == {}


def test_a_code_that_is_wrong_ten_times_is_one_remark_on_one_tumour(read_bytes, obds, assignment):
    file = obds(*[assignment(icd="50.9")] * 10)

    assert remarks_of(read_bytes(file)) == {"icd10: not a code": 1}


def test_a_corrected_message_leaves_no_remark(read_bytes, obds, assignment):
    wrong, right = (obds(assignment() + GRADED.format(grade)) for grade in ("9", "2"))

    assert remarks_of(read_bytes(wrong)) == {"grade: not a code": 1}
    assert remarks_of(read_bytes(wrong, right)) == {}


def test_the_other_german_formats_are_held_to_the_same_lists(read_bytes, sample):
    old = sample("adt_gekid_2.xml").replace(b"15.06.1950", b"15-06-1950")
    yearly = sample("obds_rki.xml").replace(b"<Grading>2<", b"<Grading>9<")

    assert remarks_of(read_bytes(sample("adt_gekid_2.xml"))) == {}
    assert remarks_of(read_bytes(old)) == {"a date that cannot be read": 1}
    assert set(remarks_of(read_bytes(yearly))) == {"grade: not a code"}


# ENCR


ROW = dict.fromkeys(encr.COLUMNS, "") | {
    "PAT": "p1", "TUM": "t1", "MoB": "5", "YoB": "1946", "Age": "64", "Sex": "1", "YoI": "2010",
    "MoI": "5", "Topo": "C341", "Morpho": "8140", "Beh": "3", "Vit_stat": "1", "MoF": "5",
    "YoF": "2010",
}  # fmt: skip


def encr_file(**cells):
    row = [(ROW | cells)[column] for column in encr.COLUMNS]
    return "\n".join([";".join(encr.COLUMNS), ";".join(row), ""]).encode()


@pytest.mark.parametrize(
    ("cells", "remark"),
    [
        ({"YoB": "2011", "Age": ""}, "birth after diagnosis"),
        ({"YoB": "2010", "MoB": "6", "Age": "0"}, "birth after diagnosis"),
        ({"YoF": "2009"}, "last contact before diagnosis"),
        ({"MoF": "4", "Vit_stat": "2"}, "death before diagnosis"),
        ({"Age": "121"}, "age that cannot be"),
        ({"MoI": "13"}, "a date that cannot be read"),
        ({"Topo": "341"}, "topography: not a code"),
        ({"pT": "7"}, "t: not a code"),
        ({"Surv_time": "-1"}, "follow_up_days: not a number of days"),
    ],
)
def test_a_row_is_noticed(read_bytes, cells, remark):
    delivery = read_bytes(encr_file(**cells))

    assert remarks_of(delivery) == {remark: 1}
    assert delivery.tumours == 1


@pytest.mark.parametrize(
    "cells",
    [
        {},
        {"YoB": "9999", "MoB": "99", "YoF": "", "MoF": ""},
        {"YoB": "2010", "MoB": "99", "Age": "0"},
        {"Grade": "5", "pT": "X", "Vit_stat": "9"},
        {"Vit_stat": "2", "ICD": "9", "CoD": "1749"},
    ],
)
def test_a_row_that_says_unknown_is_not_noticed(read_bytes, cells):
    assert remarks_of(read_bytes(encr_file(**cells))) == {}


def test_a_row_that_is_rejected_is_not_noticed(read_bytes):
    delivery = read_bytes(encr_file(YoI="9999", Topo="341"))

    assert remarks_of(delivery) == {}
    assert delivery.tally.rejected == {"no usable diagnosis date": 1}


def test_no_remark_holds_a_value(read_bytes, obds, assignment):
    file = obds(assignment("Erikanna", icd="Erikanna") + GRADED.format("Erikanna"), assignment())

    assert "Erikanna" not in repr(read_bytes(file).tally)
