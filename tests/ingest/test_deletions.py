"""The deletion list: three kinds of rows, and everything else refused with its row."""

import io

import pytest

from upcare_mpc.errors import DataError
from upcare_mpc.ingest import deletions as module
from upcare_mpc.ingest.deletions import NOTHING, Deletions, read_deletions
from upcare_mpc.ingest.message import Message


def listed(text: str) -> Deletions:
    return read_deletions(io.BytesIO(text.encode()), "list")


def message(patient: str, tumour: str | None, key: tuple[str, str] | None) -> Message:
    return Message(
        key=key,
        patient_id=patient,
        sex=None,
        birth=None,
        tumour_id=tumour,
        diagnosed=None,
        icd10=None,
        laterality=None,
        findings=(),
        therapies=(),
        seen=None,
        died=None,
        death=None,
    )


def test_the_three_kinds_of_rows() -> None:
    found = listed("patient;tumour;reporter;message\np1;;;\np2; t2 ;;\n;;m;7\n\n")

    assert found == Deletions(
        patients=frozenset({"p1"}),
        tumours=frozenset({("p2", "t2")}),
        messages=frozenset({("m", "7")}),
    )


def test_columns_may_be_missing_and_stand_in_any_order() -> None:
    assert listed("Message,Reporter\n7,m\n").messages == {("m", "7")}
    assert listed('\ufeff"patient"\np1\n').patients == {"p1"}


@pytest.mark.parametrize(
    ("patient", "tumour", "key", "named"),
    [
        ("p1", "t9", ("m", "1"), True),
        ("p1", None, None, True),
        ("p2", "t2", None, False),  # its tumour decides, see tumours_of
        ("p2", "t3", None, False),
        ("p2", None, None, False),
        ("p3", "t2", ("m", "7"), True),
        ("p3", "t2", ("m", "8"), False),
        ("p3", None, None, False),
    ],
)
def test_what_a_list_names(
    patient: str, tumour: str | None, key: tuple[str, str] | None, named: bool
) -> None:
    deletions = listed("patient;tumour;reporter;message\np1;;;\np2;t2;;\n;;m;7\n")

    assert deletions.name(message(patient, tumour, key)) is named
    assert deletions.tumours_of("p2") == {"t2"}
    assert deletions.tumours_of("p1") == frozenset()
    assert deletions.name_tumour("p2", "t2")
    assert deletions.name_tumour("p1", "any")
    assert not deletions.name_tumour("p2", "t1")


@pytest.mark.parametrize(
    ("row", "number"), [(";t1;;", 1), (";;m;", 1), (";;;7", 1), ("p1;;m;7", 1), ("p1;;;7", 1)]
)
def test_a_row_that_names_nothing_is_refused_without_its_values(row: str, number: int) -> None:
    with pytest.raises(DataError, match=rf"^list: row {number}: wanted a patient, .*combination$"):
        listed(f"patient;tumour;reporter;message\n{row}\n")


@pytest.mark.parametrize(
    "text",
    ["", "PAT;TUM\np1;t1\n", "p1\np2\n", "patient;tumor\np1;5\n", "patient;patient\np1;p2\n"],
)
def test_a_list_without_its_header_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="line 1: wanted a deletion list"):
        listed(text)


def test_a_row_of_another_width_is_refused() -> None:
    with pytest.raises(DataError, match="wanted 2 cells in every row, got another number in 1"):
        listed("patient;tumour\np1;t1;x\n")


def test_a_list_beyond_its_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ROWS", 2)

    with pytest.raises(DataError, match="list: wanted at most 2 rows, got more"):
        listed("patient\np1\np2\np3\n")


def test_nothing_shows_an_identifier() -> None:
    assert repr(listed("patient\nErika\n")) == "Deletions(<hidden>)"
    assert not NOTHING
    assert listed("patient\nErika\n")
