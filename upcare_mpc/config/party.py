"""`party.toml`: one registry's node."""

from dataclasses import dataclass, field
from pathlib import Path

from upcare_mpc.config.data import Data, read_data
from upcare_mpc.config.policy import Policy, read_policy
from upcare_mpc.config.toml_table import Table
from upcare_mpc.errors import ConfigError
from upcare_mpc.records.availability import Availability, listed_variables
from upcare_mpc.study.layout import MAX_CELLS

__all__ = ["PartyFile", "load_data", "load_party"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PartyFile:
    """One registry's node.

    Attributes:
        name: As in its certificate.
        folder: The party folder.
        computes: Whether it is willing to compute beside contributing.
        platform: Address of the platform, ``host:port``.
        host: Address under which peers reach this registry's workers.
        ports: Ports its workers may listen on; 0 is any free one.
        data: What it answers from.
        policy: What it agrees to.
        silence_s: Seconds of silence after which a peer counts as lost.
        bank_cells: Noise values to keep ready for each law; 0 keeps no noise bank.
        catalogue: What it states to everyone about its data; None states nothing.
    """

    name: str
    folder: Path
    computes: bool
    platform: str
    host: str
    ports: tuple[int, ...]
    data: Data
    policy: Policy
    silence_s: float = field(default=30.0)
    bank_cells: int = 0
    catalogue: Availability | None = None

    @property
    def identity_folder(self) -> Path:
        """Where certificate, key and agreement lie."""
        return self.folder / "identity"

    @property
    def state_folder(self) -> Path:
        """Where the node keeps its database and its operator's socket."""
        return self.folder / "state"


def load_data(party_file: Path) -> Data:
    """Read only the ``[data]`` section of a party file."""
    table = Table.read(party_file)
    return read_data(table.table("data"), party_file.parent)


def load_party(folder: Path) -> PartyFile:
    """Read ``party.toml`` of a party folder.

    Raises:
        ConfigError: One line that names the key, what was wanted and what was got.
    """
    table = Table.read(folder / "party.toml")
    table.only(
        *("version", "name", "computes", "platform", "link", "data", "policy", "bank"),
        "catalogue",
    )
    table.version()
    platform = table.table("platform")
    platform.only("address")
    link = table.table("link")
    link.only("host", "ports", "silence_s")
    return PartyFile(
        name=table.text("name"),
        folder=folder,
        computes=table.flag("computes"),
        platform=platform.text("address"),
        host=link.text("host"),
        ports=_ports(link),
        silence_s=float(link.integer("silence_s", 5, 600)) if "silence_s" in link.content else 30.0,
        data=read_data(table.table("data"), folder),
        policy=read_policy(table.table("policy")),
        bank_cells=_bank(table.table("bank")) if "bank" in table.content else 0,
        catalogue=_catalogue(table.table("catalogue")) if "catalogue" in table.content else None,
    )


def _bank(table: Table) -> int:
    table.only("cells")
    return table.integer("cells", 1, MAX_CELLS)


def _catalogue(table: Table) -> Availability:
    table.only("variables", "years", "population", "note")
    years = table.get("years")
    if not isinstance(years, list) or [type(year) for year in years] != [int, int]:
        raise ConfigError(f"{table.place('years')}: wanted [first, last]")
    texts = {key: table.text(key) for key in ("population", "note") if key in table.content}
    names = table.texts("variables")
    try:
        return Availability(variables=listed_variables(names), years=(years[0], years[1]), **texts)
    except ConfigError as error:
        raise ConfigError(table.place(str(error))) from None


def _ports(table: Table) -> tuple[int, ...]:
    """``[0]``, or ``[7101, 7110]`` for all ports from the first to the second."""
    ports = table.get("ports")
    good = isinstance(ports, list) and all(type(p) is int and 0 <= p < 65536 for p in ports)
    if good and len(ports) == 1:
        return tuple(ports)
    if good and len(ports) == 2 and 0 < ports[0] <= ports[1] <= ports[0] + 1000:
        return tuple(range(ports[0], ports[1] + 1))
    raise ConfigError(f"{table.place('ports')}: wanted [0], or [first, last] of a port range")
