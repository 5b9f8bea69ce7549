"""Shares on the disk: this registry's alone, one for each generation, erased when told."""

import stat
from pathlib import Path

import pytest
from ceremonies import NAMES, generation, handover, run

from upcare_mpc.abe.groups import default_group
from upcare_mpc.authority.shares import Shares
from upcare_mpc.errors import ConfigError

FIRST, SHARES = run(generation(default_group(), NAMES[:3]))
SECOND, NEXT = run(handover(FIRST), SHARES)


def test_a_share_is_kept_and_found_again(tmp_path: Path) -> None:
    shares = Shares(tmp_path / "authority")
    assert shares.generations() == ()

    shares.keep(SHARES["de-a"], 1)
    shares.keep(NEXT["de-a"], 2)

    assert Shares(tmp_path / "authority").generations() == (1, 2)
    assert bytes(shares.load(FIRST)) == bytes(SHARES["de-a"])
    assert bytes(shares.load(SECOND)) == bytes(NEXT["de-a"])
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in shares._folder.iterdir()}
    assert modes == {"share-1.key": 0o600, "share-2.key": 0o600}
    assert stat.S_IMODE(shares._folder.stat().st_mode) == 0o700


def test_an_erased_share_is_gone_and_the_others_stay(tmp_path: Path) -> None:
    shares = Shares(tmp_path)
    shares.keep(SHARES["de-a"], 1)
    shares.keep(NEXT["de-a"], 2)

    shares.erase(1)
    shares.erase(1)

    assert shares.generations() == (2,)
    with pytest.raises(ConfigError, match="has no share of the key in generation 1"):
        shares.load(FIRST)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not hexadecimal",
        b"\xff\xfe",
        bytes(SHARES["de-a"]).hex()[:-2].encode(),
        bytes(NEXT["de-a"]).hex().encode(),  # of another generation
    ],
)
def test_what_is_no_share_of_the_committee_is_refused_in_one_line(
    tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "share-1.key").write_bytes(content)

    with pytest.raises(ConfigError) as refused:
        Shares(tmp_path).load(FIRST)
    assert str(refused.value) == "share-1.key is not this registry's share of the committee"


def test_other_files_are_no_shares(tmp_path: Path) -> None:
    for name in ("share-0.key", "share-1.key.new", "share-x.key", "key.pin"):
        (tmp_path / name).touch()

    assert Shares(tmp_path).generations() == ()
