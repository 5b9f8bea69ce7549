"""`upcare ingest` as its operator calls it: what it takes, and what it refuses in one line."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from upcare_mpc.cli.main import upcare as commands
from upcare_mpc.errors import ConfigError, DataError

PARTIES = Path(__file__).parents[2] / "parties"
FRENCH = PARTIES / "fr-b" / "data" / "FR-B_encr_incidence.csv"


def run(*words: object) -> Result:
    return CliRunner().invoke(commands, ["ingest", *map(str, words)])


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    folder = tmp_path / "archive"
    (folder / "2020").mkdir(parents=True)
    (folder / "2020" / "rows.csv").write_bytes(FRENCH.read_bytes())
    return folder


def test_a_folder_is_read_with_all_below_it(archive: Path, tmp_path: Path) -> None:
    ran = run(archive, "--out", tmp_path / "out", "--json")

    assert json.loads(ran.stdout.splitlines()[-1])["tumours"] == 63
    assert (tmp_path / "out").stat().st_mode & 0o077 == 0


def test_hidden_files_and_folders_are_not_read(archive: Path, tmp_path: Path) -> None:
    for place in (".git/old.csv", ".Trash-1000/gone.csv", "2020/.rows.csv.swp"):
        (archive / place).parent.mkdir(exist_ok=True)
        (archive / place).write_text("no data file at all")

    ran = run(archive, "--out", tmp_path / "out", "--json")

    assert json.loads(ran.stdout.splitlines()[-1])["formats"] == {"ENCR incidence": 1}


def test_codes_for_unknown_may_be_stated(archive: Path, tmp_path: Path) -> None:
    options = ("--encr-missing", "Grade=1,2,3", "--encr-missing", "Age=999")

    run(archive, "--out", tmp_path / "out", *options)

    report = json.loads((tmp_path / "out" / "quality.json").read_text())
    assert report["unknown"]["grade"]["unknown"] == 63


@pytest.mark.parametrize("option", ["Aeg=999", "Age", "Age=", "=9"])
def test_codes_of_no_column_are_refused(archive: Path, tmp_path: Path, option: str) -> None:
    ran = run(archive, "--out", tmp_path / "out", "--encr-missing", option)

    assert isinstance(ran.exception, ConfigError)
    assert "--encr-missing: wanted COLUMN=CODE" in str(ran.exception)


def test_a_link_to_a_folder_is_not_passed_over(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (archive / "2021").symlink_to(tmp_path / "elsewhere")

    ran = run(archive, "--out", tmp_path / "out")

    assert isinstance(ran.exception, DataError)
    assert str(ran.exception) == "2021: a link to a folder; name the folder itself"


def test_the_folder_of_snapshots_is_not_read_as_data(archive: Path) -> None:
    for out in (archive, archive / "frozen", archive / "2020" / "x"):
        ran = run(archive, "--out", out)
        assert isinstance(ran.exception, ConfigError)
        assert str(ran.exception) == "--out: wanted a folder outside of what is read"


def test_a_pipe_is_not_waited_for(archive: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    for words in ([tmp_path / "pipe"], [archive, "--schema", tmp_path / "pipe"]):
        ran = run(*words, "--out", tmp_path / "out")
        assert isinstance(ran.exception, DataError | ConfigError)
        assert "pipe: wanted" in str(ran.exception)
    assert not (tmp_path / "out" / "current").exists()


def test_a_name_that_cannot_be_shown_is_not_shown(archive: Path, tmp_path: Path) -> None:
    (archive / "a\nb\x1b[31m.xml").write_text("not data")

    ran = run(archive, "--out", tmp_path / "out")

    assert isinstance(ran.exception, DataError)
    assert str(ran.exception).isprintable()


def test_an_empty_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    ran = run(tmp_path / "empty", "--out", tmp_path / "out")

    assert str(ran.exception) == "empty: no file in this folder"
