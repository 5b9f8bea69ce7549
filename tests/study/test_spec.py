"""A study file is read exactly, has one canonical spelling, and is refused in words."""

import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upcare_mpc.errors import StudyError
from upcare_mpc.study.spec import MAX_BYTES, Deposits, Release, Study, parse

TOML = """
version = 1
title = "Does hormone therapy change survival after breast cancer?"
kind = "survival"
purpose = "DUO:0000007"
registries = ["de-a", "de-b", "fr-a"]
overlap = 1
[cohort]
where = "site = 'C50' and age >= 18 and diagnosis_year between 1984 and 1991"
[privacy]
epsilon = 1.0
mechanism = "laplace"
[survival]
interval_days = 365
intervals = 7
landmark_days = 0
[survival.arms]
"hormone therapy" = "tx_hormone = yes"
"no hormone therapy" = "tx_hormone = no"
"""
LAPLACE = 'mechanism = "laplace"'
GAUSSIAN = 'mechanism = "gaussian"\ndelta = '
TABLE = "[survival]"
RULES = "[release]\n{}\n[survival]"
RESPELLED = {
    "survival": {
        "arms": {
            "hormone therapy": "tx_hormone  ==  'yes'",
            "no hormone therapy": "(tx_hormone = no)",
        },
        "landmark_days": 0,
        "intervals": 7,
        "interval_days": 365,
    },
    "privacy": {"epsilon": 1},
    "cohort": {"where": 'site = "C50" AND (age >= 18) and diagnosis_year BETWEEN 1984 and 1991'},
    "overlap": 1,
    "registries": ["de-a", "de-b", "fr-a"],
    "purpose": "DUO:0000007",
    "kind": "survival",
    "title": "Does hormone therapy change survival after breast cancer?",
    "version": 1,
}


def study(old: str = "", new: str = "") -> Study:
    assert old in TOML
    return parse(TOML.replace(old, new, 1), name="study.toml")


def test_toml_and_json_with_other_spelling_and_order_are_the_same_study() -> None:
    assert parse(json.dumps(RESPELLED), name="study.json").digest == study().digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Does hormone", "Did hormone"),
        ("DUO:0000007", "DUO:0000006"),
        ('"de-a", "de-b"', '"de-b", "de-a"'),
        ("overlap = 1", "overlap = 2"),
        ("overlap = 1", ""),
        ("age >= 18", "age >= 19"),
        ("epsilon = 1.0", "epsilon = 1.00000000000000000001"),
        (LAPLACE, f"{GAUSSIAN}1e-9"),
        (TABLE, RULES.format("minimum_cohort = 5")),
        (TABLE, RULES.format("suppress_below = 5")),
        ("intervals = 7", "intervals = 8"),
        ('"tx_hormone = no"', '"true"'),
        ('"no hormone therapy"', '"none"'),
        ("landmark_days = 0", ""),
    ],
)
def test_everything_that_is_read_or_computed_with_changes_the_digest(old: str, new: str) -> None:
    assert study(old, new).digest != study().digest


def test_the_order_of_arms_is_part_of_the_question() -> None:
    first, second = (
        '"hormone therapy" = "tx_hormone = yes"',
        '"no hormone therapy" = "tx_hormone = no"',
    )

    swapped = study(f"{first}\n{second}", f"{second}\n{first}")

    assert swapped.digest != study().digest
    assert Study.from_canonical(swapped.canonical()) == swapped


def test_decimals_are_exact() -> None:
    assert study("epsilon = 1.0", "epsilon = 0.1").epsilon == Fraction(1, 10)
    assert parse(
        json.dumps(RESPELLED).replace('"epsilon": 1', '"epsilon": 0.3'), name="j"
    ).epsilon == (Fraction(3, 10))


def test_canonical_bytes_come_back_as_the_same_study() -> None:
    assert Study.from_canonical(study().canonical()) == study()


