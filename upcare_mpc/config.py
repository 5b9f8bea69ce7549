"""Configuration files, read into frozen types; unknown keys are refused by name.

A registry's folder holds

    party.toml      what this registry is, where its data are, what it agrees to (its policy)
    identity/       ca.pem, party.pem, party.key, network.toml (from ``upcare network admit``)
    state/          database and socket; made by the node

and the platform's folder the same with ``platform.toml``.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from difflib import get_close_matches
from fractions import Fraction
from pathlib import Path
from typing import Any

from upcare_mpc.errors import ConfigError
from upcare_mpc.ingest import encr
from upcare_mpc.ingest.delivery import TREATMENT_KINDS
from upcare_mpc.kinds import KINDS
from upcare_mpc.privacy.accountant import Cap
from upcare_mpc.privacy.ledger import Caps
from upcare_mpc.records.availability import Availability, listed_variables
from upcare_mpc.study.layout import MAX_CELLS
from upcare_mpc.study.spec import MAX_COHORT

__all__ = [
    "Agreement",
    "Data",
    "DataFiles",
    "PartyFile",
    "PlatformFile",
    "Policy",
    "SnapshotFolder",
    "WarehouseTable",
    "load_agreement",
    "load_data",
    "load_party",
    "load_platform",
]

_VERSION = 1
_DELTA_PER_STUDY = Fraction(1, 10**6)  # where the policy states none
MAX_CASES = 100_000_000
_SOURCES = ("files", "snapshots", "warehouse")


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
class DataFiles:
    """Deliveries that a snapshot is made of.

    Attributes:
        files: In any supported format; where two contradict each other, the later one counts.
        complete: Kinds of treatment of which this registry records every one.
        deletions: CSV list of what is to be left out (``ingest.deletions``).
        encr_missing: Codes that mean "unknown" in ENCR files, by column.
    """

    files: tuple[Path, ...]
    complete: frozenset[str] = frozenset()
    deletions: Path | None = None
    encr_missing: Mapping[str, frozenset[str]] = field(default_factory=lambda: encr.MISSING)


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotFolder:
    """A folder of snapshots that ``upcare ingest`` writes."""

    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class WarehouseTable:
    """A table of cases in a database of the registry, which must not change under its name.

    Attributes:
        url: Of the database, as Ibis takes it. May hold a password: secret.
        table: Its name.
    """

    url: str = field(repr=False)
    table: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """What the registry answers from.

    Attributes:
        source: Where the cases are.
        cases_at_most: A public bound on the number of tumours; how long the node takes to answer
            follows from it, and never from the records.
    """

    source: DataFiles | SnapshotFolder | WarehouseTable
    cases_at_most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What this registry agrees to; everything else is refused.

    Attributes:
        automatic: Approve without an operator what the policy accepts.
        purposes: Accepted purposes (GA4GH DUO codes).
        kinds: Accepted study kinds.
        researchers: Name to Ed25519 public key: who may ask.
        epsilon_per_study: The most epsilon one study may state, whatever its mechanism.
        delta_per_study: The most delta one study may state.
        minimum_cohort: The least ``release.minimum_cohort`` that a study must declare; None
            accepts studies without one.
        caps: The most all studies together may ever cost this registry's population.
    """

    automatic: bool
    purposes: frozenset[str]
    kinds: frozenset[str]
    researchers: Mapping[str, bytes]
    epsilon_per_study: Fraction
    delta_per_study: Fraction
    minimum_cohort: int | None
    caps: Caps


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


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformFile:
    """The platform.

    Attributes:
        folder: Its folder.
        registries: Address that registries attend, ``host:port``; mutual TLS.
        researchers: Address that researchers call, ``host:port``; the platform's certificate only.
    """

    folder: Path
    registries: str
    researchers: str


def load_platform(folder: Path) -> PlatformFile:
    """Read ``platform.toml`` of the platform's folder."""
    table = _Table.read(folder / "platform.toml")
    table.only("version", "listen")
    table.version()
    listen = table.table("listen")
    listen.only("registries", "researchers")
    return PlatformFile(
        folder=folder,
        registries=listen.text("registries"),
        researchers=listen.text("researchers"),
    )


def load_agreement(folder: Path) -> Agreement:
    """Read ``network.toml`` of an identity folder."""
    table = _Table.read(folder / "network.toml")
    table.only("version", "name", "overlap", "committee")
    table.version()
    committee = table.integer("committee", 3, 7)
    if committee % 2 == 0:
        raise ConfigError(f"network.toml: committee: wanted 3, 5 or 7, got {committee}")
    return Agreement(
        name=table.text("name"), overlap=table.integer("overlap", 1, 64), committee=committee
    )


