"""Deposits over real processes: tables of registries without a node, and answers of patients.

At epsilon = 40 the noise is zero but for one release in 10^16, so the answers are compared with the
cleartext exactly.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from command import upcare
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fragile_network import FIVE, PARTIES, POLICY, FragileNetwork, cases_of, data_of, wait_for

from upcare_mpc.cli.deposit_ticket import give_ticket
from upcare_mpc.cli.depositing import deposit_table
from upcare_mpc.cli.local.deposits import answer_all, client_of, collecting, deposit_all
from upcare_mpc.client.deposit_files import point_of
from upcare_mpc.client.deposits import OpenCollection, patient_deposit
from upcare_mpc.client.platform import PlatformClient
from upcare_mpc.client.result import OpenedResult
from upcare_mpc.deposits.submission import Deposit
from upcare_mpc.errors import RefusedError
from upcare_mpc.stats.counts import cross_table
from upcare_mpc.study.spec import Study, parse

pytestmark = pytest.mark.parties

ONLINE, OFFLINE = FIVE[:3], FIVE[3:]
SMOKED = ("never", "once", "today")
HEALTH = ("poor", "fair", "good")


def tables(title: str, *, envelope: str = "rlwe", online: tuple[str, ...] = ONLINE) -> Study:
    """Grades of breast cancer: online registries, and the others' deposits."""
    return parse(
        f'version = 1\ntitle = "{title}"\nkind = "counts"\npurpose = "DUO:0000007"\n'
        f"registries = {json.dumps(online)}\noverlap = 1\n"
        f'[deposits]\nenvelope = "{envelope}"\n'
        f"registries = {json.dumps([name for name in FIVE if name not in online])}\n"
        "[cohort]\nwhere = \"site = 'C50'\"\n[privacy]\nepsilon = 40\n"
        '[counts]\nby = ["grade"]\n',
        name="study.toml",
    )


def questions(title: str, *, envelope: str = "rlwe") -> Study:
    """Two questions to patients."""
    return parse(
        f'version = 1\ntitle = "{title}"\nkind = "questionnaire"\npurpose = "DUO:0000007"\n'
        f"registries = {json.dumps(ONLINE)}\noverlap = 1\n"
        f'[deposits]\nenvelope = "{envelope}"\npatients = true\n'
        '[cohort]\nwhere = "true"\n[privacy]\nepsilon = 80\n'
        f'[[questionnaire.questions]]\ntext = "Smoked?"\noptions = {json.dumps(SMOKED)}\n'
        f'[[questionnaire.questions]]\ntext = "Health?"\noptions = {json.dumps(HEALTH)}\n',
        name="study.toml",
    )


@pytest.fixture(scope="module")
def shared_network() -> Iterator[FragileNetwork]:
    with FragileNetwork(
        data=data_of(*ONLINE), offline=data_of(*OFFLINE), overlap=1, policy=POLICY
    ) as network:
        yield network


@pytest.fixture
def network(shared_network: FragileNetwork) -> FragileNetwork:
    shared_network.make_whole(ONLINE)
    return shared_network


def collect(network: FragileNetwork, study: Study) -> bytes:
    """Submit a study; the digest of the collection that it begins."""
    story = network.ask(study)
    assert story.end == "collecting", story.words
    return collecting(network, study)


def closed(network: FragileNetwork, study: Study, *without: str) -> OpenedResult:
    """Close a study and open its answer."""
    with PlatformClient(network.researcher) as platform:
        platform.close(study, without)
        *_, last = network.follow(study, within_s=60)
        assert last.phase == "done", last.text
        return platform.result(study)


def grades(*names: str) -> dict[Any, int]:
    cases = [case for files in data_of(*names).values() for case in cases_of(files)]
    table = cross_table([{"grade": case.grade} for case in cases if case.site == "C50"], ["grade"])
    return {grade: count for (grade,), count in table.items()}


def counted(opened: OpenedResult) -> dict[Any, int]:
    found = opened.result.rows.set_index("grade")["count"]
    return {grade: count for grade, count in found.items() if count}


@pytest.mark.parametrize("envelope", ["rlwe", "sealed"])
def test_three_online_and_two_depositing_registries_are_one_sum(
    network: FragileNetwork, envelope: str
) -> None:
    study = tables(f"three and two, {envelope}", envelope=envelope)
    collection = collect(network, study)

    deposit_all(network, collection)
    opened = closed(network, study)

    assert counted(opened) == grades(*FIVE)
    label = opened.label()
    assert label["deposits"]["registries"] == list(OFFLINE)
    assert (label["deposits"]["patients"], label["deposits"]["refused"]) == (0, {})
    assert label["missing"] == []
    roles = {charged.name: charged.role for charged in opened.registries}
    assert [roles[name] for name in OFFLINE] == ["depositing"] * 2
    for name in OFFLINE:
        assert network.charges(name, study) == ["settled"]


