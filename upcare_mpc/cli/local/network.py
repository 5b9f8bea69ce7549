"""A whole network on this machine: real processes, real TLS, real files, loopback only.

Everything lies in one temporary folder and is made by the same functions that a real network uses.
All processes end with this one: their standard input is a pipe of ours.
"""

import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Self

from upcare_mpc.cli.network import admit_party, found_network
from upcare_mpc.client.platform import PlatformClient
from upcare_mpc.client.researcher import Researcher, new_researcher
from upcare_mpc.config import DataFiles, SnapshotFolder, Source, WarehouseTable
from upcare_mpc.errors import InputError, SessionError
from upcare_mpc.kinds import KINDS
from upcare_mpc.study.spec import Study

__all__ = ["LocalNetwork", "LocalPolicy"]

START_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalPolicy:
    """What a registry of a local network agrees to, and how patient it is with its peers."""

    purposes: Sequence[str]
    epsilon_per_study: Fraction = Fraction(100)
    epsilon: Fraction = Fraction(1000)
    rho: Fraction | None = None  # a cap in rho, in place of the one in epsilon
    minimum_cohort: int | None = None
    approval: str = "automatic"
    computes: bool = True
    silence_s: int = 30
    bank_cells: int = 0
    tumours: int = 10_000  # declared at least: time enough to count when busy


