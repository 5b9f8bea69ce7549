"""Questionnaires: the table, the estimates, how often they cover, and what is refused."""

import numpy as np
import pytest
import vl_convert
from gbsg2 import EXACT, laplace
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint
from surveys import CROSSED, survey

from upcare_mpc import kinds
from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.kind import NoiseLaw
from upcare_mpc.kinds.questionnaire import Questionnaire
from upcare_mpc.records.case import Case
from upcare_mpc.study.rows import tabulate
from upcare_mpc.study.spec import Study, parse

LAW = NoiseLaw.of(laplace(1))


def asked(more: str = "", **given_: str) -> Questionnaire:
    kind = kinds.of(parse(survey(more, **given_), name="study"))
    assert isinstance(kind, Questionnaire)
    return kind


def test_the_order_of_questions_and_answers_survives_the_canonical_bytes() -> None:
    study = parse(survey(CROSSED), name="study")
    again = Study.from_canonical(study.canonical())
    assert kinds.of(again).layout().canonical() == kinds.of(study).layout().canonical()
    assert [table.name for table in kinds.of(again).layout().tables] == [
        "Smoked?",
        "Health?",
        "Smoked? x Health?",
    ]


def test_a_patient_moves_one_cell_of_each_table() -> None:
    assert asked().layout().sensitivity.d1 == 2
    assert asked(CROSSED).layout().sensitivity.d1 == 3


def test_no_record_is_counted() -> None:
    kind = asked(CROSSED)
    record = Case(patient_id="p", tumour_id="1", sequence=1, topography="C50.1", sex="female")
    assert not tabulate(kind.measures(), kind.layout(), [record]).any()


def test_without_noise_shares_have_wilsons_limits() -> None:
    rows = asked().finish(np.array([50, 30, 20, 60, 30]), EXACT).rows

    first = rows.iloc[0]
    assert (first["question"], first["answer"], first["count"]) == ("Smoked?", "never", 50)
    assert first["share"] == first["share_dp_low"] == first["share_dp_high"] == 0.5
    limits = proportion_confint(50, 100, method="wilson")
    assert (first["share_ci_low"], first["share_ci_high"]) == pytest.approx(limits, abs=1e-12)
    assert rows["share"].tolist() == pytest.approx([0.5, 0.3, 0.2, 2 / 3, 1 / 3])


def test_the_number_of_those_who_answered_is_said() -> None:
    result = asked().finish(np.array([50, 30, 20, 60, 30]), LAW)
    assert result.statistics["Smoked?"]["answered"] == 100
    assert result.statistics["Health?"]["answered"] == 90


def test_a_question_that_the_noise_drowns_has_counts_and_no_shares() -> None:
    result = asked().finish(np.array([2, -1, 0, 60, 30]), LAW)
    first, fourth = result.rows.iloc[0], result.rows.iloc[3]
    assert first["count"] == 2
    assert np.isnan(first["share"])
    assert "noise" in first["remark"]
    assert fourth["share"] == pytest.approx(2 / 3)


def test_cells_that_are_not_shown_leave_their_question_without_shares() -> None:
    noisy = np.ma.masked_array([50, 30, 1, 60, 30], mask=[False, False, True, False, False])
    rows = asked().finish(noisy, LAW).rows
    assert rows["count"].isna().tolist() == [False, False, True, False, False]
    assert rows["share"].notna().tolist() == [False, False, False, True, True]
    assert "not shown" in rows.iloc[0]["remark"]


@settings(deadline=None)
@given(st.lists(st.integers(-30, 100), min_size=11, max_size=11), st.sampled_from([LAW, EXACT]))
def test_whatever_the_noise_makes_is_a_share_or_a_reason(cells: list[int], noise: NoiseLaw) -> None:
    for row in asked(CROSSED).finish(np.array(cells), noise).records():
        if row["share"] is None:
            assert row["remark"]
            continue
        limits = ("share_ci_low", "share_dp_low", "share", "share_dp_high", "share_ci_high")
        values = [row[name] for name in limits]
        assert values == sorted(values)  # type: ignore[type-var]
        assert values[0] >= 0  # type: ignore[operator]
        assert values[-1] <= 1  # type: ignore[operator]


def test_the_picture_has_a_panel_a_question() -> None:
    kind = asked()
    result = kind.finish(np.array([50, 30, 20, 60, 30]), LAW)

    drawn = vl_convert.vegalite_to_svg(kind.chart(result, title="Asked").to_json())

    for words in ("Asked", "Smoked?", "Health?", "today", "good", "95 % interval of the noise"):
        assert words in drawn


