"""The data a registry answers from: its bound, and the secret that its digest is keyed with."""

from dataclasses import replace
from pathlib import Path

import pytest

from upcare_mpc.config import DataFiles
from upcare_mpc.errors import ConfigError, DataError
from upcare_mpc.node.snapshot import load_snapshot

DELIVERY = Path(__file__).parents[2] / "parties" / "fr-b" / "data" / "FR-B_encr_incidence.csv"
DATA = DataFiles(files=(DELIVERY,), cases_at_most=1000)


def test_the_digest_is_the_same_again_and_another_at_another_registry(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()

    first = load_snapshot(DATA, here).digest

    assert load_snapshot(DATA, here).digest == first
    assert load_snapshot(DATA, there).digest != first


@pytest.mark.parametrize("content", [b"", b"x" * 31])
def test_a_secret_that_is_not_whole_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "snapshot.key").write_bytes(content)

    with pytest.raises(ConfigError, match="wanted 32 bytes"):
        load_snapshot(DATA, tmp_path)


def test_more_cases_than_declared_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cases_at_most"):
        load_snapshot(replace(DATA, cases_at_most=62), tmp_path)


def test_a_missing_file_is_named_without_its_folder(tmp_path: Path) -> None:
    gone = replace(DATA, files=(tmp_path / "gone.csv",))

    with pytest.raises(DataError, match=r"^gone\.csv: no such data file$"):
        load_snapshot(gone, tmp_path)