def test_a_gaussian_study_with_rules_comes_back_as_the_same_study() -> None:
    text = TOML.replace(LAPLACE, f"{GAUSSIAN}1e-9")
    text = text.replace(TABLE, RULES.format("minimum_cohort = 50\nsuppress_below = 5"), 1)

    asked = parse(text, name="study.toml")

    assert (asked.mechanism, asked.delta) == ("gaussian", Fraction(1, 10**9))
    assert asked.release == Release(minimum_cohort=50, suppress_below=5)
    assert Study.from_canonical(asked.canonical()) == asked
    other = parse(text.replace("1e-9", "0.00000001"), name="study.toml")
    assert other.digest != asked.digest


def test_an_empty_table_of_rules_is_no_rule() -> None:
    assert study(TABLE, RULES.format("")).digest == study().digest


@pytest.mark.parametrize(
    "spoil",
    [
        lambda b: b.replace(b",", b", ", 1),
        lambda b: b.replace(b'"1/1"', b'"2/2"'),
        lambda b: b.replace(b'"1/1"', b"1"),
        lambda b: b.replace(b'"1/1"', b'"1/0"'),
        lambda b: b.replace(b'"delta":null,', b""),
        lambda b: b.replace(b'"delta":null', b'"delta":"1/1000"'),
        lambda b: b.replace(b'"release":{"minimum_cohort":null,"suppress_below":null},', b""),
        lambda b: b.replace(b'"suppress_below":null', b'"suppress_below":0'),
        lambda b: b.replace(b"age >= 18", b"(age >= 18)"),
        lambda b: b.replace(b'"overlap":1', b'"overlap":1,"overlap":1'),
        lambda b: b.replace(b'"overlap":1', b'"overlap":1.0'),
        lambda b: b.replace(b'"upcare_study":1', b'"upcare_study":2'),
        lambda b: b.replace(b'"upcare_study":1', b'"upcare_study":true'),
        lambda b: b.replace(b'"upcare_study":1', b'"upcare_study":1,"more":0'),
        lambda b: b + b"\n",
        lambda b: b[:-1],
        lambda b: b"[" * 60_000,
        lambda b: b'{"a":' * 10_000,
        lambda b: b"\xff",
        lambda b: b"",
        lambda b: b"x" * (MAX_BYTES + 1),
    ],
)
def test_bytes_that_are_not_canonical_are_refused(spoil: object) -> None:
    assert callable(spoil)

    with pytest.raises(StudyError):
        Study.from_canonical(spoil(study().canonical()))


@given(st.binary(max_size=200))
def test_any_bytes_from_the_network_are_refused_with_a_study_error(received: bytes) -> None:
    with pytest.raises(StudyError):
        Study.from_canonical(received)


@given(st.text(max_size=200))
def test_any_text_is_refused_with_a_study_error(text: str) -> None:
    with pytest.raises(StudyError):
        parse(text, name="study.toml")


def test_a_missing_overlap_is_filled_from_the_network() -> None:
    assert study("overlap = 1", "").overlap is None
    assert study("overlap = 1", "").resolved(2).overlap == 2


