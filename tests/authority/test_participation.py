"""Parts on the disk, and a platform that shows too much."""

import stat
from pathlib import Path

import pytest
from hall import NAMES, proposed, signer
from halls import Network

from upcare_mpc.access.participant import take_seat
from upcare_mpc.authority import participation
from upcare_mpc.authority.participation import Parts
from upcare_mpc.errors import ConfigError, ProtocolError


def test_a_part_is_kept_found_and_erased(tmp_path: Path) -> None:
    parts, proposal = Parts(tmp_path / "authority"), proposed()
    part = take_seat(proposal, signer("de-a"), bytes)
    assert parts.topics() == ()
    assert parts.load(proposal.topic) is None

    parts.keep(proposal.topic, part)

    assert parts.topics() == (proposal.topic,)
    assert parts.load(proposal.topic) == part
    (file,) = (tmp_path / "authority").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    parts.erase(proposal.topic)
    assert parts.topics() == ()


@pytest.mark.parametrize("content", [b"", b"zz", b"\xff", b"5541593100"])
def test_a_damaged_part_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    parts = Parts(tmp_path)
    (tmp_path / f"ceremony-{'ab' * 32}.secret").write_bytes(content)

    with pytest.raises(ConfigError, match="kept of the ceremony abababababab is damaged"):
        parts.load(bytes.fromhex("ab" * 32))


def test_a_platform_that_shows_papers_without_end_is_not_listened_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Network(tmp_path, *NAMES)
    proposal = network["de-a"].propose(*NAMES)
    monkeypatch.setattr(participation, "MAX_PAPERS", 20)
    for number in range(20):
        network.platform.leave(proposal.topic, "platform", "seat", bytes([number]))

    with pytest.raises(ProtocolError, match="more papers than a ceremony can have"):
        network["de-b"].join(proposal.topic, patience_s=1.0)
