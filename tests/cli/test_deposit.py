"""`upcare deposit` against a platform in this process."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gathering import Gathering, study_text

from upcare_mpc.cli import deposit as module
from upcare_mpc.cli import depositing
from upcare_mpc.cli.depositing import deposit_table
from upcare_mpc.client.deposit_files import read_point, write_ticket
from upcare_mpc.client.deposits import DepositClient
from upcare_mpc.deposits.receipt import Receipt
from upcare_mpc.errors import LinkError

PARTIES = Path(__file__).parents[2] / "parties"
PARTY = """version = 1
name = "fr-a"
computes = false
[platform]
address = "localhost:1"
[link]
host = "localhost"
ports = [0]
[data]
files = [{data}]
cases_at_most = 10000
[policy]
approval = "{approval}"
purposes = ["DUO:0000007"]
kinds = ["counts"]
epsilon_per_study = 2.0
[policy.caps]
epsilon = 10.0
delta = 1e-6
[policy.researchers]
"Dr Example" = "{key}"
"""


class Patched(DepositClient):
    """Reaches the platform in this process, whatever address is stated."""

    gathering: Gathering

    @classmethod
    def of_network(cls, folder: Any, platform: str) -> DepositClient:  # type: ignore[override]
        assert (Path(folder) / "ca.pem").exists()
        assert platform == "localhost:7444"
        return cls.gathering.client()

    @classmethod
    def of_registry(cls, platform: str, identity: Any, agreement: Any) -> DepositClient:  # type: ignore[override]
        del platform, agreement
        assert identity.party.name == "fr-a"
        return cls.gathering.client()


@pytest.fixture
def reach(monkeypatch: pytest.MonkeyPatch) -> Callable[[Gathering], Gathering]:
    """Let the commands reach a platform."""

    def reached(gathering: Gathering) -> Gathering:
        monkeypatch.setattr(Patched, "gathering", gathering, raising=False)
        for place in (module, depositing):
            monkeypatch.setattr(place, "DepositClient", Patched)
        return gathering

    return reached


@pytest.fixture
def tables(tmp_path: Path, reach: Callable[[Gathering], Gathering]) -> Gathering:
    """A collection of tables; fr-a has a party folder and no node."""
    gathering = reach(Gathering.of(tmp_path, study_text()))
    party(gathering)
    return gathering


def party(gathering: Gathering, approval: str = "automatic") -> None:
    data = json.dumps(str(PARTIES / "fr-a" / "data" / "FR-A_encr_incidence.csv"))
    (gathering.folder / "fr-a" / "party.toml").write_text(
        PARTY.format(data=data, approval=approval, key="07" * 32)
    )


@pytest.fixture
def questions(tmp_path: Path, reach: Callable[[Gathering], Gathering]) -> Gathering:
    """A collection of patients' answers; de-b has given a ticket to the key in ``my.key``."""
    return reach(Gathering.of(tmp_path, study_text(registries=(), patients=True)))


def reaching(gathering: Gathering) -> tuple[str, ...]:
    return ("--network", str(gathering.folder / "net"), "--platform", "localhost:7444")


def short(gathering: Gathering) -> str:
    return gathering.collection.digest.hex()[:12]


def test_open_collections_are_listed(upcare: Callable[..., Any], tables: Gathering) -> None:
    listed = upcare("deposit", "open", *reaching(tables))
    as_registry = upcare("deposit", "open", "--party", str(tables.folder / "fr-a"), "--json")

    assert listed.out.startswith(f"{short(tables)}  rlwe    fr-a deposits  until ")
    assert listed.out.rstrip().endswith("Gathered")
    (one,) = json.loads(as_registry.out)["collections"]
    assert one["collection"] == tables.collection.digest.hex()
    assert one["holders"] == ["de-a", "de-b", "de-c"]


def test_whom_to_ask_has_to_be_said(upcare: Callable[..., Any], tables: Gathering) -> None:
    ran = upcare("deposit", "open", "--platform", "localhost:7444")

    assert (ran.status, ran.out) == (1, "")
    assert "wanted --network and --platform, or --party" in ran.err


