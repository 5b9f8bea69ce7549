"""A platform that runs, three registries with a key and sealed records, and a researcher.

No node runs: all that is done here is done by commands.
"""

import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from command import Ran, upcare
from fragile_network import POLICY, data_of

from upcare_mpc.cli.local.network import START_S, LocalNetwork
from upcare_mpc.cli.node import open_database
from upcare_mpc.config import load_party
from upcare_mpc.errors import LinkError
from upcare_mpc.journal import Entry
from upcare_mpc.link.board import RegistryBoard
from upcare_mpc.link.certificates import Identity
from upcare_mpc.storage.journal_store import SqlJournal

__all__ = ["THREE", "KeyedNetwork", "background"]

THREE = ("de-a", "de-b", "de-c")
_PROJECT = """version = 1
project = "p-17"
title = "{title}"
purposes = ["DUO:0000007"]
diseases = ["C50"]
registries = ["de-a", "de-b"]
"""


class KeyedNetwork(LocalNetwork):
    """Use as a context manager."""

    @classmethod
    def of_three(cls) -> Self:
        """One that is made when it is entered."""
        return cls(data=data_of(*THREE), overlap=1, policy=POLICY)

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="upcare-"))
        try:
            self.found()
            self.start_platform()
            self.wait_for_platform()
            self.make_key()
        except BaseException:
            self.__exit__()
            raise
        return self

    def wait_for_platform(self) -> None:
        """Wait until the platform answers."""
        party = load_party(self.party_folder("de-a"))
        identity = Identity.load(party.identity_folder, now=datetime.now(UTC))
        deadline = time.monotonic() + START_S
        while True:
            with RegistryBoard(party.platform, identity) as board:
                try:
                    board.topics("request")
                except LinkError:
                    assert time.monotonic() < deadline
                    time.sleep(0.1)
                else:
                    return

    def make_key(self) -> None:
        """Make the network's key: all three join one ceremony."""
        members = [word for name in THREE for word in ("--member", name)]
        name = self.at("de-a", "authority", "propose", *members, "--threshold", "1").out.strip()
        joining = [
            background("authority", "join", name, "--party", str(self.party_folder(registry)))
            for registry in THREE
        ]
        for process in joining:
            _, told = process.communicate(timeout=60)
            assert process.returncode == 0, told

    def kill_platform(self) -> None:
        """End the platform as a power cut does."""
        process = self.processes.pop("platform")
        process.kill()
        process.communicate()

    def seal(self, name: str, *patients: str) -> None:
        """Patients allow research on breast cancer; the registry seals today's edition."""
        for patient in patients:
            said = ("--permission", "DUO:0000007", "--disease", "C50", "--from", "2020-01-01")
            self.at(name, "consent", "record", "--activity", "records", "--patient", patient, *said)
        self.at(name, "records", "seal")

    def at(self, name: str, *arguments: str) -> Ran:
        """Run a registry's command, which has to succeed."""
        ran = upcare(*arguments, "--party", str(self.party_folder(name)))
        assert ran.status == 0, ran.err
        return ran

    def refused_at(self, name: str, *arguments: str) -> str:
        """Run a registry's command, which has to fail; return its one line."""
        return _one_line(upcare(*arguments, "--party", str(self.party_folder(name))))

    def me(self, *arguments: str, folder: Path | None = None) -> Ran:
        """Run a researcher's command, which has to succeed."""
        ran = upcare(*arguments, "--as", str(folder or self.folder / "researcher"))
        assert ran.status == 0, ran.err
        return ran

    def refused_me(self, *arguments: str, folder: Path | None = None) -> str:
        """Run a researcher's command, which has to fail; return its one line."""
        return _one_line(upcare(*arguments, "--as", str(folder or self.folder / "researcher")))

    def ask(self, title: str, *, folder: Path | None = None) -> str:
        """Ask for a key; return the digest of the request."""
        project = self.folder / "project.toml"
        project.write_text(_PROJECT.format(title=title), "utf-8")
        return self.me("access", "request", str(project), folder=folder).out.strip()

    def grant(self, digest: str) -> None:
        """de-a and de-b approve, and issue."""
        for command in (("approve", digest), ("issue",)):
            for name in ("de-a", "de-b"):
                self.at(name, "access", *command)

    def journal(self, name: str, kind: str, digest: str) -> list[Entry]:
        """What a registry's journal has about a request."""
        with open_database(load_party(self.party_folder(name))) as database:
            entries = SqlJournal(database).entries()
        return [e for e in entries if e.kind == kind and e.fields()["request"] == digest]


def background(*arguments: str) -> subprocess.Popen[bytes]:
    """Start a command; whoever starts it ends it."""
    return subprocess.Popen(
        [sys.executable, "-m", "upcare_mpc", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def _one_line(ran: Ran) -> str:
    assert ran.status == 1, ran
    (line,) = ran.err.splitlines()
    return line.removeprefix("upcare: error: ")
