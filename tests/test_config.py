"""Party files: every key known, every known key documented, and everything else refused by name."""

import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from upcare_mpc import config
from upcare_mpc.config import load_agreement, load_party, load_platform
from upcare_mpc.errors import ConfigError
from upcare_mpc.privacy.accountant import Cap
from upcare_mpc.privacy.ledger import Caps

PARTIES = Path(__file__).parents[1] / "parties"
FULL = (PARTIES / "party.full.toml").read_text("utf-8")

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a party file; its folder."""

    def party(content: str) -> Path:
        (tmp_path / "party.toml").write_text(content, "utf-8")
        return tmp_path

    return party


def changed(old: str, new: str) -> str:
    """The full party file with one line changed."""
    text, count = re.subn(old, new, FULL, count=1, flags=re.MULTILINE)
    assert count == 1
    return text


def test_the_full_party_file_is_read(write: Write) -> None:
    party = load_party(write(FULL))

    assert party.name == "de-x"
    assert party.computes
    assert party.platform == "platform.example:7443"
    assert party.ports == tuple(range(7101, 7111))
    assert party.silence_s == 30
    assert party.bank_cells == 1_000_000
    assert party.data.complete == {"systemic"}
    assert not party.policy.automatic
    assert party.policy.epsilon_per_study == 1
    assert party.policy.researchers == {"Dr Example": bytes(32)}
    assert party.policy.delta_per_study == Fraction(1, 10**8)
    assert party.policy.minimum_cohort == 20
    assert party.policy.caps == Caps(
        everything=Cap.of_epsilon(Fraction(10), Fraction(1, 10**6)),
        purposes={"DUO:0000007": Cap.of_epsilon(Fraction(5), Fraction(1, 10**6))},
    )


def test_caps_may_be_stated_in_rho(write: Write) -> None:
    party = load_party(write(changed(r"^epsilon = 10.0\n# rho", "rho")))

    delta = Fraction(1, 10**6)
    assert party.policy.caps.everything == Cap.of_rho(Fraction(3, 2), delta)
    assert party.policy.caps.purposes == {"DUO:0000007": Cap.of_rho(Fraction(5), delta)}


def test_a_policy_that_says_less_bounds_delta_and_demands_no_cohort(write: Write) -> None:
    without = FULL.replace("delta_per_study = 1e-8\n", "").replace("minimum_cohort = 20\n", "")

    policy = load_party(write(without)).policy

    assert (policy.delta_per_study, policy.minimum_cohort) == (Fraction(1, 10**6), None)


def test_every_key_that_is_known_is_in_the_full_party_file(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing: list[str] = []
    only = config._Table.only

    def note(table: config._Table, *known: str) -> None:
        alternative = re.compile(r"^# (\w+) = ", re.MULTILINE).findall(FULL)
        there = {*table.content, *alternative}
        missing.extend(table.place(key) for key in known if key not in there)
        only(table, *known)

    monkeypatch.setattr(config._Table, "only", note)
    load_party(write(FULL))

    assert missing == []


def test_every_key_of_the_full_party_file_is_explained() -> None:
    lines = FULL.splitlines()
    for number, line in enumerate(lines):
        if re.match(r"[a-z_]+ = ", line) and not line.startswith(("version", "delta")):
            before = next(old for old in reversed(lines[:number]) if not re.match(r"[a-z]", old))
            assert before.startswith("#"), line


@pytest.mark.parametrize("folder", ["de-a", "de-b", "de-c", "fr-a", "fr-b"])
def test_the_demonstrations_party_files_are_read(folder: str) -> None:
    party = load_party(PARTIES / folder)

    assert party.name == folder
    assert all(path.is_file() for path in party.data.files)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("version", "party.toml: unknown key 'versoin'; did you mean version?"),
        ("address", "party.toml: platform: unknown key 'adress'; did you mean address?"),
        ("silence_s", "party.toml: link: unknown key 'silence'; did you mean silence_s?"),
        ("complete", "party.toml: data: unknown key 'completed'; did you mean complete?"),
        ("approval", "party.toml: policy: unknown key 'aproval'; did you mean approval?"),
        ("delta", "party.toml: policy.caps: unknown key 'detla'; did you mean delta?"),
    ],
)
def test_an_unknown_key_is_refused_by_name(write: Write, place: str, words: str) -> None:
    typed = re.search(r"'(\w+)'", words)
    assert typed is not None

    with pytest.raises(ConfigError) as refused:
        load_party(write(changed(rf"^{place} =", f"{typed[1]} =")))

    assert str(refused.value) == words


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (r"^version = 1", "version = 2", "version: wanted 1"),
        (r"^version = 1", "version = true", "version: wanted 1"),
        (r'^name = "de-x"', "name = 3", "name: wanted a text"),
        (r"^computes = true", 'computes = "yes"', "computes: wanted true or false"),
        (r"^ports = .*", "ports = []", "wanted [0], or [first, last]"),
        (r"^ports = .*", "ports = [9, 8]", "wanted [0], or [first, last]"),
        (r"^ports = .*", "ports = [true]", "wanted [0], or [first, last]"),
        (r"^ports = .*", "ports = [70000]", "wanted [0], or [first, last]"),
        (r"^silence_s = 30", "silence_s = 1", "silence_s: wanted a whole number from 5 to 600"),
        (r"^cells = .*", "cells = 0", "bank.cells: wanted a whole number from 1 to 1048576"),
        (r"^cells = .*", "cells = 1048577", "bank.cells: wanted a whole number from 1 to 1048576"),
        (r"^cells = .*", "cells = 1e6", "bank.cells: wanted a whole number from 1 to 1048576"),
        (r"^cells = .*", 'cells = "many"', "bank.cells: wanted a whole number from 1 to"),
        (r"^cells = .*", "cels = 5", "bank: unknown key 'cels'; did you mean cells?"),
        (r"^cells = .*", "", "bank: missing key 'cells'"),
        (r"^files = .*", 'files = "data.xml"', "files: wanted a list of texts"),
        (r"^complete = .*", 'complete = ["chemo"]', "wanted some of radio, surgery, systemic"),
        (r'^approval = "manual"', 'approval = "yes"', "wanted automatic or manual, got yes"),
        (r"^kinds = .*", 'kinds = ["regression"]', "wanted some of counts, survival"),
        (r"^epsilon_per_study = .*", "epsilon_per_study = 0", "wanted a number above 0"),
        (r"^epsilon_per_study = .*", "epsilon_per_study = -1.5", "wanted a number above 0"),
        (r"^epsilon_per_study = .*", "epsilon_per_study = nan", "wanted a number above 0"),
        (r"^epsilon_per_study = .*", "epsilon_per_study = inf", "wanted a number above 0"),
        (r"^epsilon_per_study = .*", "epsilon_per_study = true", "wanted a number above 0"),
        (r"^delta = 1e-6", "delta = 1e-999999999", "wanted a number above 0"),
        (r"^delta = 1e-6", "delta = 2", "caps.delta: wanted a number above 0 and at most 1"),
        (r"^delta = 1e-6", "delta = 1", "caps.delta: wanted less than 1"),
        (r"^delta_per_study = .*", "delta_per_study = 1.5", "wanted a number above 0 and at most"),
        (r"^minimum_cohort = .*", "minimum_cohort = 0", "a whole number from 1 to 1000000000"),
        (r"^minimum_cohort = .*", "minimum_cohort = 1.5", "wanted a whole number"),
        (r"^# rho = 1.5", "rho = 1.5", "caps: wanted either epsilon or rho, beside delta"),
        (r"^epsilon = 10.0", "", "caps: wanted either epsilon or rho, beside delta"),
        (r"^epsilon = 10.0\n# rho = 1.5", "rho = 0", "caps.rho: wanted a number above 0"),
        (r"^epsilon = 10.0", "epsilon = 1e999999999", "wanted a number above 0"),
        (r'^"Dr Example" = .*', '"Dr Example" = "abc"', "wanted a public key of 64 hexadecimal"),
        (r"^\[policy.caps\]", "[policy.cap]", "did you mean caps?"),
        (r"^name = .*\n", "", "missing key 'name'"),
        (r"^version = 1", "version = ", "not a TOML file"),
    ],
)
def test_a_bad_value_is_refused_with_what_was_wanted(
    write: Write, old: str, new: str, words: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        load_party(write(changed(old, new)))

    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_decimals_of_a_party_file_are_exact(write: Write) -> None:
    party = load_party(write(changed(r"^epsilon_per_study = .*", "epsilon_per_study = 0.1")))

    assert party.policy.epsilon_per_study == Fraction(1, 10)


def test_without_a_policy_nothing_is_read(write: Write) -> None:
    with pytest.raises(ConfigError, match="missing key 'policy'"):
        load_party(write(FULL[: FULL.index("[policy]")]))


def test_without_a_bank_table_no_noise_is_kept(write: Write) -> None:
    start, end = FULL.index("[bank]"), FULL.index("[policy]")

    assert load_party(write(FULL[:start] + FULL[end:])).bank_cells == 0


def test_a_missing_file_is_named_with_its_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"party.toml is missing in the folder {tmp_path.name}"):
        load_party(tmp_path)


@pytest.mark.parametrize("committee", [1, 4, 9])
def test_a_committee_that_is_not_3_5_or_7_is_refused(tmp_path: Path, committee: int) -> None:
    (tmp_path / "network.toml").write_text(
        f'version = 1\nname = "n"\noverlap = 2\ncommittee = {committee}\n'
    )

    with pytest.raises(ConfigError, match="committee"):
        load_agreement(tmp_path)


def test_the_platforms_file_has_two_addresses_and_nothing_else(tmp_path: Path) -> None:
    good = 'version = 1\n[listen]\nregistries = "a:1"\nresearchers = "a:2"\n'
    (tmp_path / "platform.toml").write_text(good)
    assert load_platform(tmp_path).researchers == "a:2"

    (tmp_path / "platform.toml").write_text(good + 'web = "a:3"\n')
    with pytest.raises(ConfigError, match="unknown key 'web'"):
        load_platform(tmp_path)
