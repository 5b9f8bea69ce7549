"""What a report works out from its counts, and its JSON, which other programs read."""

import json

import pytest

from upcare_mpc.quality.checks import CHECKS
from upcare_mpc.quality.counts import EXPECTED, MEASURED
from upcare_mpc.quality.report import percent
from upcare_mpc.records.variables import VARIABLES
from upcare_mpc.study import language


def test_groups_add_up_by_format_by_year_and_in_all(report):
    assert report.tumours == 1_350
    assert (report.with_error, report.with_warning) == (1, 7)
    assert [(each.format, each.tumours) for each in report.formats] == [
        ("ENCR incidence", 300),
        ("oBDS 3", 1_050),
    ]
    assert [(each.year, each.tumours) for each in report.years] == [(2019, 1_300), (None, 50)]
    assert report.formats[1].found == {"age over 110": 7, "in situ sarcoma": 1}


def test_errors_come_first_then_the_most_frequent(report):
    assert [(each.check.name, each.tumours, each.by_format) for each in report.findings] == [
        ("in situ sarcoma", 1, {"oBDS 3": 1}),
        ("age over 110", 7, {"oBDS 3": 7}),
    ]


def test_the_least_known_variable_comes_first(report):
    first, second, *others = report.unknowns

    assert (first.variable, first.expected, first.unknown) == ("laterality", 1_350, 300)
    assert (second.variable, second.expected, second.unknown) == ("stage", 1_350, 130)
    assert all(each.unknown == 0 for each in others)


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 5, "0"),
        (5, 5, "100"),
        (0, 0, "-"),
        (1, 8, "12.5"),
        (1, 1_000_000, "<0.1"),
        (999_999, 1_000_000, ">99.9"),
        (1, 2_000, "0.1"),
        (9_989, 10_000, "99.9"),
        (1, 3, "33.3"),
        (2, 3, "66.7"),
    ],
)
def test_only_nothing_is_0_percent_and_only_all_is_100(part, whole, text):
    assert percent(part, whole) == text


def test_the_json_has_the_keys_of_its_version(report):
    found = json.loads(json.dumps(report.to_json()))

    assert sorted(found) == [
        "checks",
        "files",
        "groups",
        "messages",
        "patients",
        "report",
        "rules",
        "schemas",
        "snapshot",
        "tumours",
        "unknown",
        "with_error",
        "with_warning",
        "written",
    ]
    assert found["report"] == 1
    assert found["messages"]["rejected"] == {"no date of diagnosis": 17, "no tumour <key>": 96}
    assert found["unknown"]["stage"] == {"expected": 1_350, "unknown": 130, "percent": 9.63}
    assert [check["name"] for check in found["checks"]] == [check.name for check in CHECKS]
    assert sorted(found["checks"][0]) == [
        "by_format",
        "condition",
        "meaning",
        "name",
        "severity",
        "source",
        "tumours",
    ]
    assert sorted(found["groups"][0]) == [
        "expected",
        "figures",
        "format",
        "known",
        "tumours",
        "with_error",
        "with_warning",
        "year",
    ]
    assert {"place": "<b>", "kind": "value too long", "count": 38} in found["schemas"]["findings"]


def test_numbers_of_the_json_add_up(report):
    found = report.to_json()

    assert sum(group["tumours"] for group in found["groups"]) == found["tumours"]
    assert sum(group["with_error"] for group in found["groups"]) == found["with_error"]
    for name in MEASURED:
        expected = sum(group["expected"][name] for group in found["groups"])
        known = sum(group["known"][name] for group in found["groups"])
        assert found["unknown"][name]["expected"] == expected
        assert found["unknown"][name]["unknown"] == expected - known


def test_conditions_for_expecting_a_variable_are_of_the_study_language():
    assert set(EXPECTED) < set(MEASURED) < set(VARIABLES)
    for name, condition in EXPECTED.items():
        assert language.parse(condition, place=name)
