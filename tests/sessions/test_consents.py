"""A real network in which one registry counts only patients who have consented, and one objects.

The studies are asked with so large an epsilon that the noise is zero, so that what was counted can
be held against the records of those who may be counted.
"""

import re
from collections.abc import Iterator

import pytest
from command import upcare
from fragile_network import POLICY, FragileNetwork, cases_of, counts, data_of

from upcare_mpc.config import DataFiles
from upcare_mpc.records.case import Case
from upcare_mpc.stats.counts import cross_table

pytestmark = [pytest.mark.parties, pytest.mark.slow]

THREE = ("de-a", "fr-a", "fr-b")
STRICT, OPEN = "de-a", "fr-a"
YES = ("--permission", "DUO:0000042", "--from", "2020-01-01")  # before the point that is played


class ConsentNetwork(FragileNetwork):
    """A network whose registry de-a has the consent gate."""

    def found(self) -> None:
        """Make every folder; state the gate."""
        super().found()
        party = self.party_folder(STRICT) / "party.toml"
        text = re.sub(
            r"^cases_at_most",
            'gate = "consent"\ncases_at_most',
            party.read_text(),
            flags=re.MULTILINE,
        )
        party.write_text(text)

    def says(self, name: str, patient_id: str, *answer: str) -> None:
        """Record what a patient has said on statistics."""
        ran = upcare(
            *("consent", "record", "--party", str(self.party_folder(name))),
            *("--patient", patient_id, "--activity", "statistics", *answer),
        )
        assert ran.status == 0, ran.err

    def freeze_again(self, name: str) -> None:
        """What the calendar does at its next point: the freeze in force goes, another comes."""
        self.kill(name)
        for frozen in (self.party_folder(name) / "state" / "consents").glob("*.frozen"):
            frozen.unlink()
        self.make_whole(THREE)


@pytest.fixture(scope="module")
def files() -> dict[str, DataFiles]:
    return data_of(*THREE)


@pytest.fixture(scope="module")
def network(files: dict[str, DataFiles]) -> Iterator[ConsentNetwork]:
    with ConsentNetwork(data=files, overlap=1, policy=POLICY) as three:
        three.wait_until_attending(counts("hello", names=THREE))
        yield three


def of_breast(files: DataFiles) -> list[str]:
    found = {c.patient_id for c in cases_of(files) if c.site == "C50" and c.grade is not None}
    return sorted(found)


def grades(cases: list[Case]) -> dict[object, int]:
    found = cross_table([{"grade": c.grade} for c in cases if c.site == "C50"], ["grade"])
    return {grade: count for (grade,), count in found.items()}


def answered(network: FragileNetwork) -> dict[object, int]:
    story = network.ask(counts("who is counted", names=THREE, epsilon="40"))
    assert story.result is not None, story.words
    found = story.result.result.rows.set_index("grade")["count"]
    return {grade: count for grade, count in found.items() if count}


def test_a_study_counts_whom_the_gate_permits_from_the_next_freeze_on(
    network: ConsentNetwork, files: dict[str, DataFiles]
) -> None:
    """One question three times; each freeze makes it another session with a charge of its own."""
    cases = {name: list(cases_of(files[name])) for name in THREE}
    yes, objector = of_breast(files[STRICT])[:4], of_breast(files[OPEN])[0]
    nobody_asked = cases[OPEN] + cases["fr-b"]

    assert answered(network) == grades(nobody_asked)

    for patient in yes:
        network.says(STRICT, patient, *YES)
    network.says(STRICT, yes[-1], *YES, "--limit", "DUO:0000046")
    network.says(OPEN, objector, "--refuse")
    story = network.ask(counts("who is counted", names=THREE, epsilon="40"))
    assert "stored" in story.phases  # nothing has changed: the answer of before, at no cost

    network.freeze_again(STRICT)
    network.freeze_again(OPEN)
    counted = [case for case in cases[STRICT] if case.patient_id in yes[:-1]]
    counted += [case for case in nobody_asked if case.patient_id != objector]

    assert answered(network) == grades(counted) != grades(nobody_asked)
    charges = network.all_charges(counts("who is counted", names=THREE, epsilon="40"))
    assert {name: len(found) for name, found in charges.items()} == dict.fromkeys(THREE, 2)