def test_a_table_that_is_sent_again_is_the_same_and_is_not_charged_again(
    network: FragileNetwork,
) -> None:
    study = tables("sent again")
    collection = collect(network, study)
    folder = network.party_folder("fr-a")

    first = deposit_table(folder, collection.hex()[:12], approve=True)
    again = deposit_table(folder, collection.hex()[:12], approve=True)

    assert (first["charged_now"], again["charged_now"]) == (True, False)
    assert (first["deposit"], first["place"]) == (again["deposit"], again["place"])
    assert network.charges("fr-a", study) == ["settled"]
    opened = closed(network, study)
    assert counted(opened) == grades(*ONLINE, "fr-a")
    assert opened.label()["deposits"]["registries"] == ["fr-a"]

    with pytest.raises(RefusedError):  # closed; nothing is charged for coming too late
        deposit_table(network.party_folder("fr-b"), collection.hex(), approve=True)
    assert network.charges("fr-b", study) == []


def hostile(
    network: FragileNetwork, found: OpenCollection, vector: npt.NDArray[np.int64], name: str
) -> None:
    """A patient with a good ticket and a good proof sends a vector that is no answer."""
    key = ec.generate_private_key(ec.SECP256R1())
    ticket, certificate = give_ticket(network.party_folder("de-a"), found, name, point_of(key))
    encoded = patient_deposit(found, vector, key=key, ticket=ticket, certificate=certificate)
    with client_of(network) as client:
        client.send(found, encoded)


@pytest.mark.parametrize("envelope", ["rlwe", "sealed"])
def test_of_thirty_patients_two_who_cheat_are_left_out(
    network: FragileNetwork, envelope: str
) -> None:
    study = questions(f"smoking, {envelope}", envelope=envelope)
    collection = collect(network, study)
    answers: list[Mapping[str, str]] = [
        {"Smoked?": SMOKED[n % 3]} | ({"Health?": HEALTH[n % 2]} if n % 4 else {})
        for n in range(28)
    ]

    answer_all(network, collection, answers)
    with client_of(network) as client:
        found = client.describe(collection)
    cells = found.collection.cells
    large, two = np.zeros(cells, np.int64), np.zeros(cells, np.int64)
    large[0] = 1000
    two[:2] = 1
    hostile(network, found, large, f"cheat-1-{envelope}")
    hostile(network, found, two, f"cheat-2-{envelope}")
    opened = closed(network, study)

    rows = opened.result.rows.set_index(["question", "answer"])["count"]
    for question, options in (("Smoked?", SMOKED), ("Health?", HEALTH)):
        said = Counter(given[question] for given in answers if question in given)
        assert {option: rows[question, option] for option in options} == {
            option: said[option] for option in options
        }
    deposits = opened.label()["deposits"]
    assert (deposits["patients"], deposits["dropped"], deposits["refused"]) == (28, 2, {})


def test_tables_and_patients_are_one_sum_and_a_broken_proof_is_left_out(
    network: FragileNetwork,
) -> None:
    study = parse(
        'version = 1\ntitle = "both"\nkind = "counts"\npurpose = "DUO:0000007"\n'
        f"registries = {json.dumps(ONLINE)}\noverlap = 2\n"
        '[deposits]\nregistries = ["fr-a", "fr-b"]\npatients = true\n'
        '[cohort]\nwhere = "true"\n[privacy]\nepsilon = 80\n[counts]\nby = ["sex"]\n',
        name="study.toml",
    )
    collection = collect(network, study)
    answer_all(network, collection, [{"sex": "female"}, {"sex": "male"}])
    deposit_table(network.party_folder("fr-b"), collection.hex(), approve=True)
    with client_of(network) as client:
        found = client.describe(collection)
        key = ec.generate_private_key(ec.SECP256R1())
        ticket, certificate = give_ticket(
            network.party_folder("de-c"), found, "a patient of whom somebody knows", point_of(key)
        )
        vector = np.zeros(found.collection.cells, np.int64)
        good = Deposit.from_bytes(
            patient_deposit(found, vector, key=key, ticket=ticket, certificate=certificate)
        )
        broken = replace(good, payload=good.payload[:-1] + bytes([good.payload[-1] ^ 1]))
        signed = broken.signed(lambda statement: key.sign(statement, ec.ECDSA(hashes.SHA256())))
        client.send(found, signed.to_bytes())  # the platform checks no proof
    opened = closed(network, study)

    cases = [case for files in data_of(*ONLINE, "fr-b").values() for case in cases_of(files)]
    truth = cross_table([{"sex": case.sex} for case in cases], ["sex"])
    rows = opened.result.rows.set_index("sex")["count"]
    assert rows["female"] == truth.get(("female",), 0) + 1
    assert rows["male"] == truth.get(("male",), 0) + 1
    deposits = opened.label()["deposits"]
    assert (deposits["registries"], deposits["patients"]) == (["fr-b"], 2)
    assert (deposits["refused"], deposits["dropped"]) == ({"proof": 1}, 0)


