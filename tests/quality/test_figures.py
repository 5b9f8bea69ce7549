"""Figures count what they say; and what an expression asks to be absent is found in it."""

import pytest

from upcare_mpc.quality.figures import FIGURES, absent_fields
from upcare_mpc.records.case import Case
from upcare_mpc.study import language
from upcare_mpc.study.evaluation import compiled

EXAMPLES = {
    "microscopically verified": ({"basis": "5"}, {"basis": "4"}),
    "death certificate only": ({"basis": "0"}, {"basis": "1"}),
    "primary site unknown": ({"topography": "C80.9"}, {"topography": "C50.9"}),
    "morphology unspecified": ({"morphology": "8000"}, {"morphology": "8010"}),
}


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.name)
def test_a_figure_counts_its_example_and_not_another(figure):
    counted, other = EXAMPLES[figure.name]
    counts = compiled(figure.expression)

    assert counts(Case(patient_id="p", tumour_id="t", sequence=1, **counted)) is True
    assert counts(Case(patient_id="p", tumour_id="t", sequence=1, **other)) is not True
    assert counts(Case(patient_id="p", tumour_id="t", sequence=1)) is not True


@pytest.mark.parametrize(
    ("text", "absent"),
    [
        ("age > 3 and sex = male", set()),
        ("cause is known", set()),
        ("cause is unknown", {"cause"}),
        ("sex = male and not (cause is unknown or (age > 3 and stage is not known))",
         {"cause", "stage"}),
    ],
)  # fmt: skip
def test_absent_fields_are_those_asked_to_be_unknown(text, absent):
    assert absent_fields(language.parse(text, place="test")) == absent
