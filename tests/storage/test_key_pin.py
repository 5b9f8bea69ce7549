"""The key that was seen first is the key."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "access"))  # hall.py

from hall import Hall, anchor, proposed

from upcare_mpc.access.committees import fingerprint
from upcare_mpc.errors import ConfigError
from upcare_mpc.storage.key_pin import keep_key, pinned_chain


def ended() -> Hall:
    hall = Hall(proposed())
    hall.finish()
    return hall


def test_the_first_key_that_is_seen_is_kept_and_no_other_is_taken(tmp_path: Path) -> None:
    first, second = ended(), ended()
    folder = tmp_path / "authority"
    assert pinned_chain(folder, {}, anchor()) == []
    assert not folder.exists()

    (committee,) = pinned_chain(folder, {first.proposal.topic: first.papers}, anchor())

    assert (folder / "key.pin").read_text() == f"{fingerprint(committee)}\n"
    with pytest.raises(ConfigError, match="ask another registry for its fingerprint"):
        pinned_chain(folder, {second.proposal.topic: second.papers}, anchor())
    with pytest.raises(ConfigError, match="ask another registry for its fingerprint"):
        pinned_chain(folder, {}, anchor())


def test_a_key_that_one_made_oneself_is_kept_unless_there_is_another(tmp_path: Path) -> None:
    mine, other = ended().finish()[0].committee, ended().finish()[0].committee

    keep_key(tmp_path, mine)
    keep_key(tmp_path, mine)

    with pytest.raises(ConfigError, match="the key is not the one that is known here"):
        keep_key(tmp_path, other)


@pytest.mark.parametrize("content", ["", "key\n", "0f" * 31, "A" * 64])
def test_a_damaged_pin_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "key.pin").write_text(content)

    with pytest.raises(ConfigError, match="wanted the fingerprint of a key, 64 hexadecimal digits"):
        pinned_chain(tmp_path, {}, anchor())
