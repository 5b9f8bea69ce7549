"""The whole line with real processes: a phone, the command of the page, a platform, three nodes.

At epsilon = 80 the noise is zero but for one release in 10^16.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fragile_network import FIVE, POLICY, FragileNetwork, data_of
from playwright.sync_api import expect, sync_playwright

from upcare_mpc.cli.local.deposits import answer_all, client_of, collecting
from upcare_mpc.cli.node import open_database
from upcare_mpc.client.platform import PlatformClient
from upcare_mpc.config import load_party
from upcare_mpc.node.snapshot import snapshots_of
from upcare_mpc.storage.patients import Visits
from upcare_mpc.storage.snapshot_rows import pseudonym
from upcare_mpc.study.spec import parse

pytestmark = [pytest.mark.parties, pytest.mark.slow]

CHROMIUM = Path("/usr/bin/chromium")
STUDY = parse(
    'version = 1\ntitle = "On the phone"\nkind = "questionnaire"\npurpose = "DUO:0000007"\n'
    'registries = ["de-a", "de-b", "de-c"]\noverlap = 1\n[deposits]\npatients = true\n'
    '[cohort]\nwhere = "true"\n[privacy]\nepsilon = 80\n'
    '[[questionnaire.questions]]\ntext = "Smoked?"\noptions = ["never", "once", "today"]\n'
    '[[questionnaire.questions]]\ntext = "Health?"\noptions = ["poor", "fair", "good"]\n',
    name="study.toml",
)


@contextmanager
def page_of(folder: Path) -> Iterator[str]:
    """Run the page's command; its address."""
    command = [sys.executable, "-m", "upcare_mpc", "patient", "serve", "--with-parent"]
    with subprocess.Popen(
        [*command, "--party", str(folder)],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        line = process.stderr.readline()
        address = re.search(r"http://\S+", line)
        assert address, line
        yield address[0]
        process.stdin.close()
        assert process.wait(timeout=20) == 0
        assert "Traceback" not in process.stderr.read()


def code(folder: Path, patient_id: str) -> str:
    party = load_party(folder)
    who = pseudonym(snapshots_of(party.data, party.state_folder).secret(), patient_id)
    with open_database(party) as database:
        return Visits(database).invite(who, life=timedelta(hours=1), now=datetime.now(UTC))


def test_answers_from_a_phone_are_in_the_sum() -> None:
    if not CHROMIUM.exists():
        pytest.skip(f"NOT TESTED: there is no {CHROMIUM}, so nobody answered in a browser")
    names = FIVE[:3]
    with FragileNetwork(data=data_of(*names), overlap=1, policy=POLICY) as network:
        network.make_whole(names)
        assert network.ask(STUDY).end == "collecting"
        collection = collecting(network, STUDY)
        answer_all(network, collection, [{"Smoked?": "never"}, {"Health?": "good"}])

        folder = network.party_folder("de-b")
        with page_of(folder) as served, sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=str(CHROMIUM), args=["--no-sandbox"]
            )
            page = browser.new_page()
            page.goto(f"{served}en/")
            page.fill("#code", code(folder, "P-4711"))
            page.click("main button")
            page.click('a[href="/en/questions"]')
            expect(page.locator("h1")).to_have_text("Questions you can answer")
            for _ in range(100):  # the page asks the platform when it starts
                if page.locator("main .button").count():
                    break
                page.wait_for_timeout(100)
                page.reload()
            page.click("main .button")
            page.check('input[name="q0"][value="2"]')
            page.check('input[name="q1"][value="2"]')
            page.click("form[data-place] button")
            expect(page.locator(".state.yes")).to_contain_text("as number 3", timeout=60_000)
            browser.close()

        with PlatformClient(network.researcher) as platform:
            platform.close(STUDY)
            *_, last = network.follow(STUDY, within_s=60)
            assert last.phase == "done", last.text
            result = platform.result(STUDY)
        with client_of(network) as client:
            assert client.open() == []

    counted = result.result.rows.set_index(["question", "answer"])["count"]
    assert counted.to_dict() == {
        ("Smoked?", "never"): 1,
        ("Smoked?", "once"): 0,
        ("Smoked?", "today"): 1,
        ("Health?", "poor"): 0,
        ("Health?", "fair"): 0,
        ("Health?", "good"): 2,
    }
    assert result.label()["deposits"]["patients"] == 3
