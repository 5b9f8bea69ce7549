"""Party files: every key known, every known key documented, and everything else refused by name."""

import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from upcare_mpc.config import (
    Calendar,
    Certified,
    DataFiles,
    SnapshotFolder,
    WarehouseTable,
    load_agreement,
    load_party,
    load_platform,
    toml_table,
)
from upcare_mpc.consent.gate import Gate
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
    assert party.catalogue is not None
    assert party.catalogue.years == (1999, 2023)
    assert party.catalogue.population == "residents of Saarland"
    assert party.catalogue.note == "stage from 2016 on"
    assert {"sex", "site", "site_group", "age_group"} <= party.catalogue.variables
    assert "region" not in party.catalogue.variables
    assert isinstance(party.data.source, DataFiles)
    assert party.data.cases_at_most == 500_000
    assert party.data.source.complete == {"systemic"}
    assert party.data.source.deletions == party.folder / "deletions.csv"
    assert party.data.source.encr_missing["Surv_time"] == {"99999"}
    assert party.data.source.encr_missing["Grade"] == {"9", "99"}  # not stated, so the usual
    assert not party.policy.automatic
    assert party.policy.epsilon_per_study == 1
    assert party.data.gate is Gate.OBJECTION
    assert party.data.consents is Calendar.WEEK
    assert party.policy.researchers == {"Dr Example": bytes(32), "Prof Example": b"\x11" * 32}
    assert party.policy.certified == {
        bytes(32): Certified(),
        b"\x11" * 32: Certified(
            claims=frozenset({"not-for-profit", "non-commercial"}), region="DE"
        ),
    }
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
    only = toml_table.Table.only

    def note(table: toml_table.Table, *known: str) -> None:
        alternative = re.compile(r"^# (\w+) = ", re.MULTILINE).findall(FULL)
        there = {*table.content, *alternative}
        if (
            table.where != "party.toml: data.encr_missing"
        ):  # a column needs stating where it differs
            missing.extend(table.place(key) for key in known if key not in there)
        only(table, *known)

    monkeypatch.setattr(toml_table.Table, "only", note)
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
    assert isinstance(party.data.source, DataFiles)
    assert all(path.is_file() for path in party.data.source.files)


