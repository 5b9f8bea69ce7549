"""A platform that runs, and the folder of one registry, de-a, whose node does not."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from upcare_mpc.cli.local.network import START_S, LocalNetwork, LocalPolicy
from upcare_mpc.config import DataFiles, load_party
from upcare_mpc.errors import LinkError
from upcare_mpc.link.certificates import Identity
from upcare_mpc.link.vaults import KeptVault

__all__ = ["LonePlatform"]

_DELIVERY = Path(__file__).parents[2] / "parties" / "fr-b" / "data" / "FR-B_encr_incidence.csv"


class LonePlatform(LocalNetwork):
    """Use as a context manager."""

    @classmethod
    def in_folder(cls, folder: Path) -> Self:
        """One whose folders are made below this one, when it is entered."""
        return cls(
            data={"de-a": DataFiles(files=(_DELIVERY,))},
            overlap=1,
            policy=LocalPolicy(purposes=["DUO:0000007"]),
            folder=folder,
        )

    def __enter__(self) -> Self:
        self.folder.mkdir()
        self.found()
        self.start_and_wait()
        return self

    @property
    def identity(self) -> Identity:
        """The registry's."""
        return Identity.load(self.party_folder("de-a") / "identity", now=datetime.now(UTC))

    @property
    def vault(self) -> Path:
        """Where the platform keeps the registry's vault."""
        return self.folder / "platform" / "state" / "vault" / "de-a"

    def store(self) -> KeptVault:
        """The registry's vault at the platform."""
        return KeptVault(load_party(self.party_folder("de-a")).platform, self.identity)

    def kill(self) -> None:
        """End the platform as a power cut does."""
        process = self.processes.pop("platform")
        process.kill()
        process.wait()
        assert process.stdin is not None
        process.stdin.close()

    def start_and_wait(self) -> None:
        """Start it, and wait until it answers."""
        self.start_platform()
        deadline = time.monotonic() + START_S
        while True:
            with self.store() as store:
                try:
                    store.names()
                except LinkError:
                    assert time.monotonic() < deadline
                    time.sleep(0.1)
                else:
                    return
