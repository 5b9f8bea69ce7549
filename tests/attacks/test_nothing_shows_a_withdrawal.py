"""A platform that looks for signs that somebody has withdrawn.

It holds two networks beside each other, alike but for one patient of de-a, who has objected in the
second. It may ask for quotes as often as it likes, put studies that are refused, run one, look at
sizes and times of all that comes, and wait for the days on which snapshots get another name. The
only thing that differs is the vector, which no one sees but in a noisy sum over all registries.

What would betray her: a digest that changes when somebody withdraws and only then, an error that
speaks of consents, a study that is refused because too few are left, an answer that takes longer.
"""

import asyncio
import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from registries import TODAY, Registries, counts, registries

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc.node import server
from upcare_mpc.node import session as session_module
from upcare_mpc.node.session import counting_time
from upcare_mpc.study.spec import Study

WEEK = datetime.timedelta(days=7)
NAMES = ("session_digest", "snapshot")  # random in both networks, of a fixed length
SIGNED = ("certificate", "signature")  # random in both, of a length that is random too (DER)


@dataclass
class Worlds:
    """The network in which nobody has said anything, and the one in which somebody has objected."""

    quiet: Registries
    withdrawn: Registries

    def a_week_later(self) -> None:
        """The next freeze is in force at every node."""
        for world in (self.quiet, self.withdrawn):
            for registry in world.nodes.values():
                registry.clock.today += WEEK
                asyncio.run(registry.node.renew_data())


@pytest.fixture
def worlds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worlds]:
    monkeypatch.setattr(server, "renewal_time", lambda _: 0.0)
    delivery = Path(__file__).parents[2] / "parties" / "fr-b" / "data" / "FR-B_encr_incidence.csv"
    somebody = delivery.read_text("utf-8").splitlines()[1].split(";")[0].strip('"')
    made = Worlds(registries(tmp_path / "quiet"), registries(tmp_path / "withdrawn"))
    made.withdrawn["de-a"].objects(somebody)
    made.a_week_later()
    yield made
    made.quiet.close()
    made.withdrawn.close()


def shown(message: Any) -> list[tuple[str, object]]:
    """All that a message tells, field by field; of a random name its length."""
    told: list[tuple[str, object]] = []
    for name, value in ((field.name, value) for field, value in message.ListFields()):
        if hasattr(value, "ListFields"):
            told += [(f"{name}.{inner}", what) for inner, what in shown(value)]
        elif name in NAMES:
            told.append((name, len(value)))
        else:
            told.append((name, None if name in SIGNED else value))
    return told


def quoted(world: Registries, study: Study) -> list[list[tuple[str, object]]]:
    offer = coordinator_pb2.Offer(request=world.request(study), submitted=True)
    return [shown(answer) for answer in world["de-a"].hears(offer=offer)]


def test_who_has_objected_is_not_counted(worlds: Worlds) -> None:
    """Else nothing below would mean anything."""
    vectors = []
    for world in (worlds.quiet, worlds.withdrawn):
        _, proposal = world.proposal(counts())
        (answer,) = world["de-a"].hears(proposal=proposal)
        assert answer.HasField("approval")
        vectors.append(world["de-a"].workers[-1].vector)

    assert vectors[0] is not None
    assert vectors[0] != vectors[1]


@pytest.mark.parametrize(
    "study",
    [
        counts(),
        counts(epsilon="100"),
        counts(names=("de-b", "de-c", "fr-a")),
        counts(release="minimum_cohort = 100000"),
    ],
    ids=["yes", "too much", "not asked", "a large cohort"],
)
def test_quotes_and_refusals_are_the_same(worlds: Worlds, study: Study) -> None:
    assert quoted(worlds.quiet, study) == quoted(worlds.withdrawn, study)


def test_an_approval_is_of_the_same_size_and_nothing_is_logged(worlds: Worlds) -> None:
    told = []
    for world in (worlds.quiet, worlds.withdrawn):
        _, proposal = world.proposal(counts())
        answers = world["de-a"].hears(proposal=proposal)
        lines = [line.rsplit("session", 1)[0] for line in world["de-a"].log]
        told.append(([shown(answer) for answer in answers], lines))

    assert told[0] == told[1]


def test_an_approval_leaves_at_the_same_time(
    worlds: Worlds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time is worked out before anything is counted, from the text and the declared size."""
    given: list[float] = []

    def note(question: Any, cases_at_most: int) -> float:
        given.append(counting_time(question, cases_at_most))
        return given[-1]

    monkeypatch.setattr(session_module, "counting_time", note)
    for world in (worlds.quiet, worlds.withdrawn):
        world["de-a"].hears(proposal=world.proposal(counts())[1])

    assert given[0] == given[1] > 0


def test_snapshots_get_another_name_at_each_point_and_only_then(worlds: Worlds) -> None:
    def names() -> list[bytes]:
        return [w["de-a"].node.snapshot.digest for w in (worlds.quiet, worlds.withdrawn)]

    seen = [names()]
    for _ in range(3):
        for world in (worlds.quiet, worlds.withdrawn):
            world["de-a"].objects("somebody else")
            asyncio.run(world["de-a"].node.renew_data())
        assert names() == seen[-1]
        worlds.a_week_later()
        seen.append(names())

    assert len({digest for pair in seen for digest in pair}) == 8


def test_a_new_week_is_logged_alike(worlds: Worlds) -> None:
    worlds.a_week_later()

    logs = [world["de-a"].log for world in (worlds.quiet, worlds.withdrawn)]
    assert logs[0] == logs[1]
    assert worlds.quiet["de-a"].clock.today == TODAY + 2 * WEEK


def test_with_nobody_left_a_study_is_answered_all_the_same(worlds: Worlds) -> None:
    """How few are left is decided on the noisy sum of all registries, if at all."""
    delivery = Path(__file__).parents[2] / "parties" / "fr-b" / "data" / "FR-B_encr_incidence.csv"
    for line in delivery.read_text("utf-8").splitlines()[1:]:
        worlds.withdrawn["de-a"].objects(line.split(";")[0].strip('"'))
    worlds.a_week_later()

    assert quoted(worlds.quiet, counts()) == quoted(worlds.withdrawn, counts())
    (answer,) = worlds.withdrawn["de-a"].hears(proposal=worlds.withdrawn.proposal(counts())[1])
    vector = worlds.withdrawn["de-a"].workers[-1].vector

    assert answer.HasField("approval")
    assert vector is not None
    assert set(vector) == {0}
