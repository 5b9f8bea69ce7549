"""Questionnaires: the table, the estimates, how often they cover, and what is refused."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
import vl_convert
from gbsg2 import EXACT
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint
from surveys import CROSSED, survey

from upcare_mpc import kinds
from upcare_mpc.errors import StudyError
from upcare_mpc.kinds.kind import Z95, NoiseLaw
from upcare_mpc.kinds.question import work_out
from upcare_mpc.kinds.questionnaire.kind import Questionnaire
from upcare_mpc.records.case import Case
from upcare_mpc.study.rows import tabulate
from upcare_mpc.study.spec import Study, parse

STUDY = parse(survey(), name="study")
LAW = work_out(STUDY, network_overlap=1).noise  # of two tables at epsilon 1
GAUSSIAN = work_out(
    replace(STUDY, mechanism="gaussian", delta=Fraction(1, 10**9)), network_overlap=1
).noise


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
    result = asked(release="suppress_below = 5").finish(noisy, LAW)

    rows, reach = result.rows, round(LAW.quantile95)
    assert rows["count"].isna().tolist() == [False, False, True, False, False]
    assert rows["suppressed"].tolist() == [False, False, True, False, False]
    assert rows["share"].notna().tolist() == [False, False, False, True, True]
    assert "not shown" in rows.iloc[0]["remark"]
    assert (rows.iloc[2]["dp_low"], rows.iloc[2]["dp_high"]) == (0, 4 + reach)
    assert result.statistics.keys() == {"Health?", "suppressed"}
    assert result.statistics["suppressed"] == {"answers": 1, "below": 5}
    assert "not opened to anyone" in result.notes[0]


def test_what_a_suppressed_answer_was_changes_nothing() -> None:
    """A masked vector may carry anything behind its mask."""
    kind, mask = asked(release="suppress_below = 5"), [False, False, True, False, False]
    one, other = (
        kind.finish(np.ma.masked_array([50, 30, value, 60, 30], mask=mask), LAW).rows.to_csv()
        for value in (-40, 4)
    )
    assert one == other


def test_where_no_answer_is_suppressed_nothing_is_missing() -> None:
    kind = asked(release="suppress_below = 5")
    noisy = np.ma.masked_array([50, 30, 20, 60, 30], mask=False)
    result, plain = kind.finish(noisy, LAW), asked().finish(noisy.data, LAW)
    assert not result.rows["suppressed"].any()
    assert result.rows.drop(columns="suppressed").equals(plain.rows)
    assert result.statistics["Smoked?"] == plain.statistics["Smoked?"]


@pytest.mark.parametrize("counts", [(50, 30, 20), (45, -6, 3), (-2, 15, 30), (3, 0, 9)])
def test_the_noise_interval_holds_every_share_that_the_noise_could_have_moved(
    counts: tuple[int, int, int],
) -> None:
    """Against every share from 0 to 1, one by one; of a normal law, whose reach is Z95 sd.

    Counts and noise are 100,000 times as large, so that whole numbers make no difference.
    A count outside of 0 to the total counts as the nearer of the two.
    """
    noise = NoiseLaw(variance=300_000**2, quantile95=Z95 * 300_000, scale=300_000, gaussian=True)
    total = 100_000 * sum(counts)
    count = min(max(100_000 * counts[0], 0), total)
    shares = np.linspace(0, 1, 100_001)
    error = 300_000 * Z95 * np.sqrt((1 - shares) ** 2 + 2 * shares**2)
    held = shares[np.abs(count - shares * total) <= error]

    first = asked().finish(100_000 * np.array([*counts, 60, 30]), noise).rows.iloc[0]

    assert (first["share_dp_low"], first["share_dp_high"]) == pytest.approx(
        (held[0], held[-1]), abs=2e-5
    )


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


def test_the_preview_tells_of_every_question_how_far_the_noise_moves_it() -> None:
    preview = asked().preview(LAW)
    count, smoked, health = preview.figures

    assert (count.figure, count.error95) == ("count of an answer", (6, 6, 6))
    assert [smoked.figure, health.figure] == [
        "share of an answer: Smoked?",
        "share of an answer: Health?",
    ]
    few, some, many = smoked.error95
    assert few == pytest.approx(10 * some) == pytest.approx(100 * many)  # type: ignore[operator]
    rows = asked().finish(np.array([500, 300, 200, 500, 500]), LAW).rows
    assert smoked.error95[1] == pytest.approx(rows["share_dp_high"][0] - 0.5, rel=0.01)
    assert health.error95[1] == pytest.approx(rows["share_dp_high"][3] - 0.5, rel=0.01)
    assert preview.advice == ()


def test_the_preview_of_too_many_questions_says_so() -> None:
    wide = ONE.replace('"y", "n"', ", ".join(f'"{i}"' for i in range(20)))
    text = survey(questions="".join(wide.replace("A?", f"A{i}?") for i in range(20)))
    question = work_out(parse(text, name="study"), network_overlap=1)

    preview = question.kind.preview(question.noise)

    assert preview.figures[0].error95[:2] == (None, None)
    assert preview.figures[1].error95[0] is None
    assert "50.0 of 1,000 patients, and the noise reaches 60: each of the 20" in preview.advice[0]


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
        (survey(CROSSED, release="suppress_below = 5"), "suppress_below: wanted none with cross"),
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


TRUTH = np.array([0.6, 0.3, 0.1])


def coverage(patients: int, drawn: NoiseLaw, believed: NoiseLaw) -> tuple[float, float]:
    """How often dp and ci of the answer that they miss most hold it, in 2,000 studies.

    A question without shares tells that they are somewhere from 0 to 1, which holds.
    """
    kind, generator = asked(), np.random.default_rng(patients)
    within: list[npt.NDArray[np.bool_]] = []
    sampled: list[npt.NDArray[np.bool_]] = []
    for _ in range(2000):
        counts = generator.multinomial(patients, TRUTH)
        noisy = np.concatenate((counts + drawn.draws((3,), generator), [400, 400]))
        rows = kind.finish(noisy.astype(np.int64), believed).rows.iloc[:3]
        for held, name, share in (
            (within, "share_dp", counts / patients),
            (sampled, "share_ci", TRUTH),
        ):
            low = rows[f"{name}_low"].fillna(0).to_numpy() - 1e-12
            high = rows[f"{name}_high"].fillna(1).to_numpy() + 1e-12
            held.append((low <= share) & (share <= high))
    return np.mean(within, axis=0).min().item(), np.mean(sampled, axis=0).min().item()


@pytest.mark.statistical
@pytest.mark.parametrize("patients", [20, 60, 300])
@pytest.mark.parametrize("law", [LAW, GAUSSIAN], ids=["laplace", "gaussian"])
def test_intervals_cover_as_often_as_they_say(patients: int, law: NoiseLaw) -> None:
    """The share of those who answered, and the true one: 93 to 99 % of 2,000 studies.

    Of intervals that hold 95 %, fewer than 1 in 10,000 sets of studies would hold less than 93 %.
    """
    for held in coverage(patients, law, law):
        assert 0.93 <= held <= 0.99


@pytest.mark.statistical
@pytest.mark.parametrize("law", [LAW, GAUSSIAN], ids=["laplace", "gaussian"])
def test_intervals_that_count_less_noise_cover_less(law: NoiseLaw) -> None:
    """Noise believed to be a fifth smaller than it is, or not to be there at all."""
    smaller = replace(law, variance=0.64 * law.variance, quantile95=0.8 * law.quantile95)
    assert coverage(60, law, smaller)[0] < 0.93
    within, sampled = coverage(60, law, EXACT)
    assert within < 0.5
    assert sampled < 0.9
