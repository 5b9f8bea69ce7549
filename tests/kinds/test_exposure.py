"""Exposures of places: from a file to the study and from there to each record."""

import doctest
import json
import re
from fractions import Fraction
from pathlib import Path

import pytest
from gbsg2 import study

from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.association.kind import Association as Kind
from upcare_mpc.kinds.axes import Axis, axis_of
from upcare_mpc.kinds.exposure import classes, read_places
from upcare_mpc.kinds.question import MAX_STEPS, work_out
from upcare_mpc.records.case import Case
from upcare_mpc.study.evaluation import compiled
from upcare_mpc.study.spec import Study

AIR = "region,value\nFRF11,9.5\nFRF12,12\nDE2,8\nDEA3,15.25\n"
OUTCOME = 'outcome = { where = "vital_status = dead" }'


def axis(regions: str) -> Axis:
    kind = Kind.of(study("association", f"{OUTCOME}\nexposure = {{ regions = {regions} }}"))
    return kind.exposure


def in_toml(found: dict[str, object]) -> str:
    """The dimension as TOML can hold it on one line; JSON's lists and texts are TOML's."""
    regions = found["regions"]
    assert isinstance(regions, list)
    items = ", ".join(
        f"{{ label = {json.dumps(r['label'])}, codes = {json.dumps(r['codes'])} }}" for r in regions
    )
    return f"exposure = {{ name = {json.dumps(found['name'])}, regions = [{items}] }}"


def asked(found: dict[str, object]) -> Study:
    return study("association", f"{OUTCOME}\n{in_toml(found)}")


def test_a_file_is_cut_into_classes_and_joined_to_records() -> None:
    places = read_places("\ufeff" + AIR)
    air = classes(places, [10, "12.5"], name="fine dust")

    exposure = Kind.of(asked(air)).exposure

    assert places["DEA3"] == Fraction("15.25")
    assert exposure.name == "fine dust"
    assert exposure.labels == ("below 10", "10 to below 12.5", "12.5 or more")
    place = compiled(exposure.position)
    wanted = {
        "FRF11": 0,
        "FRF12": 1,
        "FRF13": None,
        "FRF1": None,  # too coarse to tell
        "DE2": 0,
        "DE21H": 0,  # within DE2
        "DEA3": 2,
        "DEA31": 2,
        "DEA": None,
        None: None,
    }
    for region, position in wanted.items():
        case = Case(patient_id="1", tumour_id="1", sequence=1, region=region)
        assert place(case) == position, region


def test_the_order_of_classes_survives_the_network() -> None:
    air = asked(classes(read_places(AIR), [10], name="fine dust"))

    received = Kind.of(Study.from_canonical(air.canonical()))

    assert received == Kind.of(air)
    assert received.exposure.labels == ("below 10", "10 or more")
    other = asked(classes(read_places(AIR), [9], name="fine dust"))
    assert other.digest != air.digest


def test_all_districts_of_two_countries_fit_into_a_study() -> None:
    """400 districts of Germany and 96 departements, by their own codes."""
    letters = "0123456789ABCDEFGHIJ"
    german = [f"DE{a}{b}{c}" for a in letters for b in letters[1:5] for c in letters[1:6]]
    french = [f"FR{a}{b}{c}" for a in "BCDEFGHI" for b in "1234" for c in "123"]
    assert (len(german), len(french)) == (400, 96)
    places = {code: Fraction(i % 31) for i, code in enumerate(german + french)}

    question = work_out(asked(classes(places, [10, 20], name="air")), network_overlap=1)

    assert isinstance(question.kind, Kind)
    assert 496 < question.steps < MAX_STEPS / 10
    assert len(asked(classes(places, [10, 20], name="air")).canonical()) < 8000


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("region;value\nFRF11;1\n", "wanted the columns region and value"),
        ("region,value\nParis,1\n", "regions.csv:2: wanted a NUTS code"),
        ("region,value\nFRF11\n", "regions.csv:2: wanted a number"),
        ("region,value\nFRF11,nan\n", "regions.csv:2: wanted a number"),
        ("region,value\nFRF11,1\nFRF11,2\n", "regions.csv:3: wanted each region once"),
        ("region,value\n" + "x" * (1 << 20), "at most 1048576 bytes"),
        ("", "wanted the columns"),
    ],
)
def test_a_file_that_cannot_be_used_says_where(text: str, error: str) -> None:
    with pytest.raises(StudyError, match=error):
        read_places(text)


@pytest.mark.parametrize(
    ("cuts", "error"),
    [
        ([], "rising cuts"),
        ([12, 10], "rising cuts"),
        ([99], "no region is 99 or more"),
        (["ten"], "cuts that are numbers"),
    ],
)
def test_cuts_that_make_no_classes(cuts: list[int | str], error: str) -> None:
    with pytest.raises(StudyError, match=error):
        classes(read_places(AIR), cuts, name="air")


@pytest.mark.parametrize(
    ("regions", "error"),
    [
        ('[{ label = "a", codes = ["FRF11"] }, { label = "b", codes = ["FRF11"] }]', "once"),
        ('[{ label = "a", codes = ["FRF11"] }, { label = "b", codes = ["FRF1"] }]', "side by side"),
        ('[{ label = "a", codes = ["FRF11"] }, { label = "a", codes = ["FRF12"] }]', "differ"),
        ('[{ label = "a", codes = ["F"] }]', "NUTS codes"),
        ('[{ label = "a", codes = [] }]', "one or more items"),
        ('["FRF11"]', "wanted { label"),
        ('[{ label = "a", code = ["FRF11"] }]', "did you mean codes"),
    ],
)
def test_classes_that_contradict_each_other(regions: str, error: str) -> None:
    with pytest.raises(StudyError, match=error):
        axis(regions)


def test_the_example_of_the_documents_is_true() -> None:
    page = Path(__file__).parents[2] / "docs" / "statistics" / "association.md"

    examples = "\n".join(
        re.findall(r"^```pycon\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    )
    test = doctest.DocTestParser().get_doctest(examples, {}, page.name, page.name, 0)

    outcome = doctest.DocTestRunner().run(test)

    assert outcome.attempted == 3
    assert outcome.failed == 0


def test_any_dimension_can_be_classes_of_regions() -> None:
    found = axis_of({"regions": ({"label": "x", "codes": ("DE1",)},)}, "counts.by[0]")

    assert (found.name, found.labels) == ("region", ("x",))
