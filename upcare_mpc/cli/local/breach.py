"""`upcare breach`: a whole story on this machine, then a search of all that the platform holds.

    act one      a joint study; a key ceremony; consents; sealed records; a key for a project;
                 records opened; a patient who withdraws
    act two      every byte that the platform holds is searched for all that it must not hold:
                 its database, its vault, its log, the memory of its process
    act three    three leaks are planted there, and the same search finds them

What must not be there is collected from those who hold it (``breach_secrets``): the drill may read
every folder. What is public and has to be there is searched for too, so that a place that could not
be read does not pass for a clean one.
"""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from upcare_mpc.cli import show
from upcare_mpc.cli.local import breach_secrets
from upcare_mpc.cli.local.command import local_data
from upcare_mpc.cli.local.haystack import Find, Haystack, Secret, memory_of, search
from upcare_mpc.cli.local.network import LocalNetwork, LocalPolicy
from upcare_mpc.cli.records import seal_edition
from upcare_mpc.cli.study import read_study
from upcare_mpc.client.platform import PlatformClient
from upcare_mpc.client.request_folder import RequestFolder
from upcare_mpc.client.result import OpenedResult
from upcare_mpc.config import load_platform
from upcare_mpc.errors import SessionError
from upcare_mpc.ingest.delivery import Source, read
from upcare_mpc.link.board import RegistryBoard
from upcare_mpc.link.certificates import Identity
from upcare_mpc.study.rows import tabulate
from upcare_mpc.vault.edition import HEAD

__all__ = ["breach"]

NAMES = ("de-a", "de-b", "de-c")
SITE = "de-a"  # whose records are sealed and opened
PATIENTS = 8  # who allow it
COMMAND_S = 120.0

_MARK = "mark of"

_PROJECT = f"""version = 1
project = "drill-1"
title = "Does hormone therapy change survival after breast cancer?"
purposes = ["DUO:0000007"]
diseases = ["C50"]
registries = ["{SITE}"]
"""


