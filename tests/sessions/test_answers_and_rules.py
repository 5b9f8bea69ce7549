"""Patients' answers in a study with a rule about what is shown, over real processes.

Two kinds of bits open to the computing registries: which deposits are answers, and which cells
pass. Four registries take part; fr-a runs a node, holds no part of the key, and only contributes.
The second study draws its noise from the bank. At epsilon = 40 the noise is zero but for one
release in 10^16.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import pytest
from fragile_network import FOUR, POLICY, FragileNetwork, data_of, wait_for

from upcare_mpc._proto.upcare.node.v1 import node_pb2
from upcare_mpc.cli.local.deposits import answer_all, client_of, collecting
from upcare_mpc.client.platform import Event, PlatformClient
from upcare_mpc.node.operator import call_operator
from upcare_mpc.study.draw import SEGMENT_CELLS
from upcare_mpc.study.spec import Study, parse

pytestmark = pytest.mark.parties

COMPUTING = FOUR[:3]
SMOKED = ("never", "once", "today")


@pytest.fixture(scope="module")
def network() -> Iterator[FragileNetwork]:
    keeps = replace(POLICY, bank_cells=SEGMENT_CELLS, epsilon=Fraction(10_000))
    policies = {"fr-a": replace(keeps, computes=False, bank_cells=0)}
    with FragileNetwork(data=data_of(*FOUR), overlap=1, policy=keeps, policies=policies) as network:
        network.make_whole(FOUR)
        yield network


def asked(title: str) -> Study:
    return parse(
        f'version = 1\ntitle = "{title}"\nkind = "questionnaire"\npurpose = "DUO:0000007"\n'
        f"registries = {json.dumps(FOUR)}\noverlap = 1\n[deposits]\npatients = true\n"
        '[cohort]\nwhere = "true"\n[privacy]\nepsilon = 40\n[release]\nsuppress_below = 3\n'
        f'[[questionnaire.questions]]\ntext = "Smoked?"\noptions = {json.dumps(SMOKED)}\n',
        name="study.toml",
    )


def answered(network: FragileNetwork, study: Study) -> list[Event]:
    """Four patients have never smoked, two once; what happens when the study is closed."""
    assert network.ask(study).end == "collecting"
    said = ["never", "once", "never", "never", "once", "never"]
    answer_all(network, collecting(network, study), [{"Smoked?": option} for option in said])
    with PlatformClient(network.researcher) as platform:
        platform.close(study, ())
    return list(network.follow(study, within_s=60))


def bank(network: FragileNetwork, name: str) -> int:
    state = network.party_folder(name) / "state"
    return sum(item.cells for item in call_operator(state, "Bank", node_pb2.BankRequest()).ready)


@pytest.mark.slow
def test_answers_and_rules_with_drawn_noise_and_with_noise_from_the_bank(
    network: FragileNetwork,
) -> None:
    for title, source in (
        ("first", "draw the noise together"),
        ("second", "from their noise bank"),
    ):
        study = asked(title)
        events = answered(network, study)

        assert events[-1].phase == "done", events[-1].text
        assert any(source in event.text for event in events if event.phase == "noise")
        result = network.open(study).result
        rows = result.rows.set_index("answer")
        assert rows.loc["never", "count"] == 4
        assert rows["suppressed"].to_dict() == {"never": False, "once": True, "today": True}
        assert network.all_charges(study) == {name: ["settled"] for name in FOUR}
        with client_of(network) as client:
            assert client.open() == []
        wait_for(
            lambda: all(bank(network, name) for name in COMPUTING),
            within_s=30,
            what="every bank has noise",
        )
        time.sleep(1)  # and the nodes have told the platform