def load_data(party_file: Path) -> Data:
    """Read only the ``[data]`` section of a party file."""
    table = _Table.read(party_file)
    return _data(table.table("data"), party_file.parent)


def load_party(folder: Path) -> PartyFile:
    """Read ``party.toml`` of a party folder.

    Raises:
        ConfigError: One line that names the key, what was wanted and what was got.
    """
    table = _Table.read(folder / "party.toml")
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
        data=_data(table.table("data"), folder),
        policy=_policy(table.table("policy")),
        bank_cells=_bank(table.table("bank")) if "bank" in table.content else 0,
        catalogue=_catalogue(table.table("catalogue")) if "catalogue" in table.content else None,
    )


def _bank(table: "_Table") -> int:
    table.only("cells")
    return table.integer("cells", 1, MAX_CELLS)


def _catalogue(table: "_Table") -> Availability:
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


def _data(table: "_Table", folder: Path) -> Data:
    """One source: files, a folder of snapshots, or a table of a warehouse."""
    table.only(*_SOURCES, "cases_at_most", "complete", "deletions", "encr_missing")
    stated = [key for key in _SOURCES if key in table.content]
    if len(stated) != 1:
        got = " and ".join(stated) or "none"
        raise ConfigError(f"{table.where}: wanted one of {', '.join(_SOURCES)}; got {got}")
    cases_at_most = table.integer("cases_at_most", 1, MAX_CASES)
    if stated == ["files"]:
        return Data(source=_files(table, folder), cases_at_most=cases_at_most)
    table.only(stated[0], "cases_at_most")  # the rest was said when the cases were made
    if stated == ["snapshots"]:
        place = SnapshotFolder(folder=folder / table.text("snapshots"))
        return Data(source=place, cases_at_most=cases_at_most)
    warehouse = table.table("warehouse")
    warehouse.only("url", "table")
    there = WarehouseTable(url=warehouse.text("url"), table=warehouse.text("table"))
    return Data(source=there, cases_at_most=cases_at_most)


def _files(table: "_Table", folder: Path) -> DataFiles:
    complete = frozenset(table.texts("complete")) if "complete" in table.content else frozenset()
    unknown = complete - TREATMENT_KINDS
    if unknown:
        wanted = ", ".join(sorted(TREATMENT_KINDS))
        raise ConfigError(f"{table.place('complete')}: wanted some of {wanted}, got {min(unknown)}")
    return DataFiles(
        files=tuple(folder / name for name in table.texts("files")),
        complete=complete,
        deletions=folder / table.text("deletions") if "deletions" in table.content else None,
        encr_missing=_encr_missing(table.table("encr_missing"))
        if "encr_missing" in table.content
        else encr.MISSING,
    )


def _encr_missing(table: "_Table") -> Mapping[str, frozenset[str]]:
    """The stated columns; the others stay as they are by default."""
    table.only(*encr.COLUMNS)
    return {**encr.MISSING, **{column: frozenset(table.texts(column)) for column in table.content}}


def _policy(table: "_Table") -> Policy:
    table.only(
        *("approval", "purposes", "kinds", "researchers", "caps"),
        *("epsilon_per_study", "delta_per_study", "minimum_cohort"),
    )
    approval = table.text("approval")
    if approval not in {"automatic", "manual"}:
        raise ConfigError(f"{table.place('approval')}: wanted automatic or manual, got {approval}")
    kinds = frozenset(table.texts("kinds"))
    if not kinds <= KINDS.keys():
        wanted = ", ".join(KINDS)
        raise ConfigError(
            f"{table.place('kinds')}: wanted some of {wanted}, got {min(kinds - KINDS.keys())}"
        )
    researchers = table.table("researchers")
    keys = {name: _key(researchers, name) for name in researchers.content}
    return Policy(
        automatic=approval == "automatic",
        purposes=frozenset(table.texts("purposes")),
        kinds=kinds,
        researchers=keys,
        epsilon_per_study=table.number("epsilon_per_study"),
        delta_per_study=(
            table.number("delta_per_study", most=1)
            if "delta_per_study" in table.content
            else _DELTA_PER_STUDY
        ),
        minimum_cohort=(
            table.integer("minimum_cohort", 1, MAX_COHORT)
            if "minimum_cohort" in table.content
            else None
        ),
        caps=_caps(table.table("caps")),
    )