@click.command()
@click.option(
    "--parties",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default="parties",
    show_default=True,
    help="Folder of party folders, with study.toml.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def breach(parties: Path, *, as_json: bool) -> None:
    """Run a whole story, then search all that the platform holds for what it must not hold.

    Ends with 0 if nothing is found, and every planted leak is.

    Example: upcare breach --parties parties
    """
    start = time.perf_counter()
    asked = replace(read_study(parties / "study.toml"), registries=NAMES)
    data = local_data(tuple(f"{name}={parties / name}" for name in NAMES), ())
    policy = LocalPolicy(purposes=[asked.purpose])
    with LocalNetwork(data=data, overlap=1, policy=policy) as network:
        network.wait_until_attending(asked)
        drill = _Drill(network, [data[SITE].files[0]])
        show.talk.rule("Act one: a study, a key, sealed records, a withdrawal")
        opened = drill.study(asked)
        drill.make_key()
        patients = drill.patients()[:PATIENTS]
        drill.permit(patients)
        drill.seal(days=0)
        request = drill.open_records()
        before = drill.held_by(SITE)
        drill.withdraw(patients[0])
        drill.reopen(request.digest.hex(), patients=PATIENTS - 1)

        show.talk.rule("Act two: what the platform holds")
        kind = opened.question.kind
        counts = {
            name: tabulate(kind.measures(), kind.layout(), _cases(files.files, files.complete))
            for name, files in data.items()
        }
        secrets = drill.secrets(opened, counts, request, before)
        found, sizes = drill.search([*secrets, *drill.marks()])
        seen = {find.where for find in found if find.what == f"{_MARK} {find.where}"}
        found = [find for find in found if not find.what.startswith(_MARK)]
        unseen = sorted(sizes.keys() - seen)

        show.talk.rule("Act three: leaks are planted")
        planted = drill.plant(secrets)
        again, _ = drill.search(planted)
    overlooked = [one.what for one in planted if one.what not in {find.what for find in again}]
    report = {
        "places": sizes,
        "secrets": dict(sorted(Counter(one.what for one in secrets).items())),
        "found": [_as_json(find) for find in found],
        "not_searched": unseen,
        "planted": [one.what for one in planted],
        "planted_found": [_as_json(find) for find in again],
        "overlooked": overlooked,
        "seconds": round(time.perf_counter() - start, 1),
    }
    if as_json:
        click.echo(json.dumps(report))
    else:
        _print(sizes, secrets, found, again)
    if found:
        raise SessionError(f"the platform holds what it must not: {found[0].what}")
    if unseen:
        raise SessionError(f"the drill did not see all of the platform: {', '.join(unseen)}")
    if overlooked:
        raise SessionError(f"the drill overlooks what it planted: {', '.join(overlooked)}")


@dataclass(slots=True)
class _Drill:
    """The network, and everybody in it."""

    network: LocalNetwork
    deliveries: Sequence[Path]

    @property
    def platform(self) -> Path:
        return self.network.folder / "platform"

    @property
    def researcher(self) -> Path:
        return self.network.folder / "researcher"

    # -- act one --------------------------------------------------------------------------------

    def study(self, asked: Any) -> OpenedResult:
        show.talk.print("three registries answer one question")
        with PlatformClient(self.network.researcher) as platform:
            platform.submit(asked)
            for event in platform.watch(asked.digest):
                if event.last and event.phase != "done":
                    raise SessionError(event.text)
            return platform.result(asked)

    def make_key(self) -> None:
        show.talk.print("three registries make a key that none of them has")
        members = [option for name in NAMES for option in ("--member", name)]
        first = self._registry(NAMES[0], "authority", "propose", *members, "--threshold", "1")
        topic = first.split()[0]
        joining = [
            self._start("authority", "join", topic, "--party", str(self._folder(name)))
            for name in NAMES
        ]
        for process in joining:
            self._end(process)

    def patients(self) -> list[str]:
        return breach_secrets.patients_in(list(self.deliveries))

    def permit(self, patients: Sequence[str]) -> None:
        show.talk.print(f"{len(patients)} patients of {SITE} allow research on their illness")
        for patient in patients:
            self._registry(
                *(SITE, "consent", "record", "--patient", patient, "--activity", "records"),
                *("--permission", "DUO:0000007", "--disease", "C50"),
            )

    def seal(self, *, days: int) -> None:
        """Seal the edition of today, or of so many days later."""
        show.talk.print(f"{SITE} seals their records and brings them to the platform")
        seal_edition(self._folder(SITE), now=lambda: datetime.now(UTC) + timedelta(days=days))

    def open_records(self) -> RequestFolder:
        show.talk.print("a researcher asks for a key; the registries approve; she opens")
        project = self.network.folder / "project.toml"
        project.write_text(_PROJECT, "utf-8")
        me = ("--as", str(self.researcher))
        request = self._upcare("access", "request", str(project), *me).split()[0]
        for name in NAMES[:2]:
            self._registry(name, "access", "approve", request)
        for name in NAMES[:2]:
            self._registry(name, "access", "issue")
        self.reopen(request, patients=PATIENTS)
        return RequestFolder.find(self.researcher, request)

    def reopen(self, request: str, *, patients: int) -> None:
        """Fetch and open what the key opens now."""
        me = ("--as", str(self.researcher))
        self._upcare("access", "fetch", request, *me)
        out = self.network.folder / "records.parquet"
        label = json.loads(
            self._upcare("access", "open", request, *me, "--out", str(out), "--json")
        )
        if label["records"] != patients:
            raise SessionError(f"{patients} records should open, {label['records']} do")

    def withdraw(self, patient: str) -> None:
        show.talk.print("one patient withdraws; the next day's edition is without her record")
        self._registry(
            *(SITE, "consent", "record", "--patient", patient, "--activity", "records"),
            "--withdraw",
        )
        self.seal(days=1)

    # -- act two --------------------------------------------------------------------------------

    def held_by(self, name: str) -> list[Secret]:
        """What a registry alone may hold, now."""
        return list(breach_secrets.of_registry(name, self._folder(name)))

    def secrets(
        self,
        opened: OpenedResult,
        counts: dict[str, Any],
        request: RequestFolder,
        before: Sequence[Secret],
    ) -> list[Secret]:
        """All that the platform must not hold; ``before`` is what the site held and has given up.

        Raises:
            SessionError: Something is missing that would have to be searched for.
        """
        folders = {name: self._folder(name) for name in NAMES}
        found = [*before, *(secret for name in NAMES for secret in self.held_by(name))]
        found += breach_secrets.of_researcher(self.researcher, request, folders)
        found += breach_secrets.of_answer(opened, counts, self.network.researcher, self.platform)
        found += [
            Secret(what=f"{SITE}: a patient's id", content=one.encode()) for one in self.patients()
        ]
        for what in ("a record", "the key of a record", "its exact counts", "the noisy result"):
            if not any(one.what.endswith(what) for one in found):
                raise SessionError(f"the drill has nothing to search for: {what}")
        return list({(one.what, one.content): one for one in found}.values())

    def marks(self) -> list[Secret]:
        """What is in each place for certain, so that one that was not read is noticed."""
        identity = self.platform / "identity"
        own = Identity.load(identity, now=datetime.now(UTC))
        return [
            Secret(what=f"{_MARK} {where}", content=content)
            for where, content in {
                "database": self.network.researcher.signing_key,
                "vault": _beginning_of_head(self.platform / "state" / "vault" / SITE / HEAD),
                "settings": own.certificate_pem,
                "log": b"platform: researchers at",
                "memory": own.key_pem.splitlines()[1],
            }.items()
        ]

    def search(self, secrets: Sequence[Secret]) -> tuple[list[Find], dict[str, int]]:
        """Search every byte that the platform holds; return what was found, and sizes by place."""
        found: list[Find] = []
        sizes: dict[str, int] = {}
        for hay in self._haystacks():
            more, size = search(secrets, hay)
            found += more
            sizes[hay.where] = sizes.get(hay.where, 0) + size
        return found, sizes

    def _haystacks(self) -> Iterator[Haystack]:
        state = self.platform / "state"
        places = {
            "database": [path for path in state.iterdir() if path.is_file()],
            "vault": [path for path in state.rglob("*") if path.is_file() and path.parent != state],
            "settings": [path for path in self.platform.rglob("*") if state not in path.parents],
            "log": [self.network.folder / "platform.log"],
        }
        for where, paths in places.items():
            for path in paths:
                if path.is_file():
                    yield Haystack(where=where, pieces=[path.read_bytes()])
        yield memory_of(self.network.processes["platform"].pid, "memory")

    # -- act three ------------------------------------------------------------------------------

    def plant(self, secrets: Sequence[Secret]) -> list[Secret]:
        """Let three things slip, as a careless program would."""
        record = next(one for one in secrets if one.what == f"{SITE}: a record")
        counts = next(one for one in secrets if one.what == f"{SITE}: its exact counts")
        share = next(one for one in secrets if one.what.endswith("share of the network's key"))
        identity = Identity.load(self._folder(SITE) / "identity", now=datetime.now(UTC))
        show.talk.print("a registry explains a refusal with a patient's record, on the board")
        with RegistryBoard(self._address(), identity) as board:
            _, topic = board.topics("request")[0]
            board.post(topic, "refusal", b"not this one: " + record.content)
        show.talk.print("a line of the log says what was counted, in hexadecimal")
        with (self.network.folder / "platform.log").open("ab") as log:
            log.write(b"debug: counted " + counts.content.hex().encode() + b"\n")
        show.talk.print("a backup of a registry's share of the key is left in the vault")
        (self.platform / "state" / "vault" / "backup").write_bytes(os.urandom(5) + share.content)
        return [record, counts, share]

    # -- commands -------------------------------------------------------------------------------

    def _folder(self, name: str) -> Path:
        return self.network.party_folder(name)

    def _address(self) -> str:
        return load_platform(self.platform).registries

    def _registry(self, name: str, *arguments: str) -> str:
        return self._upcare(*arguments, "--party", str(self._folder(name)))

    def _upcare(self, *arguments: str) -> str:
        return self._end(self._start(*arguments))

    @staticmethod
    def _start(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "upcare_mpc", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @staticmethod
    def _end(process: subprocess.Popen[str]) -> str:
        try:
            out, said = process.communicate(timeout=COMMAND_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise SessionError("a command of the drill did not end in time") from None
        if process.returncode:
            raise SessionError((said.strip().splitlines() or ["a command of the drill failed"])[-1])
        return out


def _beginning_of_head(head: Path) -> bytes:
    return head.read_bytes()[:32]


def _cases(files: Sequence[Path], complete: frozenset[str]) -> Any:
    sources = [Source(path.name, lambda path=path: path.open("rb")) for path in files]  # type: ignore[misc]
    return read(sources, complete=complete).cases


def _as_json(find: Find) -> dict[str, str]:
    return {"where": find.where, "what": find.what, "spelling": find.spelling}


def _print(
    sizes: dict[str, int], secrets: Sequence[Secret], found: Sequence[Find], again: Sequence[Find]
) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("what the platform holds", "bytes searched", "found", "planted, and found"):
        table.add_column(column, justify="left" if column.startswith("what") else "right")
    for where, size in sizes.items():
        here = [find for find in found if find.where == where]
        there = {find.what for find in again if find.where == where}
        table.add_row(where, f"{size:,}", str(len(here)), ", ".join(sorted(there)) or "")
    show.out.print(table)
    kinds = Counter(one.what.partition(": ")[2] or one.what for one in secrets)
    for what, count in sorted(kinds.items()):
        show.out.print(f"  searched for: {what} ({count})")
    show.out.print(
        f"{len(secrets)} secrets, each in eight to eleven spellings: {len(found)} found."
    )