def test_a_study_may_raise_the_overlap_and_never_lower_it() -> None:
    assert study("overlap = 1", "overlap = 3").resolved(2).overlap == 3
    with pytest.raises(StudyError, match="at least 2"):
        study().resolved(2)


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("kind =", "knid =", "unknown key 'knid'; did you mean kind?"),
        ("[cohort]\nwhere", "[cohort]\nwhen", "unknown key 'cohort.when'; did you mean where?"),
        ("purpose", "porpoise", "unknown key 'porpoise'; did you mean purpose?"),
        ('purpose = "DUO:0000007"', "", "missing key 'purpose'"),
        ("DUO:0000007", "DUO:7", "purpose: wanted a code like DUO:0000007, got 'DUO:7'"),
        ('"de-a"', '"DE A"', "registries: wanted a name like de-a, got 'DE A'"),
        ('"de-a"', '"de-b"', "registries: wanted names that differ, got de-b twice"),
        ('["de-a", "de-b", "fr-a"]', "[]", "registries: wanted a list of one or more names"),
        ("overlap = 1", "overlap = 0", "overlap: wanted a whole number from 1"),
        ("epsilon = 1.0", "epsilon = 0", "privacy.epsilon: wanted more than 0"),
        ("epsilon = 1.0", "epsilon = 100.5", "privacy.epsilon: wanted more than 0 and at most 100"),
        ("epsilon = 1.0", "epsilon = nan", "wanted a decimal of usual size, got nan"),
        ("epsilon = 1.0", "epsilon = 1e99999999", "wanted a decimal of usual size"),
        ("epsilon = 1.0", "epsilon = 1e99999999999999999999", "wanted a decimal of usual size"),
        ("epsilon = 1.0", "epsilon = 1.0000000001e-25", "wanted at most 30 decimals"),
        ("epsilon = 1.0", "epsilon = true", "privacy.epsilon: wanted a number, got true or false"),
        ('"laplace"', '"zero"', "privacy.mechanism: wanted laplace or gaussian, got 'zero'"),
        ('"laplace"', '"gaussian"', "missing key 'privacy.delta'; Gaussian noise wants one"),
        (LAPLACE, f"{LAPLACE}\ndelta = 1e-9", "delta: wanted none with mechanism laplace"),
        ('mechanism = "laplace"', "delta = 1e-9", "privacy.delta: wanted none with mechanism"),
        (LAPLACE, f"{GAUSSIAN}0", "privacy.delta: wanted more than 2^-40 and less than 1, got 0"),
        (LAPLACE, f"{GAUSSIAN}1", "privacy.delta: wanted more than 2^-40 and less than 1, got 1"),
        (LAPLACE, f"{GAUSSIAN}9e-13", "privacy.delta: wanted more than 2^-40"),
        (LAPLACE, f"{GAUSSIAN}-1e-9", "privacy.delta: wanted more than 2^-40"),
        (LAPLACE, f"{GAUSSIAN}true", "privacy.delta: wanted a number, got true or false"),
        (LAPLACE, f"{GAUSSIAN}0.12345678901234567890123456789012", "wanted at most 30 decimals"),
        ('kind = "survival"', 'kind = "release"', "kind: wanted a statistic with its table"),
        (TABLE, RULES.format("cohort = 5"), "unknown key 'release.cohort'"),
        (
            TABLE,
            RULES.format("minimum_cohort = 0"),
            "release.minimum_cohort: wanted a whole number from",
        ),
        (TABLE, RULES.format("minimum_cohort = 1000000001"), "a whole number from 1 to 1000000000"),
        (
            TABLE,
            RULES.format("minimum_cohort = 5.5"),
            "release.minimum_cohort: wanted a whole number",
        ),
        (
            TABLE,
            RULES.format("suppress_below = true"),
            "release.suppress_below: wanted a whole number",
        ),
        (TABLE, RULES.format("suppress_below = 1000001"), "a whole number from 1 to 1000000"),
        ("version = 1", "version = 1\nrelease = 5", "release: wanted a table, got a whole number"),
        ("version = 1", "version = 2", "version: wanted 1"),
        ("age >= 18", "agee >= 18", "cohort.where: column 18: unknown variable 'agee'"),
        ("tx_hormone = yes", "tx_hormone = ja", 'survival.arms."hormone therapy": column 14'),
        ("landmark_days = 0", "landmark_days = 1e-13", "survival.landmark_days: wanted a number"),
        ("landmark_days = 0", "landmark_days = 1991-01-01", "got a date or time"),
        ('kind = "survival"', 'kind = "Survival"', "kind: wanted a lower-case name"),
        ('kind = "survival"', 'kind = "survvival"', "kind: wanted a statistic with its table"),
        ("Does", "Does\\n", "title: wanted one line"),
        ("landmark_days = 0", "x = [[[[[[[[[1]]]]]]]]]", "nested at most 8 deep"),
    ],
)
def test_a_mistake_in_the_file_is_named(old: str, new: str, wanted: str) -> None:
    with pytest.raises(StudyError) as refused:
        study(old, new)

    assert str(refused.value).startswith("study.toml: ")
    assert wanted in str(refused.value)