def test_where_there_is_nothing_to_draw_it_is_said() -> None:
    kind = asked()
    with pytest.raises(StudyError, match="nothing to draw"):
        kind.chart(kind.finish(np.zeros(5, np.int64), LAW), title="t")


def test_the_preview_names_every_question() -> None:
    figures = [figure.figure for figure in asked().preview(LAW).figures]
    assert figures == ["count of an answer", *(f"share of an answer: {q}" for q in ("Smoked?", "Health?"))]  # fmt: skip  # noqa: E501


ONE = '[[questionnaire.questions]]\ntext = "A?"\noptions = ["y", "n"]\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (survey(where="age >= 18"), 'cohort.where: wanted "true"'),
        (survey().replace("patients = true", 'registries = ["fr-a"]'), "patients: wanted true"),
        (survey(questions=ONE * 2), "texts that differ"),
        (survey(questions=ONE.replace('"y", "n"', '"y"')), "2 to 20 texts"),
        (survey(questions=ONE.replace('"y", "n"', '"y", "y"')), "texts that differ"),
        (survey(questions=ONE.replace('"y", "n"', '"y", 3')), "2 to 20 texts"),
        (survey(questions=ONE + 'hint = "?"\n'), "unknown key 'hint'"),
        (survey('cross = [["Smoked?", "Drunk?"]]'), "two texts of questions"),
        (survey('cross = [["Smoked?", "Smoked?"]]'), "two texts of questions"),
        (survey('cross = [["Smoked?", "Health?"], ["Health?", "Smoked?"]]'), "pairs that differ"),
        (survey("ask = 1"), "unknown key 'ask'"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused(text: str, words: str) -> None:
    with pytest.raises(StudyError, match=words):
        kinds.of(parse(text, name="study"))


def test_too_many_questions_and_cells_are_refused() -> None:
    many = "".join(ONE.replace("A?", f"A{i}?") for i in range(21))
    with pytest.raises(StudyError, match="at most 20"):
        asked(questions=many)
    wide = ONE.replace('"y", "n"', ", ".join(f'"{i}"' for i in range(20)))
    crossed = "".join(wide.replace("A?", f"A{i}?") for i in range(6))
    pairs = ", ".join(f'["A{i}?", "A{i + 1}?"]' for i in range(5))
    with pytest.raises(StudyError, match="at most 1000 cells"):
        asked(f"cross = [{pairs}]", questions=crossed)


@pytest.mark.statistical
@pytest.mark.parametrize("patients", [60, 300])
def test_intervals_cover_as_often_as_they_say(patients: int) -> None:
    """2,000 studies at epsilon 1, true shares 0.6, 0.3, 0.1.

    dp has to cover the share of those who answered in 93 to 98 % of cases, ci the true share in 93
    to 98.5 % (Wilson's limits and the exact tails of the noise are a little wide); each is missed
    in fewer than 1 of 1,000 cases if it covers in 95 %. Where noise is not counted, ci fails.
    """
    kind, generator = asked(), np.random.default_rng(11)
    truth = np.array([0.6, 0.3, 0.1])
    within, sampled, plain = [], [], []
    for _ in range(2000):
        counts = generator.multinomial(patients, truth)
        noisy = counts + LAW.draws((3,), generator)
        vector = np.concatenate((noisy, [40, 40])).astype(np.int64)
        rows = kind.finish(vector, LAW).rows.iloc[:3]
        if rows["share"].isna().any():
            continue
        low, high = rows["share_dp_low"].to_numpy(), rows["share_dp_high"].to_numpy()
        within.append((low <= counts / patients) & (counts / patients <= high))
        low, high = rows["share_ci_low"].to_numpy(), rows["share_ci_high"].to_numpy()
        sampled.append((low <= truth) & (truth <= high))
        limits = proportion_confint(
            np.maximum(noisy, 0), np.maximum(noisy, 0).sum(), method="wilson"
        )
        plain.append((limits[0] <= truth) & (truth <= limits[1]))

    assert len(within) > 1900
    assert (np.mean(within, axis=0) >= 0.93).all()
    assert (np.mean(within, axis=0) <= 0.98).all()
    assert (np.mean(sampled, axis=0) >= 0.93).all()
    assert (np.mean(sampled, axis=0) <= 0.985).all()
    if patients == 60:
        assert np.mean(plain, axis=0).min() < 0.93