@pytest.mark.slow
def test_a_holder_that_is_lost_does_not_take_the_deposits_with_it() -> None:
    online = FIVE[:4]
    study = tables("one is lost", online=online)
    with FragileNetwork(
        data=data_of(*online), offline=data_of("fr-b"), overlap=1, policy=POLICY
    ) as network:
        network.make_whole(online)
        collection = collect(network, study)
        deposit_all(network, collection)
        network.kill("de-b")
        with PlatformClient(network.researcher) as platform:
            wait_for(
                lambda: any(a.verdict == "not connected" for a in platform.preview(study)),
                within_s=30,
                what="the platform notices",
            )
            with pytest.raises(RefusedError, match="de-b"):
                platform.close(study)

        opened = closed(network, study, "de-b")

        assert counted(opened) == grades("de-a", "de-c", "fr-a", "fr-b")
        assert opened.label()["missing"] == ["de-b"]


@pytest.mark.slow
def test_a_network_on_this_machine_with_deposits_and_answers(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(
        'version = 1\ntitle = "local"\nkind = "questionnaire"\npurpose = "DUO:0000007"\n'
        f"registries = {json.dumps(ONLINE)}\noverlap = 1\n[deposits]\npatients = true\n"
        '[cohort]\nwhere = "true"\n[privacy]\nepsilon = 40\n'
        f'[[questionnaire.questions]]\ntext = "Smoked?"\noptions = {json.dumps(SMOKED)}\n'
    )
    (tmp_path / "answers.csv").write_text("Smoked?\nnever\nnever\n\ntoday\n")
    data = [option for name in ONLINE for option in ("--data", f"{name}={PARTIES / name}")]

    ran = upcare(
        *("local", *data, "--study", "study.toml", "--answers", "answers.csv", "--json"),
        cwd=tmp_path,
        within_s=120,
    )

    assert ran.status == 0, ran.err
    told = json.loads(ran.out)
    counts = {row["answer"]: row["count"] for row in told["result"]["rows"]}
    assert counts == {"never": 2, "once": 0, "today": 1}
    assert told["label"]["deposits"]["patients"] == 3  # an empty line is no patient
    assert list(told["seconds"]) == ["start", "key", "deposits", "study", "total"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--deposit", "fr-a=nowhere"], "nowhere: no data file there"),
        (["--deposit", f"fr-a={PARTIES / 'fr-a'}"], "the study does not ask fr-a, but nobody"),
        (["--answers", "none.csv"], "none.csv: cannot be read"),
        (["--answers", "strange.csv"], "Drunk?"),
    ],
)
def test_bad_options_are_one_line_before_any_process_starts(
    tmp_path: Path, options: list[str], says: str
) -> None:
    (tmp_path / "study.toml").write_text(
        'version = 1\ntitle = "local"\nkind = "questionnaire"\npurpose = "DUO:0000007"\n'
        f"registries = {json.dumps(ONLINE)}\noverlap = 1\n[deposits]\npatients = true\n"
        '[cohort]\nwhere = "true"\n[privacy]\nepsilon = 40\n'
        '[[questionnaire.questions]]\ntext = "Smoked?"\noptions = ["never", "once"]\n'
    )
    (tmp_path / "strange.csv").write_text("Drunk?\nnever\n")
    data = [option for name in ONLINE for option in ("--data", f"{name}={PARTIES / name}")]

    ran = upcare("local", *data, "--study", "study.toml", *options, cwd=tmp_path)

    assert (ran.status, ran.out) == (1, "")
    assert says in ran.err
    assert len(ran.err.splitlines()) == 1
