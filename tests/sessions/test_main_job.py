"""Five registries in three formats and five processes answer jointly what one table would answer.

At epsilon = 50 the noise is zero but for one release in 10^20, so the answers are compared with
the cleartext numbers exactly.
"""

import csv
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from command import upcare
from fragile_network import FIVE, PARTIES, POLICY, FragileNetwork, cases_of, counts, data_of

from upcare_mpc.client.platform import PlatformClient
from upcare_mpc.client.researcher import Researcher, new_researcher
from upcare_mpc.errors import RefusedError
from upcare_mpc.stats.counts import cross_table
from upcare_mpc.stats.lifetable import life_table
from upcare_mpc.study.spec import Study, parse

pytestmark = pytest.mark.parties

ARMS = {"hormone therapy": "2", "no hormone therapy": "1"}  # label: code in the truth
YEARS = [0, 365, 730, 1095, 1461, 1826, 2191, 2556]


@pytest.fixture(scope="module")
def network() -> Iterator[FragileNetwork]:
    policy = replace(POLICY, epsilon=Fraction(180))
    with FragileNetwork(data=data_of(*FIVE), overlap=1, policy=policy) as five:
        five.wait_until_attending(demo_study())
        yield five


def demo_study(epsilon: int = 50, days: int = 365, intervals: int = 7) -> Study:
    """The study of the demonstration, at another epsilon and on another grid."""
    text = (PARTIES / "study.toml").read_text("utf-8")
    for old, new in (
        ("epsilon = 1.0", f"epsilon = {epsilon}"),
        ("interval_days = 365", f"interval_days = {days}"),
        ("intervals = 7", f"intervals = {intervals}"),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    return parse(text, name="study.toml")


def truth(arm: str) -> tuple[list[int], list[bool]]:
    """Follow-up days and deaths of one arm, from the published table."""
    path = Path(__file__).parents[1] / "data" / "gbsg2_truth.csv"
    with path.open(encoding="utf-8", newline="") as file:
        women = [woman for woman in csv.DictReader(file) if woman["hormone"] == ARMS[arm]]
    return [int(w["survtime"]) for w in women], [w["censdead"] == "1" for w in women]


def test_the_demo_study_equals_the_cleartext_table(network: FragileNetwork) -> None:
    story = network.ask(demo_study())

    assert story.result is not None
    rows = story.result.result.rows
    for arm in ARMS:
        oracle = life_table(*truth(arm), YEARS)
        ours = rows[rows["arm"] == arm]
        assert ours["end_days"].tolist() == YEARS[1:]
        assert ours["events"].tolist() == [line.deaths for line in oracle]
        assert ours["at_risk"].tolist() == [line.at_risk for line in oracle]
        assert ours["survival"].tolist() == pytest.approx([line.survival for line in oracle])
    five_years = rows[rows["end_days"] == 1826].set_index("arm")["survival"]
    assert round(five_years["no hormone therapy"], 4) == 0.6732
    assert round(five_years["hormone therapy"], 4) == 0.7522
    assert round(story.result.result.statistics["logrank"]["statistic"], 4) == 2.6716


def test_on_a_one_day_grid_the_answer_is_the_published_kaplan_meier_curve(
    network: FragileNetwork,
) -> None:
    story = network.ask(demo_study(days=1, intervals=2720))

    assert story.result is not None
    rows = story.result.result.rows
    published = {
        "no hormone therapy": [0.98356, 0.80022, 0.67184],
        "hormone therapy": [0.97886, 0.86751, 0.75275],
    }
    for arm, wanted in published.items():
        curve = rows[rows["arm"] == arm].set_index("end_days")["survival"]
        assert [round(curve[day], 5) for day in (365, 1095, 1826)] == wanted
    assert round(story.result.result.statistics["logrank"]["statistic"], 4) == 2.5616


def test_a_cross_table_equals_the_cleartext_counts(network: FragileNetwork) -> None:
    study = counts("grades in five registries", names=FIVE, epsilon="40")

    story = network.ask(study)

    cases = [c for files in data_of(*FIVE).values() for c in cases_of(files)]
    oracle = cross_table([{"grade": c.grade} for c in cases if c.site == "C50"], ["grade"])
    assert story.result is not None
    found = story.result.result.rows.set_index("grade")["count"]
    assert {(grade,): count for grade, count in found.items() if count} == dict(oracle)
    assert sum(oracle.values()) > 600


def test_the_same_question_again_costs_nothing_and_gives_the_same_bytes(
    network: FragileNetwork,
) -> None:
    study = counts("asked twice", names=FIVE)
    first = network.ask(study)
    left = {name: network.ledger(name).balance().epsilon_left for name in FIVE}

    again = network.ask(study)

    assert again.phases[-2:] == ["stored", "done"]
    assert first.result is not None
    assert again.result is not None
    assert again.result.noisy.tobytes() == first.result.noisy.tobytes()
    assert again.result.session == first.result.session
    assert {name: network.ledger(name).balance().epsilon_left for name in FIVE} == left


def test_what_each_registry_spent_is_what_the_label_says(network: FragileNetwork) -> None:
    study = counts("label and ledgers", names=FIVE)

    story = network.ask(study)

    assert story.result is not None
    label = story.result.label()
    loss = story.result.question.guarantee.loss
    assert {r.name: r.spent for r in story.result.registries} == dict.fromkeys(FIVE, loss)
    assert [r.role for r in story.result.registries] == ["computing"] * 3 + ["contributing"] * 2
    for name in FIVE:
        (account,) = (
            a for a in network.ledger(name).accounts.values() if a.key.study == study.digest
        )
        assert account.charge.loss == loss
    assert (str(loss.epsilon), str(loss.delta)) == (label["epsilon_exact"], label["delta_exact"])
    network.wait_for_charges(study, **{name.replace("-", "_"): "settled" for name in FIVE})


def test_one_study_too_many_is_refused_in_words_and_changes_no_ledger(
    network: FragileNetwork,
) -> None:
    while (left := network.ledger("fr-b").balance().epsilon_left) >= 50:
        assert network.ask(counts(f"with {left} left", names=FIVE, epsilon="50")).end == "done"
    before = {name: network.ledger(name) for name in FIVE}

    story = network.ask(counts("one too many", names=FIVE, epsilon=str(int(left) + 1)))

    assert story.end == "refused"
    assert f"epsilon {int(left) + 1} asked, {float(left):g} left" in story.words
    assert {name: network.ledger(name) for name in FIVE} == before


def test_an_unknown_researcher_is_refused_and_learns_no_balance(
    network: FragileNetwork, tmp_path: Path
) -> None:
    new_researcher(
        tmp_path / "stranger",
        identity_folder=network.folder / "network",
        platform=network.researcher.platform,
    )
    study = counts("asked by a stranger", names=FIVE)

    with PlatformClient(Researcher.load(tmp_path / "stranger")) as platform:
        answers = platform.preview(study)
        with pytest.raises(RefusedError, match="does not know this researcher's key"):
            platform.submit(study)
        with pytest.raises(RefusedError, match="has not submitted such a study"):
            list(platform.watch(study.digest))

    assert {answer.reason for answer in answers} == {"does not know this researcher's key"}
    assert {answer.epsilon_left for answer in answers} == {None}
    assert network.all_charges(study) == {name: [] for name in FIVE}


def test_an_answer_is_handed_to_the_researcher_who_asked_alone(
    network: FragileNetwork, tmp_path: Path
) -> None:
    study = counts("whose answer is it", names=FIVE)
    network.ask(study)
    new_researcher(
        tmp_path / "other",
        identity_folder=network.folder / "network",
        platform=network.researcher.platform,
    )

    with (
        PlatformClient(Researcher.load(tmp_path / "other")) as platform,
        pytest.raises(RefusedError, match="has not submitted such a study"),
    ):
        platform.result(study)


def test_the_chain_of_every_ledger_holds(network: FragileNetwork) -> None:
    network.ask(counts("something to verify", names=FIVE))

    for name in ("de-a", "fr-b"):
        ran = upcare("ledger", "verify", "--party", str(network.party_folder(name)))

        assert ran.status == 0
        assert "the chain holds" in ran.out


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("UPDATE journal SET body = replace(body, 'DUO', 'OUD') WHERE sequence = 2", "altered"),
        ("DELETE FROM journal WHERE sequence = 2", "journal entry 2: wanted its number"),
    ],
)
def test_a_ledger_that_was_tampered_with_is_found(
    network: FragileNetwork, tmp_path: Path, damage: str, words: str
) -> None:
    network.ask(counts("something to tamper with", names=FIVE))
    source = network.party_folder("de-a")
    (tmp_path / "state").mkdir()
    shutil.copy(source / "party.toml", tmp_path)
    with (
        sqlite3.connect(source / "state" / "node.db") as ledger,
        sqlite3.connect(tmp_path / "state" / "node.db") as copy,
    ):
        ledger.backup(copy)
        copy.execute(damage)
    ledger.close()
    copy.close()

    ran = upcare("ledger", "verify", "--party", str(tmp_path))

    assert ran.status == 1
    assert words in ran.err
    assert len(ran.err.splitlines()) == 1
