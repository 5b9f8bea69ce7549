"""The committee in force, as a registry's other commands ask for it."""

from pathlib import Path
from typing import Any

import pytest
from hall import NAMES, identity
from halls import Network, Registry

from upcare_mpc.abe.committee import Committee
from upcare_mpc.access.committees import fingerprint
from upcare_mpc.authority.committees import committee_in_force
from upcare_mpc.errors import RefusedError


def in_force(registry: Registry) -> Committee:
    board: Any = registry.line
    state = registry.folder.parent
    return committee_in_force(board, identity(registry.name).network, "eu-cancer", state=state)


def test_before_there_is_a_key_it_says_so(tmp_path: Path) -> None:
    network = Network(tmp_path, *NAMES)

    with pytest.raises(RefusedError, match="the network has no key yet"):
        in_force(network["de-a"])


def test_the_last_committee_is_in_force_and_its_key_is_kept(tmp_path: Path) -> None:
    network = Network(tmp_path, *NAMES, "fr-a")
    network.agreed(network["de-a"].propose(*NAMES))
    second = network.agreed(network["de-a"].propose(*NAMES))

    assert in_force(network["fr-a"]).digest == second.digest
    pin = network["fr-a"].folder / "key.pin"
    assert pin.read_text().strip() == fingerprint(second)
