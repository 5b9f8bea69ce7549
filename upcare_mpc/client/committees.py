"""Which committee issues keys now, as a researcher sees it on the board."""

from pathlib import Path

from upcare_mpc.abe.committee import Committee
from upcare_mpc.errors import RefusedError
from upcare_mpc.link.anchor import anchor_of
from upcare_mpc.link.board import ResearcherBoard
from upcare_mpc.link.certificates import Network
from upcare_mpc.storage.key_pin import pinned_chain

__all__ = ["committee_in_force"]


def committee_in_force(
    board: ResearcherBoard, network: Network, name: str, *, folder: Path
) -> Committee:
    """Return the present committee of the network's key.

    Args:
        board: From which the public papers of all ceremonies are read, and checked.
        network: Whose registries' signatures count.
        name: Of the network.
        folder: The researcher's: the first key seen is kept there.

    Raises:
        RefusedError: The network has no key yet.
        ConfigError: The board does not show the key that is kept.
        LinkError: The board cannot be reached.
    """
    committees = pinned_chain(folder, board.ceremonies(), anchor_of(network, name))
    if not committees:
        raise RefusedError("the network has no key yet; its registries make one together")
    return committees[-1]
