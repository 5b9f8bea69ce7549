"""This registry's shares of the network's key, one file for each generation.

    state/authority/share-1.key     ``abe.committee.Share`` in hexadecimal; mode 600, folder 700

Secret. t + 1 registries' files of one generation open everything that is sealed. They are nowhere
else: not in the database, not in a log. A backup of this folder is a copy of the share: after a
handover, it has to go as the file goes. What a disk keeps of an erased file is not wiped here.
"""

import re
from pathlib import Path
from typing import Final

from upcare_mpc.abe.committee import Committee, Share
from upcare_mpc.errors import ConfigError, ProtocolError
from upcare_mpc.storage.durable import flush, replace_text

__all__ = ["Shares"]

_FILE: Final = re.compile(r"share-([1-9][0-9]*)\.key", re.ASCII)


class Shares:
    """The shares in ``state/authority/``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, committee: Committee) -> Share:
        """Return this registry's share of a committee.

        Raises:
            ConfigError: There is none, or the file holds another one.
        """
        try:
            text = self._file(committee.generation).read_text("ascii", "replace")
        except FileNotFoundError:
            raise ConfigError(
                f"this registry has no share of the key in generation {committee.generation}"
            ) from None
        try:
            return Share.from_bytes(committee, bytes.fromhex(text))
        except (ProtocolError, ValueError):
            raise ConfigError(
                f"share-{committee.generation}.key is not this registry's share of the committee"
            ) from None

    def generations(self) -> tuple[int, ...]:
        """Return of which generations there is a share; ascending."""
        if not self._folder.is_dir():
            return ()
        found = (_FILE.fullmatch(path.name) for path in self._folder.iterdir())
        return tuple(sorted(int(match[1]) for match in found if match))

    def keep(self, share: Share, generation: int) -> None:
        """Keep a share; when this returns it is on the disk."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_text(self._file(generation), f"{bytes(share).hex()}\n")

    def erase(self, generation: int) -> None:
        """Erase the share of a generation, if there is one."""
        self._file(generation).unlink(missing_ok=True)
        flush(self._folder)

    def _file(self, generation: int) -> Path:
        return self._folder / f"share-{generation}.key"
