"""A patient whom r registries know is in the pooled table r times.

Who knows that one patient was treated in two registries would see her twice: she moves the sum by
r times what she moves one registry's table. Noise scaled for one registry would then give her away
at r times the stated epsilon. So the agreed r is in the sensitivity: the scale is r * D1 / epsilon,
and no study may assume less than the network has agreed on. (With more registries than agreed the
guarantee is lost: `tests/audit` shows that on a running network.)

Adversary: whoever reads the result, and knows all other patients of all registries.
"""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.question import Question, work_out
from upcare_mpc.privacy.laplace import SampledLaplace, sample_law
from upcare_mpc.records.case import Case
from upcare_mpc.study.rows import tabulate
from upcare_mpc.study.spec import parse

PER_PATIENT = 2


def asked(overlap: int, *, stated: int | None = None, privacy: str = "epsilon = 1") -> Question:
    """A table of at most two tumours a patient, in a network that agreed on ``overlap``."""
    line = "" if stated is None else f"overlap = {stated}\n"
    text = (
        'version = 1\ntitle = "Grades"\nkind = "counts"\npurpose = "DUO:0000007"\n'
        f'registries = ["de-a", "de-b", "fr-a"]\n{line}[cohort]\nwhere = "site = \'C50\'"\n'
        f'[privacy]\n{privacy}\n[counts]\nby = ["grade"]\nper_patient = {PER_PATIENT}\n'
    )
    return work_out(parse(text, name="study"), network_overlap=overlap)


def known_as(grades: tuple[str, ...]) -> list[Case]:
    """The records that one registry has of her."""
    return [
        Case(patient_id="her", tumour_id=f"t{n}", sequence=n, topography="C50.9", grade=grade)
        for n, grade in enumerate(grades, 1)
    ]


def table(question: Question, cases: list[Case]) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    return tabulate(question.kind.measures(), question.layout, cases)


HER_GRADES = st.lists(st.sampled_from("1234"), max_size=5).map(tuple)
OTHERS = [
    Case(patient_id=f"p{n}", tumour_id="t", sequence=1, topography="C50.9", grade=str(n % 4 + 1))
    for n in range(8)
]


@settings(max_examples=50)
@given(known=st.lists(HER_GRADES, min_size=1, max_size=3))
@example(known=[("1", "1", "1"), ("1", "1", "1")])  # as far as two registries can move it
def test_she_moves_the_sum_by_no_more_than_the_noise_is_scaled_for(
    known: list[tuple[str, ...]],
) -> None:
    question = asked(len(known))

    with_her = sum(table(question, [*OTHERS, *known_as(grades)]) for grades in known)
    without = sum(table(question, OTHERS) for _ in known)

    moved = np.abs(with_her - without)
    pooled = question.layout.sensitivity.times(len(known))
    assert moved.sum() <= pooled.d1
    assert moved.max() <= pooled.dinf
    assert np.count_nonzero(moved) <= pooled.d0
    assert question.law.scale == pooled.d1 / question.guarantee.epsilon


def test_the_bound_is_reached_so_less_noise_would_not_do() -> None:
    question = asked(2)

    moved = 2 * table(question, known_as(("3", "3", "3")))

    assert moved.tolist() == [0, 0, 2 * PER_PATIENT, 0]
    assert moved.sum() == question.layout.sensitivity.times(2).d1


def loses_more_than(law: SampledLaplace, shift: int, epsilon: int) -> Fraction:
    """P - e^epsilon Q summed where positive, over the law and the law moved by ``shift``."""
    factor = Fraction(2.718281828459045) ** epsilon
    reach = range(-law.support - shift, law.support + shift + 1)
    losses = (law.pmf(k) - factor * law.pmf(k - shift) for k in reach)
    return sum((loss for loss in losses if loss > 0), Fraction(0))


def test_noise_scaled_for_one_registry_would_lose_more_of_her_than_stated() -> None:
    question, shift = asked(2), 2 * PER_PATIENT
    assert isinstance(question.law, SampledLaplace)
    for_one = sample_law(Fraction(PER_PATIENT), question.layout.sensitivity)

    assert loses_more_than(question.law, shift, 1) <= question.guarantee.delta
    assert loses_more_than(for_one, shift, 1) > Fraction(1, 10)


def test_the_rho_of_gaussian_noise_grows_with_the_square_of_the_overlap() -> None:
    privacy = 'mechanism = "gaussian"\nepsilon = 1\ndelta = 1e-9'
    one, two = (asked(overlap, privacy=privacy).guarantee for overlap in (1, 2))

    assert two.rho is not None
    assert one.rho is not None
    assert float(two.rho) == pytest.approx(float(one.rho), rel=1e-4)  # of the same promise
    assert float(two.scale) == pytest.approx(2 * float(one.scale), rel=1e-4)
    assert two.rho == 4 * one.rho * (one.scale / two.scale) ** 2


def test_a_study_may_assume_more_than_the_network_and_pays_in_noise() -> None:
    assert asked(2, stated=3).guarantee.overlap == 3
    assert asked(2, stated=3).guarantee.scale == Fraction(3, 2) * asked(2).guarantee.scale


def test_a_study_that_assumes_less_than_the_network_is_refused() -> None:
    with pytest.raises(StudyError) as refused:
        asked(2, stated=1)

    assert str(refused.value) == "overlap: wanted at least 2, as agreed in the network, got 1"


def test_a_study_that_says_nothing_takes_the_networks_overlap() -> None:
    assert asked(3).guarantee.overlap == 3
    assert asked(3).study.overlap == 3