def _caps(table: "_Table") -> Caps:
    """Caps in (epsilon, delta) or in (rho, delta); those of purposes are in the same measure."""
    table.only("epsilon", "rho", "delta", "purposes")
    if ("epsilon" in table.content) == ("rho" in table.content):
        raise ConfigError(f"{table.where}: wanted either epsilon or rho, beside delta")
    measure, cap = ("rho", Cap.of_rho) if "rho" in table.content else ("epsilon", Cap.of_epsilon)
    delta = table.number("delta", most=1)
    if delta == 1:
        raise ConfigError(f"{table.place('delta')}: wanted less than 1")
    purposes = table.table("purposes") if "purposes" in table.content else None
    return Caps(
        everything=cap(table.number(measure), delta),
        purposes={p: cap(purposes.number(p), delta) for p in purposes.content} if purposes else {},
    )


def _key(table: "_Table", name: str) -> bytes:
    text = table.text(name)
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise ConfigError(f"{table.place(name)}: wanted a public key of 64 hexadecimal digits")
    return bytes.fromhex(text)


def _ports(table: "_Table") -> tuple[int, ...]:
    """``[0]``, or ``[7101, 7110]`` for all ports from the first to the second."""
    ports = table.get("ports")
    good = isinstance(ports, list) and all(type(p) is int and 0 <= p < 65536 for p in ports)
    if good and len(ports) == 1:
        return tuple(ports)
    if good and len(ports) == 2 and 0 < ports[0] <= ports[1] <= ports[0] + 1000:
        return tuple(range(ports[0], ports[1] + 1))
    raise ConfigError(f"{table.place('ports')}: wanted [0], or [first, last] of a port range")


@dataclass(slots=True)
class _Table:
    """A TOML table on its way to becoming typed; knows where it stands."""

    content: dict[str, Any]
    where: str

    @classmethod
    def read(cls, path: Path) -> "_Table":
        try:
            content = tomllib.loads(path.read_text("utf-8"), parse_float=Decimal)
        except FileNotFoundError:
            raise ConfigError(
                f"{path.name} is missing in the folder {path.resolve().parent.name}"
            ) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path.name}: not a TOML file: {error}") from None
        return cls(content, path.name)

    def place(self, key: str) -> str:
        return f"{self.where}: {key}" if self.where.endswith(".toml") else f"{self.where}.{key}"

    def only(self, *known: str) -> None:
        for key in self.content:
            if key not in known:
                near = get_close_matches(key, known, n=1)
                hint = f"; did you mean {near[0]}?" if near else f"; known: {', '.join(known)}"
                raise ConfigError(f"{self.where}: unknown key {key!r}{hint}")

    def get(self, key: str) -> Any:
        if key not in self.content:
            raise ConfigError(f"{self.where}: missing key {key!r}")
        return self.content[key]

    def version(self) -> None:
        version = self.get("version")
        if type(version) is not int or version != _VERSION:
            raise ConfigError(f"{self.place('version')}: wanted {_VERSION}")

    def text(self, key: str) -> str:
        value = self.get(key)
        if not isinstance(value, str) or not value:
            raise ConfigError(f"{self.place(key)}: wanted a text")
        return value

    def texts(self, key: str) -> list[str]:
        value = self.get(key)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ConfigError(f"{self.place(key)}: wanted a list of texts")
        return value

    def flag(self, key: str) -> bool:
        value = self.get(key)
        if not isinstance(value, bool):
            raise ConfigError(f"{self.place(key)}: wanted true or false")
        return value

    def integer(self, key: str, low: int, high: int) -> int:
        value = self.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ConfigError(f"{self.place(key)}: wanted a whole number from {low} to {high}")
        return value

    def number(self, key: str, *, most: int | None = None) -> Fraction:
        value = self.get(key)
        exact = Decimal(value) if type(value) is int else value
        # Finite, and of a size that an exact fraction can hold without filling the memory.
        good = isinstance(exact, Decimal) and exact.is_finite() and abs(exact.adjusted()) <= 30
        if not good or exact <= 0:
            raise ConfigError(f"{self.place(key)}: wanted a number above 0")
        if most is not None and exact > most:
            raise ConfigError(f"{self.place(key)}: wanted a number above 0 and at most {most}")
        return Fraction(exact)

    def table(self, key: str) -> "_Table":
        value = self.get(key)
        if not isinstance(value, dict):
            raise ConfigError(f"{self.place(key)}: wanted a table")
        return _Table(value, self.place(key))