@dataclass(slots=True)
class LocalNetwork:
    """Platform, registries and one researcher; use as a context manager.

    Attributes:
        data: Registry to its data.
        overlap: The network's agreement.
        policy: Of every registry that has no other.
        policies: Of single registries.
        committee: How many registries compute.
        offline: Registry to its data, of those that run no node.
        folder: Where everything lies; made and removed by the context manager.
    """

    data: Mapping[str, Source]
    overlap: int
    policy: LocalPolicy
    policies: Mapping[str, LocalPolicy] = field(default_factory=dict)
    committee: int = 3
    offline: Mapping[str, Source] = field(default_factory=dict)
    folder: Path = field(default=Path())
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="upcare-"))
        try:
            self.found()
            self.start_platform()
            for name in self.data:
                self.start_node(name)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes.values():
            if process.stdin is not None:
                process.stdin.close()
        for process in self.processes.values():
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def researcher(self) -> Researcher:
        """The network's researcher."""
        return Researcher.load(self.folder / "researcher")

    def party_folder(self, name: str) -> Path:
        """A registry's folder."""
        return self.folder / name

    def start_platform(self) -> None:
        """Start, or start again, the platform."""
        self._start("platform", "coordinator", "serve", "--folder", str(self.folder / "platform"))

    def start_node(self, name: str) -> None:
        """Start, or start again, one registry's node."""
        self._start(name, "node", "serve", "--party", str(self.party_folder(name)))

    def start_api(self) -> str:
        """Start the public interface, certified by the network, and return its URL.

        Raises:
            SessionError: It does not listen in time.
        """
        network, identity = self.folder / "network", self.folder / "api"
        if not identity.exists():
            admit_party(network, "api", role="platform", out=identity)
        address = f"127.0.0.1:{_free_ports(1)[0]}"
        self._start(
            "api",
            *("api", "serve", "--network", str(network), "--platform", self.researcher.platform),
            *("--listen", address, "--certificate", str(identity / "party.pem")),
            *("--key", str(identity / "party.key")),
        )
        deadline = time.monotonic() + START_S
        while f"https://{address}" not in self.log("api"):
            self._raise_if_ended()
            if time.monotonic() > deadline:
                raise SessionError(f"the public interface did not listen in {START_S:.0f} s")
            time.sleep(0.05)
        return f"https://{address}"

    def log(self, name: str) -> str:
        """What a process has logged so far."""
        path = self.folder / f"{name}.log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def wait_until_attending(self, study: Study) -> None:
        """Wait until every registry of a study attends.

        Raises:
            SessionError: A process ended, or it takes too long; the text is its last line.
        """
        deadline = time.monotonic() + START_S
        with PlatformClient(self.researcher) as platform:
            while True:
                self._raise_if_ended()
                try:
                    answers = platform.preview(study)
                except Exception as error:
                    if time.monotonic() > deadline or "cannot be reached" not in str(error):
                        raise
                else:
                    absent = [a.registry for a in answers if a.verdict == "not connected"]
                    if not absent:
                        return
                    if time.monotonic() > deadline:
                        raise SessionError(
                            f"{', '.join(absent)} did not connect in {START_S:.0f} s"
                        )
                time.sleep(0.1)

    # -- making it ------------------------------------------------------------------------------

    def found(self) -> None:
        """Make every folder; start nothing."""
        network = self.folder / "network"
        found_network(network, name="local", overlap=self.overlap, committee=self.committee)
        platform = self.folder / "platform"
        admit_party(network, "platform", role="platform", out=platform / "identity")
        registries, researchers = (f"127.0.0.1:{port}" for port in _free_ports(2))
        (platform / "platform.toml").write_text(
            f'version = 1\n[listen]\nregistries = "{registries}"\nresearchers = "{researchers}"\n',
            "utf-8",
        )
        key = new_researcher(
            self.folder / "researcher", identity_folder=network, platform=researchers
        )
        for name, data in {**self.data, **self.offline}.items():
            folder = self.party_folder(name)
            admit_party(network, name, role="registry", out=folder / "identity")
            (folder / "party.toml").write_text(
                self._party_file(name, data, registries, key), "utf-8"
            )

    def _party_file(self, name: str, data: Source, platform: str, researcher: str) -> str:
        kinds = ", ".join(f'"{kind}"' for kind in KINDS)
        policy = self.policies.get(name, self.policy)
        purposes = ", ".join(f'"{purpose}"' for purpose in policy.purposes)
        cap = f"epsilon = {float(policy.epsilon)}"
        if policy.rho is not None:
            cap = f"rho = {float(policy.rho)}"
        minimum = ""
        if policy.minimum_cohort is not None:
            minimum = f"minimum_cohort = {policy.minimum_cohort}\n"
        bank = f"[bank]\ncells = {policy.bank_cells}\n" if policy.bank_cells else ""
        return (
            f'version = 1\nname = "{name}"\ncomputes = {str(policy.computes).lower()}\n'
            f'[platform]\naddress = "{platform}"\n'
            f'[link]\nhost = "127.0.0.1"\nports = [0]\nsilence_s = {policy.silence_s}\n'
            f"{_data_section(data, policy.tumours)}"
            f'[policy]\napproval = "{policy.approval}"\n'
            f"purposes = [{purposes}]\nkinds = [{kinds}]\n"
            f"epsilon_per_study = {float(policy.epsilon_per_study)}\ndelta_per_study = 1\n"
            f"{minimum}"
            f'[policy.researchers]\nlocal = "{researcher}"\n'
            f"[policy.caps]\n{cap}\ndelta = 1e-6\n{bank}"
        )

    def _start(self, name: str, *arguments: str) -> None:
        log = (self.folder / f"{name}.log").open("ab")
        self.processes[name] = subprocess.Popen(  # noqa: S603 - our own program, fixed arguments
            [sys.executable, "-m", "upcare_mpc", *arguments, "--with-parent"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        )
        log.close()

    def _raise_if_ended(self) -> None:
        for name, process in self.processes.items():
            if process.poll() is not None:
                last = (self.log(name).strip().splitlines() or ["no word"])[-1]
                words = re.sub(r"^upcare: error: (.*) \[[a-z._]+\]$", r"\1", last)
                raise InputError(f"{name} ended: {words}")


def _free_ports(count: int) -> list[int]:
    """Ports that are free now on loopback."""
    sockets = [socket.socket() for _ in range(count)]
    for sock in sockets:
        sock.bind(("127.0.0.1", 0))
    ports = [int(sock.getsockname()[1]) for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


def _trial_size(files: Sequence[Path], at_least: int) -> int:
    """A bound on the number of tumours, generously from the size of the files.

    A real registry declares a bound that does not follow from its data.
    """
    smallest = sum(path.stat().st_size // (300 if path.suffix == ".xml" else 30) for path in files)
    return max(at_least, int(10 ** len(str(max(smallest, 1)))))


def _data_section(source: Source, at_least: int) -> str:
    match source:
        case DataFiles():
            return _files_section(source, at_least)
        case SnapshotFolder(folder=folder):
            stated = f"snapshots = {json.dumps(str(folder.resolve()))}"
        case WarehouseTable(url=url, table=table, seconds=seconds):
            place = f"url = {json.dumps(url)}, table = {json.dumps(table)}, seconds = {seconds}"
            stated = f"warehouse = {{ {place} }}"
    return f"[data]\n{stated}\ncases_at_most = {at_least}\n"


def _files_section(data: DataFiles, at_least: int) -> str:
    files = [str(path.resolve()) for path in data.files]
    lines = [
        "[data]",
        f"files = {json.dumps(files)}",
        f"cases_at_most = {_trial_size(data.files, at_least)}",
        f"complete = {json.dumps(sorted(data.complete))}",
    ]
    if data.deletions is not None:
        lines.append(f"deletions = {json.dumps(str(data.deletions.resolve()))}")
    lines.append("[data.encr_missing]")
    lines += [
        f"{column} = {json.dumps(sorted(codes))}" for column, codes in data.encr_missing.items()
    ]
    return "\n".join(lines) + "\n"
