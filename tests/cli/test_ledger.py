"""`upcare ledger show`: every sum in its measure, and nothing stated that is not so."""

import json
import re
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import pytest
from click.testing import CliRunner

from upcare_mpc.cli.main import upcare as commands
from upcare_mpc.cli.node import open_database
from upcare_mpc.config import load_party
from upcare_mpc.privacy.accountant import Loss
from upcare_mpc.privacy.ledger import Charge, Key, Ledger
from upcare_mpc.storage.journal_store import SqlJournal

PARTIES = Path(__file__).parents[2] / "parties"
CAPS = "epsilon = 10.0\ndelta = 1e-6\n"
TINY = Fraction(1, 2**40)


class Party:
    """A party folder whose ledger a test fills."""

    def __init__(self, folder: Path, caps: str) -> None:
        self.folder = folder
        self.caps(caps)

    def caps(self, caps: str) -> None:
        """Write the party file, with these caps."""
        text = (PARTIES / "de-a" / "party.toml").read_text("utf-8")
        assert CAPS in text
        (self.folder / "party.toml").write_text(text.replace(CAPS, caps), "utf-8")

    def charge(self, *losses: Loss) -> None:
        """Reserve and spend."""
        party = load_party(self.folder)
        with open_database(party) as database:
            journal = SqlJournal(database)
            for loss in losses:
                study = len(journal.entries()).to_bytes(32, "big")
                key = Key(study=study, session=bytes(32))
                charge = Charge(loss=loss, purpose="DUO:0000007")
                for step in ("reserve", "spend"):
                    state = Ledger.replay(party.policy.caps, journal.entries())
                    event = state.reserve(key, charge) if step == "reserve" else state.spend(key)
                    journal.record(lambda _, event=event: event, time=datetime.now(UTC))  # type: ignore[misc]

    def show(self, *options: str) -> str:
        """What the command prints."""
        ran = CliRunner().invoke(
            commands, ["ledger", "show", "--party", str(self.folder), *options]
        )
        assert ran.exit_code == 0, ran.output
        return ran.output


@pytest.fixture
def party(tmp_path: Path) -> Party:
    return Party(tmp_path, CAPS)


def test_laplace_studies_are_summed_in_epsilon_in_rho_and_in_delta(party: Party) -> None:
    party.charge(Loss.pure(Fraction(1), TINY), Loss.pure(Fraction(1, 2), TINY))

    first, *more = party.show().splitlines()

    assert first == "de-a: epsilon 1.5 spent, 0 reserved, 8.5 left of 10"
    assert [line.strip() for line in more[:4]] == [
        "rho 0.625 spent, 0 reserved, 0.853442 left of 1.47844",
        "delta 1.81899e-12 spent, 0 reserved, 4.99998e-07 left of 5e-07",
        (
            "one more study may ask rho 0.853442 with Gaussian noise, "
            "or epsilon 8.5 with Laplace noise"
        ),
        "all of it together: epsilon 1.5 at delta 1e-06",
    ]


def test_with_a_gaussian_study_there_is_no_sum_of_epsilons(party: Party) -> None:
    party.charge(Loss.pure(Fraction(1), TINY), Loss.concentrated(Fraction(1, 10), TINY))

    report, lines = json.loads(party.show("--json")), party.show()

    assert "epsilon 1 spent" not in lines
    assert lines.startswith("de-a: rho 0.6 spent, 0 reserved, 0.878442 left of 1.47844\n")
    assert report["spent"]["epsilon"] is None
    assert report["spent"]["rho"] == pytest.approx(0.6)
    assert report["cap"]["epsilon"] == 10
    assert report["left"]["epsilon"] == pytest.approx((2 * 0.878442) ** 0.5, abs=1e-5)
    assert report["together"]["epsilon"] > 1
    assert [charge["epsilon"] for charge in report["charges"]] == [1, None]
    assert [charge["rho"] for charge in report["charges"]] == [0.5, 0.1]


def test_the_epsilon_of_everything_is_not_understated(party: Party) -> None:
    party.charge(Loss.pure(Fraction(1, 3), TINY), Loss.concentrated(Fraction(1, 70), TINY))

    exact = json.loads(party.show("--json"))["together"]["epsilon"]
    found = re.search(r"all of it together: epsilon ([0-9.]+) at delta 1e-06", party.show())

    assert found
    assert exact <= float(found[1]) <= exact * (1 + 1e-5)


def test_the_cap_of_a_purpose_and_what_is_left_under_it_are_shown(party: Party) -> None:
    party.caps('rho = 1.5\ndelta = 1e-6\n[policy.caps.purposes]\n"DUO:0000007" = 0.5\n')
    party.charge(Loss.concentrated(Fraction(3, 10), TINY))

    assert (
        "DUO:0000007: capped at rho 0.5; one more study may ask rho 0.2, or epsilon 0.632456"
    ) in party.show()
    assert json.loads(party.show("--json"))["purposes"]["DUO:0000007"]["cap"]["rho"] == 0.5


def test_under_a_cap_lowered_below_what_was_spent_the_sums_are_still_shown(party: Party) -> None:
    party.charge(Loss.pure(Fraction(3), TINY))

    party.caps("epsilon = 1.0\ndelta = 1e-13\n")

    lines = party.show()
    assert "epsilon 3 spent, 0 reserved, 0 left of 1" in lines
    assert "all of it together: these releases have delta 9.09e-13 by themselves" in lines
    assert json.loads(party.show("--json"))["together"]["epsilon"] is None
