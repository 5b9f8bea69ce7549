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


def test_who_took_no_part_in_a_handover_erases_its_share_when_it_sees_it(tmp_path: Path) -> None:
    """Else two honest registries would keep all that opens everything, and not know it."""
    network = Network(tmp_path, *NAMES, "de-d", "de-e", "fr-a")
    five = [*NAMES, "de-d", "de-e"]
    network.agreed(network["de-a"].propose(*five, threshold=1))
    left = network["de-d"]
    network.agreed(
        network["de-a"].propose("de-a", "de-b", "fr-a", threshold=1, dealers=("de-a", "de-b"))
    )
    assert left.secrets() == ["share-1.key"]

    in_force(left)
    assert left.secrets() == []


def test_the_share_of_another_key_is_not_erased(tmp_path: Path) -> None:
    network, other = Network(tmp_path / "1", *NAMES), Network(tmp_path / "2", *NAMES)
    for each in (network, other):
        each.agreed(each["de-a"].propose(*NAMES))
    network.agreed(network["de-a"].propose(*NAMES))
    (tmp_path / "2" / "de-a" / "authority" / "key.pin").unlink()
    other["de-a"].line.platform = network.platform  # which shows it another key

    in_force(other["de-a"])
    assert other["de-a"].secrets() == ["share-1.key"]
