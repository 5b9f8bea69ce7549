"""Which committee issues keys now, as a registry sees it on the board."""

from contextlib import suppress
from pathlib import Path

from upcare_mpc.abe.committee import Committee
from upcare_mpc.access.committees import PapersByTopic
from upcare_mpc.authority.shares import Shares
from upcare_mpc.errors import ConfigError, RefusedError
from upcare_mpc.link.anchor import anchor_of
from upcare_mpc.link.board import RegistryBoard
from upcare_mpc.link.certificates import Network
from upcare_mpc.storage.key_pin import pinned_chain

__all__ = ["authority_folder", "ceremonies_on", "committee_in_force", "committees_of_key"]


def authority_folder(state: Path) -> Path:
    """Where shares, pin and ceremonies of a registry lie, in its ``state`` folder."""
    return state / "authority"


def ceremonies_on(board: RegistryBoard) -> PapersByTopic:
    """Return the papers of all ceremonies, oldest first.

    Raises:
        LinkError, RefusedError: The board cannot be reached, or says no.

    Cost: one call for each ceremony.
    """
    return {topic: board.read(topic) for _, topic in board.topics("ceremony")}


def committee_in_force(
    board: RegistryBoard, network: Network, name: str, *, state: Path
) -> Committee:
    """Return the last of ``committees_of_key``; arguments and errors as there."""
    return committees_of_key(board, network, name, state=state)[-1]


def committees_of_key(
    board: RegistryBoard, network: Network, name: str, *, state: Path
) -> list[Committee]:
    """Return all committees of the network's key, oldest first; the last is in force.

    Erases this registry's shares of those before it: who took no part in a handover, neither as a
    dealer nor as a member, learns of it here.

    Args:
        board: From which the papers of all ceremonies are read, and checked.
        network: Whose registries' signatures count.
        name: Of the network.
        state: The registry's ``state`` folder: the first key seen is kept there.

    Raises:
        RefusedError: The network has no key yet.
        ConfigError: The board does not show the key that is kept.
        LinkError: The board cannot be reached.
    """
    anchor = anchor_of(network, name)
    committees = pinned_chain(authority_folder(state), ceremonies_on(board), anchor)
    if not committees:
        raise RefusedError("the network has no key yet; 'upcare authority propose' begins one")
    shares = Shares(authority_folder(state))
    for old in committees[:-1]:
        if old.generation in shares.generations():
            with suppress(ConfigError):  # of another key: not ours to erase
                shares.load(old)
                shares.erase(old.generation)
    return committees
