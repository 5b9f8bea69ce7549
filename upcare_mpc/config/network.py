"""What a network agrees on (`network.toml`), and where its platform listens (`platform.toml`)."""

from dataclasses import dataclass, replace
from pathlib import Path

from upcare_mpc.config.toml_table import Table
from upcare_mpc.errors import ConfigError

__all__ = ["Agreement", "PlatformFile", "load_agreement", "load_platform"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What the registries of a network have agreed on (``network.toml``).

    Attributes:
        name: Name of the network.
        overlap: How many registries may know one patient.
        committee: How many registries compute in a study: 3, 5 or 7.
    """

    name: str
    overlap: int
    committee: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformFile:
    """The platform.

    Attributes:
        folder: Its folder.
        registries: Address that registries attend, ``host:port``; mutual TLS.
        researchers: Address that researchers call, ``host:port``; the platform's certificate only.
        gigabytes_per_registry: Room for the vault of each registry.
        deposit_gigabytes: Room for the deposits of all collections together.
    """

    folder: Path
    registries: str
    researchers: str
    gigabytes_per_registry: int = 100
    deposit_gigabytes: int = 100


def load_agreement(folder: Path) -> Agreement:
    """Read ``network.toml`` of an identity folder."""
    table = Table.read(folder / "network.toml")
    table.only("version", "name", "overlap", "committee")
    table.version()
    committee = table.integer("committee", 3, 7)
    if committee % 2 == 0:
        raise ConfigError(f"network.toml: committee: wanted 3, 5 or 7, got {committee}")
    return Agreement(
        name=table.text("name"), overlap=table.integer("overlap", 1, 64), committee=committee
    )


def load_platform(folder: Path) -> PlatformFile:
    """Read ``platform.toml`` of the platform's folder."""
    table = Table.read(folder / "platform.toml")
    table.only("version", "listen", "vault", "deposits")
    table.version()
    listen = table.table("listen")
    listen.only("registries", "researchers")
    file = PlatformFile(
        folder=folder,
        registries=listen.text("registries"),
        researchers=listen.text("researchers"),
    )
    if "vault" in table.content:
        vault = table.table("vault")
        vault.only("gigabytes_per_registry")
        room = vault.integer("gigabytes_per_registry", 1, 10**6)
        file = replace(file, gigabytes_per_registry=room)
    if "deposits" in table.content:
        deposits = table.table("deposits")
        deposits.only("gigabytes")
        file = replace(file, deposit_gigabytes=deposits.integer("gigabytes", 1, 10**6))
    return file
