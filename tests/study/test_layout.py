import pytest

from upcare_mpc.errors import StudyError
from upcare_mpc.study.layout import Dimension, Layout, Sensitivity

ONE = Sensitivity(1, 1, 1)


def test_cells_are_the_product_of_the_dimensions() -> None:
    layout = Layout((Dimension("a", ("x", "y")), Dimension("b", ("1", "2", "3"))), ONE)

    assert (layout.shape, layout.cells) == ((2, 3), 6)


def test_overlap_multiplies_all_three_sensitivities() -> None:
    assert Sensitivity(2, 3, 2).times(3) == Sensitivity(6, 9, 6)


@pytest.mark.parametrize("triple", [(0, 1, 1), (1, 0, 1), (1, 2, 1), (2, 1, 1)])
def test_an_impossible_sensitivity_is_refused(triple: tuple[int, int, int]) -> None:
    with pytest.raises(StudyError):
        Sensitivity(*triple)


def test_a_table_beyond_the_limit_is_refused_with_its_size() -> None:
    labels = tuple(map(str, range(1025)))

    with pytest.raises(StudyError, match="1050625"):
        Layout((Dimension("a", labels), Dimension("b", labels)), ONE)


def test_labels_that_repeat_are_refused() -> None:
    with pytest.raises(StudyError, match="differ"):
        Dimension("a", ("x", "x"))


def test_the_digest_depends_on_labels_order_and_sensitivity() -> None:
    a, b = Dimension("a", ("x", "y")), Dimension("b", ("1", "2"))
    layouts = [
        Layout((a, b), ONE),
        Layout((b, a), ONE),
        Layout((a, Dimension("b", ("2", "1"))), ONE),
        Layout((a, b), Sensitivity(2, 2, 2)),
    ]

    assert len({layout.digest for layout in layouts}) == 4
    assert Layout((a, b), ONE).digest == layouts[0].digest