def source_lines() -> str:
    """From the files to the last key that goes with them."""
    found = re.search(r"^files = .*?^encr_missing = .*?$", FULL, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[0]


def test_the_cases_may_be_in_a_folder_of_snapshots_or_a_warehouse(write: Write) -> None:
    bound = "cases_at_most = 10\n"
    folder = FULL.replace(source_lines(), bound + 'snapshots = "frozen"')
    table = FULL.replace(
        source_lines(), bound + 'warehouse = { url = "postgresql://me:secret@db/x", table = "c" }'
    )

    assert load_party(write(folder)).data.source == SnapshotFolder(folder=write(folder) / "frozen")
    stated = load_party(write(table)).data.source
    assert stated == WarehouseTable(url="postgresql://me:secret@db/x", table="c")
    assert "secret" not in repr(stated)


def test_a_warehouse_may_have_population_files_beside_it(write: Write) -> None:
    warehouse = 'warehouse = { url = "local[2]", table = "c", population = ["data/people.csv"] }'
    folder = write(FULL.replace(source_lines(), f"cases_at_most = 10\n{warehouse}"))

    source = load_party(folder).data.source

    assert isinstance(source, WarehouseTable)
    assert source.population == (folder / "data" / "people.csv",)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("cases_at_most = 1", "wanted one of files, snapshots, warehouse; got none"),
        ('files = []\nsnapshots = "x"', "got files and snapshots"),
        ('cases_at_most = 1\nsnapshots = "x"\ncomplete = []', "unknown key 'complete'"),
        ("cases_at_most = 1\nfiles = []\nencr_missing = { Aeg = [] }", "did you mean Age?"),
        ('cases_at_most = 1\nwarehouse = { url = "x" }', "missing key 'table'"),
        (
            'cases_at_most = 1\nwarehouse = { url = "x" }\ngate = "consent"',
            "data: unknown key 'gate'",
        ),
    ],
)
def test_a_source_that_is_not_one_is_refused(write: Write, lines: str, words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        load_party(write(FULL.replace(source_lines(), lines)))


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
        (
            r'^  "sex", "age"',
            '  "sight", "age"',
            "catalogue.variables: unknown variable 'sight'; did",
        ),
        (r'^  "sex", "age"', '  "age", "age"', "catalogue.variables: wanted each once, got age"),
        (r'^  "sex", "age"', '  3, "age"', "catalogue.variables: wanted a list of texts"),
        (r"^years = .*", "years = 1999", "catalogue.years: wanted [first, last]"),
        (r"^years = .*", "years = [1999]", "catalogue.years: wanted [first, last]"),
        (r"^years = .*", "years = [1999.0, 2023]", "catalogue.years: wanted [first, last]"),
        (r"^years = .*", "years = [true, 2023]", "catalogue.years: wanted [first, last]"),
        (r"^years = .*", "years = [2023, 1999]", "catalogue.years: wanted the first and the last"),
        (r"^years = .*", "", "catalogue: missing key 'years'"),
        (
            r"^years = .*",
            "year = [1999, 2023]",
            "catalogue: unknown key 'year'; did you mean years",
        ),
        (r"^note = .*", 'note = "two\\\\nlines"', "catalogue.note: wanted one line of at most 200"),
        (r"^population = .*", "population = 7", "catalogue.population: wanted a text"),
        (r"^files = .*", 'files = "data.xml"', "files: wanted a list of texts"),
        (r"^complete = .*", 'complete = ["chemo"]', "wanted some of radio, surgery, systemic"),
        (r'^approval = "manual"', 'approval = "yes"', "wanted automatic or manual, got yes"),
        (r"^kinds = .*", 'kinds = ["counts", "colours"]', "got colours"),
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
        (r"^claims = .*", 'claims = ["rich"]', "claims: wanted some of not-for-profit"),
        (r'^region = "DE"', 'region = "Germany"', "region: wanted a country like DE"),
        (r'^key = "1.*', 'key = "11"', "wanted a public key of 64 hexadecimal"),
        (r'^key = "1.*', "", "missing key 'key'"),
        (r"^gate = .*", 'gate = "open"', "data.gate: wanted objection or consent, got open"),
        (r"^consents = .*", 'consents = "year"', "wanted day or week or month, got year"),
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


def test_without_a_catalogue_table_nothing_is_stated(write: Write) -> None:
    start, end = FULL.index("[catalogue]"), FULL.index("[bank]")

    assert load_party(write(FULL[:start] + FULL[end:])).catalogue is None


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


def test_the_platforms_file_has_two_addresses_and_nothing_that_is_not_known(tmp_path: Path) -> None:
    good = 'version = 1\n[listen]\nregistries = "a:1"\nresearchers = "a:2"\n'
    (tmp_path / "platform.toml").write_text(good)
    assert load_platform(tmp_path).researchers == "a:2"
    assert load_platform(tmp_path).gigabytes_per_registry == 100

    (tmp_path / "platform.toml").write_text(good + 'web = "a:3"\n')
    with pytest.raises(ConfigError, match="unknown key 'web'"):
        load_platform(tmp_path)


def test_the_platforms_file_says_how_much_room_a_vault_has(tmp_path: Path) -> None:
    addresses = 'version = 1\n[listen]\nregistries = "a:1"\nresearchers = "a:2"\n[vault]\n'

    def load(room: str) -> int:
        (tmp_path / "platform.toml").write_text(addresses + room)
        return load_platform(tmp_path).gigabytes_per_registry

    assert load("gigabytes_per_registry = 7") == 7
    for room in ("0", "-1", "1000001", "1.5", "true", '"7"'):
        with pytest.raises(ConfigError, match="gigabytes_per_registry: wanted a whole number"):
            load(f"gigabytes_per_registry = {room}")
    with pytest.raises(ConfigError, match="did you mean gigabytes_per_registry"):
        load("gigabyte_per_registry = 7")
    with pytest.raises(ConfigError, match="missing key 'gigabytes_per_registry'"):
        load("")


def test_the_platforms_file_says_how_much_room_deposits_have(tmp_path: Path) -> None:
    addresses = 'version = 1\n[listen]\nregistries = "a:1"\nresearchers = "a:2"\n'

    def load(lines: str) -> int:
        (tmp_path / "platform.toml").write_text(addresses + lines)
        return load_platform(tmp_path).deposit_gigabytes

    assert load("") == 100
    assert load("[deposits]\ngigabytes = 7\n[vault]\ngigabytes_per_registry = 9") == 7
    for room in ("0", "1000001", '"7"'):
        with pytest.raises(ConfigError, match="gigabytes: wanted a whole number"):
            load(f"[deposits]\ngigabytes = {room}")
    with pytest.raises(ConfigError, match="did you mean gigabytes"):
        load("[deposits]\ngigabyte = 7")