def test_a_large_file_is_refused_unread() -> None:
    with pytest.raises(StudyError, match="wanted at most 65536 bytes"):
        parse("#" * (MAX_BYTES + 1), name="study.toml")


def test_a_decimal_among_options_has_one_spelling_and_loses_nothing() -> None:
    written = "landmark_days = [0.125, 12.50, 3.0, -0.5, 1e3]"
    study = parse(TOML.replace("landmark_days = 0", written), name="x")

    assert study.options["landmark_days"] == ("0.125", "12.5", 3, "-0.5", 1000)
    assert Study.from_canonical(study.canonical()) == study


DEPOSITS = '[deposits]\nregistries = ["fr-c"]\npatients = true\n[survival]'


def test_deposits_have_defaults_and_come_back() -> None:
    study = parse(TOML.replace(TABLE, DEPOSITS, 1), name="s")

    assert study.deposits == Deposits(envelope="rlwe", registries=("fr-c",), patients=True, days=14)
    assert Study.from_canonical(study.canonical()) == study


def test_a_study_without_deposits_says_nothing_of_them() -> None:
    study = parse(TOML, name="s")
    assert study.deposits is None
    assert b"deposits" not in study.canonical()


@pytest.mark.parametrize(
    "line", ['envelope = "sealed"', "days = 3", 'registries = ["fr-d"]', "patients = false"]
)
def test_every_word_on_deposits_changes_the_digest(line: str) -> None:
    key = line.split(maxsplit=1)[0]
    kept = [own for own in ('registries = ["fr-c"]', "patients = true") if not own.startswith(key)]
    changed = "\n".join(["[deposits]", *kept, line, "[survival]"])
    assert (
        parse(TOML.replace(TABLE, changed, 1), name="s").digest
        != parse(TOML.replace(TABLE, DEPOSITS, 1), name="s").digest
    )


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        ("", "deposits: wanted registries, patients = true, or both"),
        ("registries = []", "deposits: wanted registries, patients = true, or both"),
        ("patients = false", "deposits: wanted registries, patients = true, or both"),
        ('patients = "yes"', "deposits.patients: wanted true or false"),
        ('registries = ["de-a"]', "not asked online, got de-a"),
        ('registries = ["fr-c", "fr-c"]', "names that differ"),
        ('registries = ["FR"]', "a name like de-a"),
        ('patients = true\nenvelope = "open"', "wanted rlwe or sealed"),
        ("patients = true\ndays = 0", "a whole number from 1 to 30"),
        ("patients = true\ndays = 31", "a whole number from 1 to 30"),
        ("patients = true\nuntil = 3", "until"),
        ('patients = true\nregistries = ""', "a list of one or more names, got a text"),
        ("patients = true\nregistries = 0", "a list of one or more names, got a whole number"),
        ("patients = true\nregistries = {}", "a list of one or more names, got a table"),
        ('patients = true\ndays = "7"', "deposits.days: wanted a whole number, got a text"),
        ("patients = true\nenvelope = 1", "deposits.envelope: wanted a text"),
    ],
)
def test_a_mistake_about_deposits_is_named(lines: str, wanted: str) -> None:
    with pytest.raises(StudyError, match=wanted):
        parse(TOML.replace(TABLE, f"[deposits]\n{lines}\n[survival]", 1), name="s")


@pytest.mark.parametrize("other", ["true", '"rlwe"', "[]", "14"])
def test_deposits_are_a_table(other: str) -> None:
    with pytest.raises(StudyError, match="deposits: wanted a table"):
        parse(f"deposits = {other}\n{TOML}", name="s")


@pytest.mark.parametrize(
    "other", [b'"deposits":null,', b'"deposits":{},', b'"deposits":{"patients":true},']
)
def test_another_spelling_of_deposits_is_not_canonical(other: bytes) -> None:
    canonical = parse(TOML, name="s").canonical()
    with pytest.raises(StudyError):
        Study.from_canonical(canonical.replace(b'"kind"', other + b'"kind"', 1))
