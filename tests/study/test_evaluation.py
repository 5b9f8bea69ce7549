"""Where a record belongs in a table; what its expressions give is tested in ``test_rows``."""

import pytest

from upcare_mpc.records.case import Case
from upcare_mpc.study.evaluation import compiled, position_of
from upcare_mpc.study.language import parse

AXES = [
    (compiled(parse(text, place="", want="integer")), size)
    for text, size in (("age // 10", 9), ("sequence - 1", 3))
]


@pytest.mark.parametrize(
    ("age", "sequence", "cell"),
    [
        (0, 1, 0),
        (0, 3, 2),
        (10, 1, 3),
        (89, 3, 26),
        (90, 1, None),
        (-1, 1, None),
        (10, 4, None),
        (None, 1, None),
    ],
)
def test_the_last_axis_is_the_fastest_and_what_is_outside_has_no_cell(
    age: int | None, sequence: int, cell: int | None
) -> None:
    case = Case(patient_id="p", tumour_id="t", sequence=sequence, age=age)

    assert position_of(AXES, case) == cell


def test_a_table_without_axes_has_one_cell() -> None:
    assert position_of([], Case(patient_id="p", tumour_id="t", sequence=1)) == 0
