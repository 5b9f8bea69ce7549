"""The network's key, kept from the first time that it was seen.

``key.pin`` has the fingerprint of the public key, 64 hexadecimal digits. A folder that has one
takes no other key, whoever shows it. Who joins a network late can write the file first, with what
another registry reads out by telephone; without it the first key seen is taken, and the platform
can choose it among those that any three registries of the network have made.
"""

import re
from pathlib import Path

from upcare_mpc.abe.committee import Committee
from upcare_mpc.access.committees import Anchor, PapersByTopic, chain, fingerprint
from upcare_mpc.errors import ConfigError
from upcare_mpc.storage.durable import replace_text

__all__ = ["keep_key", "pinned_chain"]

_FINGERPRINT = re.compile(r"[0-9a-f]{64}", re.ASCII)


def pinned_chain(folder: Path, ceremonies: PapersByTopic, anchor: Anchor) -> list[Committee]:
    """Return the committees of the key that a folder knows; keep the key if it knows none.

    Args:
        folder: Where ``key.pin`` is, or is made.
        ceremonies: From the board; nothing is trusted.
        anchor: Of the network.

    Returns:
        As ``access.committees.chain``; none if there is no key yet.

    Raises:
        ConfigError: The board shows keys, and none of them is the one kept; or the file is damaged.
    """
    kept = _kept(folder / "key.pin")
    committees = chain(ceremonies, anchor, known=kept)
    if committees and kept is None:
        keep_key(folder, committees[0])
    if kept is not None and not committees:
        raise ConfigError(
            f"the board does not show the network's key that is known here ({kept[:16]}...); ask "
            "another registry for its fingerprint"
        )
    return committees


def keep_key(folder: Path, committee: Committee) -> None:
    """Keep the key of a committee that this folder's owner has seen to.

    Raises:
        ConfigError: Another key is kept.
    """
    file = folder / "key.pin"
    kept, seen = _kept(file), fingerprint(committee)
    if kept is None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_text(file, f"{seen}\n")
    elif kept != seen:
        raise ConfigError(f"the key is not the one that is known here ({kept[:16]}...)")


def _kept(file: Path) -> str | None:
    try:
        text = file.read_text("ascii", "replace").strip()
    except FileNotFoundError:
        return None
    if not _FINGERPRINT.fullmatch(text):
        raise ConfigError("key.pin: wanted the fingerprint of a key, 64 hexadecimal digits")
    return text
