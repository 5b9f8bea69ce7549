"""What patients are asked, and the vectors that their answers are."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from surveys import CROSSED, counts_by, survey

from upcare_mpc import kinds
from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.answers import Answerable, Prompt, answer_vector, one_hot_tables
from upcare_mpc.kinds.question import work_out
from upcare_mpc.records.case import Case
from upcare_mpc.study.rows import tabulate
from upcare_mpc.study.spec import parse


def kind_of(text: str) -> Any:
    return kinds.of(parse(text, name="study"))


def test_an_answer_is_one_cell_of_each_table() -> None:
    kind = kind_of(survey(CROSSED))

    vector = answer_vector(kind, {"Smoked?": "never", "Health?": "good"})

    assert vector.tolist() == [1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0]


def test_what_is_left_out_is_in_no_cell() -> None:
    kind = kind_of(survey(CROSSED))
    assert answer_vector(kind, {"Health?": "poor"}).tolist() == [0, 0, 0, 1, 0, *[0] * 6]
    assert not answer_vector(kind, {}).any()


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"Drunk?": "never"}, r'wanted "Smoked\?" or "Health\?", got \'Drunk\?\''),
        ({"Smoked?": "often"}, r'Smoked\?: wanted "never" or "once" or "today", got \'often\''),
    ],
)
def test_what_was_not_asked_is_refused(answers: dict[str, str], words: str) -> None:
    with pytest.raises(StudyError, match=words):
        answer_vector(kind_of(survey()), answers)


def test_whoever_answers_counts_as_her_record_would() -> None:
    """The vector of a patient's own answers is that of the record that says the same."""
    kind = kinds.of(
        parse(counts_by('"sex", { variable = "age", cuts = [50] }', margins=True), name="study")
    )
    layout, measures = kind.layout(), kind.measures()
    assert isinstance(kind, Answerable)
    prompts = kind.prompts()
    assert [prompt.text for prompt in prompts] == ["sex", "age"]
    for sex, age in itertools.product(("female", "male", None), (40, 60, None)):
        record = Case(
            patient_id="p", tumour_id="1", sequence=1, topography="C50.1", sex=sex, age=age
        )
        answers = {}
        if sex is not None:
            answers["sex"] = sex
        if age is not None:
            answers["age"] = prompts[1].options[age >= 50]

        assert np.array_equal(answer_vector(kind, answers), tabulate(measures, layout, [record]))


@given(st.data())
def test_every_answer_passes_the_check_that_the_registries_make(data: st.DataObject) -> None:
    """In each table at most one cell is not 0, and is the weight."""
    kind = kind_of(
        data.draw(st.sampled_from([survey(CROSSED), counts_by('"sex", "stage"', margins=True)]))
    )
    chosen = {
        prompt.text: data.draw(st.sampled_from(prompt.options))
        for prompt in kind.prompts()
        if data.draw(st.booleans())
    }

    vector = answer_vector(kind, chosen)

    tables = one_hot_tables(kind.layout())
    assert tables[-1][0] + tables[-1][1] == len(vector)
    for start, cells, weight in tables:
        assert sorted(set(vector[start : start + cells].tolist()) - {0}) in ([], [weight])
        assert (vector[start : start + cells] != 0).sum() <= 1


def test_what_is_not_made_of_answers_is_refused() -> None:
    text = counts_by('"sex"').replace('kind = "counts"', 'kind = "quantiles"')
    text = text[: text.index("[counts]")] + (
        '[quantiles]\nvariable = { variable = "age" }\nprobabilities = [50]\n'
    )
    with pytest.raises(StudyError, match="not made of answers"):
        work_out(parse(text, name="study"), network_overlap=2)


def test_patients_beside_their_records_are_a_second_source() -> None:
    """Each registry that knows her may count her record, and give her a ticket."""
    asked = parse(counts_by('"sex"'), name="study")
    for network_overlap in (1, 2):
        twice = 2 * network_overlap
        with pytest.raises(StudyError, match=f"overlap: wanted at least {twice} where"):
            work_out(replace(asked, overlap=twice - 1), network_overlap=network_overlap)
        stated = work_out(replace(asked, overlap=twice), network_overlap=network_overlap)
        assert stated.guarantee.overlap == twice
    with pytest.raises(StudyError, match=r"overlap: wanted at least 2 .*, got 1"):
        work_out(asked, network_overlap=1)


def test_records_deposited_by_a_registry_are_no_second_source() -> None:
    text = counts_by('"sex"').replace("patients = true", 'registries = ["fr-a"]')
    assert work_out(parse(text, name="study"), network_overlap=1).guarantee.overlap == 1


def test_who_answers_once_is_not_counted_by_tumours() -> None:
    text = counts_by('"sex"') + "per_patient = 2\n"
    with pytest.raises(StudyError, match="per_patient: wanted 1 where patients answer"):
        kinds.of(parse(text, name="study"))
    kinds.of(parse(text.replace("patients = true", 'registries = ["fr-a"]'), name="study"))


def test_a_questionnaire_has_one_source() -> None:
    assert work_out(parse(survey(), name="study"), network_overlap=1).guarantee.overlap == 1


def test_prompts_of_counts_are_its_categories() -> None:
    assert kind_of(counts_by('"sex"')).prompts() == (Prompt("sex", ("female", "male", "other")),)