def test_a_collection_is_shown_with_who_could_do_what(
    upcare: Callable[..., Any], tables: Gathering
) -> None:
    shown = upcare("deposit", "show", short(tables), *reaching(tables))
    told = json.loads(upcare("deposit", "show", short(tables), *reaching(tables), "--json").out)

    assert shown.out.startswith("Gathered\n")
    assert "all of de-a, de-b, de-c have signed it" in shown.out
    assert "3 of them add up the deposits, 2 who cheat together could open one" in shown.out
    assert '"purpose": "DUO:0000007"' in shown.out  # the study itself
    assert told["epsilon"] == 1
    assert told["taking"] is True
    assert told["study"]["title"] == "Gathered"


def test_a_collection_whose_key_is_not_signed_is_not_shown(
    upcare: Callable[..., Any], tables: Gathering
) -> None:
    tables.describe_as(tables.collection, [tables.key_of(name) for name in ("de-a", "de-b")])

    ran = upcare("deposit", "show", short(tables), *reaching(tables))

    assert (ran.status, ran.out) == (1, "")
    assert ran.err == (
        "upcare: error: not every holder of this collection has signed its key [protocol]\n"
    )


def test_a_table_is_deposited_once(upcare: Callable[..., Any], tables: Gathering) -> None:
    folder = str(tables.folder / "fr-a")

    first = upcare("deposit", "table", short(tables), "--party", folder)
    again = upcare("deposit", "table", short(tables), "--party", folder, "--json")

    assert first.out.startswith("fr-a: charged epsilon 1; deposited as number 0, the receipt is in")
    told = json.loads(again.out)
    assert (told["charged_now"], told["place"]) == (False, 0)
    assert len(tables.deposits) == 1
    receipt = Receipt.from_bytes(Path(told["receipt"]).read_bytes())
    assert receipt.collection == tables.collection.digest
    assert "epsilon 1 spent" in upcare("ledger", "show", "--party", folder).out


def test_a_lost_connection_costs_nothing_more(tables: Gathering) -> None:
    tables.answers = False
    with pytest.raises(LinkError):
        deposit_table(tables.folder / "fr-a", short(tables), approve=False)

    tables.answers = True
    done = deposit_table(tables.folder / "fr-a", short(tables), approve=False)

    assert (done["place"], done["charged_now"]) == (0, False)
    assert len(tables.deposits) == 1  # the very same bytes


def test_an_operator_who_wants_to_be_asked_is_asked(
    upcare: Callable[..., Any], tables: Gathering
) -> None:
    party(tables, approval="manual")
    folder = str(tables.folder / "fr-a")

    asked = upcare("deposit", "table", short(tables), "--party", folder)
    approved = upcare("deposit", "table", short(tables), "--party", folder, "--approve")

    assert asked.status == 1
    assert asked.err == (
        "upcare: error: fr-a waits for its operator: read 'upcare deposit show', then say "
        "--approve [refused]\n"
    )
    assert approved.status == 0
    assert len(tables.deposits) == 1


def test_what_is_closed_takes_nothing_and_charges_nothing(
    upcare: Callable[..., Any], tables: Gathering
) -> None:
    tables.description.open = False
    folder = str(tables.folder / "fr-a")

    ran = upcare("deposit", "table", tables.collection.digest.hex(), "--party", folder)

    assert "takes no deposits any more; nothing is charged" in ran.err
    assert "epsilon 0 spent" in upcare("ledger", "show", "--party", folder).out
    assert tables.deposits == []


# -- patients --------------------------------------------------------------------------------------


def prepared(upcare: Callable[..., Any], questions: Gathering) -> tuple[str, ...]:
    """Make a key and a ticket; the options that say where they are."""
    key, public = questions.folder / "my.key", questions.folder / "my.pub"
    ran = upcare("deposit", "key", "--out", str(key))
    assert ran.err == "give the line above to your registry; my.key stays with you\n"
    public.write_text(ran.out)
    ticket = questions.ticket("de-b", read_point(public))
    write_ticket(questions.folder / "ticket", ticket, questions.identity("de-b").certificate_pem)
    return ("--ticket", str(questions.folder / "ticket"), "--key", str(key))


def test_answers_of_a_file_are_deposited_once(
    upcare: Callable[..., Any], questions: Gathering
) -> None:
    files = prepared(upcare, questions)
    answers = questions.folder / "answers.toml"
    answers.write_text('"Smoked?" = "never"\n')
    command = ("deposit", "answer", short(questions), *reaching(questions), *files)

    first = upcare(*command, "--answers", str(answers))
    again = upcare(*command, "--answers", str(answers), "--json")

    assert first.out.startswith("answered 1 of 2 questions; deposited as number 0, the receipt is")
    assert json.loads(again.out)["answered"] is None  # sent again, not asked again
    assert len(questions.deposits) == 1
    receipt = Receipt.from_bytes((questions.folder / "my.receipt").read_bytes())
    assert receipt.deposit.hex() == json.loads(again.out)["deposit"]


def test_questions_are_asked_on_the_terminal(
    upcare: Callable[..., Any], questions: Gathering, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = prepared(upcare, questions)
    typed = iter([3, 0])
    monkeypatch.setattr(module.click, "prompt", lambda *_, **__: next(typed))

    ran = upcare("deposit", "answer", short(questions), *reaching(questions), *files)

    assert ran.out.startswith("answered 1 of 2 questions")
    assert "Smoked?\n  1  never\n  2  once\n  3  today\n" in ran.err


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('"Smoked?" = "always"', 'wanted "never" or "once" or "today"'),
        ('"Drunk?" = "never"', 'wanted "Smoked?" or "Health?"'),
        ('"Smoked?" = 1', 'wanted lines like "question" = "answer"'),
        ("Smoked?", 'wanted lines like "question" = "answer"'),
    ],
)
def test_answers_that_are_none_send_nothing(
    upcare: Callable[..., Any], questions: Gathering, content: str, says: str
) -> None:
    files = prepared(upcare, questions)
    answers = questions.folder / "answers.toml"
    answers.write_text(content)

    ran = upcare(
        *("deposit", "answer", short(questions), *reaching(questions), *files),
        *("--answers", str(answers)),
    )

    assert ran.status == 1
    assert says in ran.err
    assert len(ran.err.splitlines()) == 1
    assert questions.deposits == []


def test_a_ticket_for_another_key_sends_nothing(
    upcare: Callable[..., Any], questions: Gathering
) -> None:
    prepared(upcare, questions)
    ticket = questions.folder / "ticket"
    stolen = ("--ticket", str(ticket), "--key", str(questions.folder / "thief.key"))
    upcare("deposit", "key", "--out", str(questions.folder / "thief.key"))
    answers = questions.folder / "answers.toml"
    answers.write_text('"Smoked?" = "never"\n')

    ran = upcare(
        *("deposit", "answer", short(questions), *reaching(questions), *stolen),
        *("--answers", str(answers)),
    )

    assert "the ticket is of another patient or collection" in ran.err
    assert questions.deposits == []
    assert not (questions.folder / "thief.deposit").exists()


def test_a_key_is_for_one_collection(upcare: Callable[..., Any], questions: Gathering) -> None:
    files = prepared(upcare, questions)
    answers = questions.folder / "answers.toml"
    answers.write_text('"Smoked?" = "never"\n')
    options = (*reaching(questions), *files, "--answers", str(answers))
    upcare("deposit", "answer", short(questions), *options)
    questions.begin()  # another collection of the same study

    ran = upcare("deposit", "answer", short(questions), *options)

    assert "my.key was used for another collection; make a new key" in ran.err
    assert len(questions.deposits) == 1


def test_tables_are_no_questionnaire(upcare: Callable[..., Any], tables: Gathering) -> None:
    ran = upcare(
        *("deposit", "answer", short(tables), *reaching(tables)),
        *("--ticket", "none", "--key", "none"),
    )

    assert "this collection is not for patients" in ran.err
