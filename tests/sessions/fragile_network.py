"""A network of real processes that a test may hurt: kill, freeze, restart, and read its books."""

import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from upcare_mpc.cli.local.command import local_data
from upcare_mpc.cli.local.network import LocalNetwork, LocalPolicy
from upcare_mpc.client.platform import Event, PlatformClient
from upcare_mpc.client.result import OpenedResult
from upcare_mpc.config import DataFiles, load_party
from upcare_mpc.ingest.delivery import Source, read
from upcare_mpc.privacy.ledger import Account, Ledger
from upcare_mpc.records.case import Case
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.journal_store import SqlJournal
from upcare_mpc.storage.schema import NODE
from upcare_mpc.study.spec import Study, parse

PARTIES = Path(__file__).parents[2] / "parties"
FIVE = ("de-a", "de-b", "de-c", "fr-a", "fr-b")
FOUR = FIVE[:4]
POLICY = LocalPolicy(purposes=["DUO:0000007"])


def data_of(*names: str) -> dict[str, DataFiles]:
    """The public deliveries of some of the five registries."""
    return local_data(tuple(f"{name}={PARTIES / name}" for name in names), ())


def cases_of(data: DataFiles) -> tuple[Case, ...]:
    """The cases of a registry's files."""
    sources = [Source(path.name, lambda path=path: path.open("rb")) for path in data.files]
    return read(sources, complete=data.complete).cases


def counts(
    title: str, *, names: tuple[str, ...] = FOUR, epsilon: str = "1", overlap: int = 1
) -> Study:
    """A small study; another title makes it another question."""
    listed = ", ".join(f'"{name}"' for name in names)
    return parse(
        f'version = 1\ntitle = "{title}"\nkind = "counts"\npurpose = "DUO:0000007"\n'
        f"registries = [{listed}]\noverlap = {overlap}\n[cohort]\nwhere = \"site = 'C50'\"\n"
        f'[privacy]\nepsilon = {epsilon}\n[counts]\nby = ["grade"]\n',
        name="study.toml",
    )


def wait_for(condition: Callable[[], bool], *, within_s: float, what: str) -> None:
    """Poll until a condition holds; a test fails with ``what`` if it does not in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}"
        time.sleep(0.02)


@dataclass(frozen=True)
class Story:
    """How a study went: its events and, if it was answered, the opened result."""

    events: tuple[Event, ...]
    result: OpenedResult | None

    @property
    def end(self) -> str:
        """``done``, ``refused`` or ``failed``."""
        return self.events[-1].phase

    @property
    def words(self) -> str:
        """What the last event says."""
        return self.events[-1].text

    @property
    def phases(self) -> list[str]:
        """All phases, in order."""
        return [event.phase for event in self.events]


class FragileNetwork(LocalNetwork):
    """``LocalNetwork`` with hands on every process."""

    def follow(self, study: Study, *, within_s: float) -> Iterator[Event]:
        """The events of a submitted study; the test fails if its end takes longer than stated."""
        events: queue.Queue[Event | BaseException] = queue.Queue()

        def listen() -> None:
            try:
                with PlatformClient(self.researcher) as platform:
                    for event in platform.watch(study.digest):
                        events.put(event)
            except Exception as error:  # noqa: BLE001 - handed to the test
                events.put(error)

        threading.Thread(target=listen, daemon=True).start()
        deadline = time.monotonic() + within_s
        while True:
            try:
                event = events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"the study did not end within {within_s:g} s") from None
            if isinstance(event, BaseException):
                raise event
            yield event
            if event.last:
                return

    def submit(self, study: Study) -> bool:
        """Submit a study; whether it was known."""
        with PlatformClient(self.researcher) as platform:
            return platform.submit(study)

    def ask(
        self,
        study: Study,
        *,
        within_s: float = 30.0,
        when: dict[str, Callable[[], object]] | None = None,
    ) -> Story:
        """Submit a study and follow it; ``when`` says what to do at the first event of a phase."""
        self.submit(study)
        todo, events = dict(when or {}), []
        for event in self.follow(study, within_s=within_s):
            events.append(event)
            if (act := todo.pop(event.phase, None)) is not None:
                act()
        return Story(tuple(events), self.open(study) if events[-1].phase == "done" else None)

    def open(self, study: Study) -> OpenedResult:
        """Fetch and open a result."""
        with PlatformClient(self.researcher) as platform:
            return platform.result(study)

    # -- books ----------------------------------------------------------------------------------

    def ledger(self, name: str) -> Ledger:
        """A registry's ledger, read from its database."""
        folder = self.party_folder(name)
        with Database(f"sqlite:///{folder / 'state' / 'node.db'}", NODE) as database:
            return Ledger.replay(load_party(folder).policy.caps, SqlJournal(database).entries())

    def charges(self, name: str, study: Study) -> list[str]:
        """The state of every charge of a study at a registry."""
        accounts: list[Account] = list(self.ledger(name).accounts.values())
        return [a.state.value for a in accounts if a.key.study == study.digest]

    def all_charges(self, study: Study) -> dict[str, list[str]]:
        """``charges`` of every registry of a study."""
        return {name: self.charges(name, study) for name in study.registries}

    def wait_for_charges(self, study: Study, within_s: float = 10.0, **wanted: str) -> None:
        """Wait until registries (``de_a="spent"``) hold exactly one charge in the state given."""
        goal = {name.replace("_", "-"): [state] for name, state in wanted.items()}
        wait_for(
            lambda: {name: self.charges(name, study) for name in goal} == goal,
            within_s=within_s,
            what=f"charges {goal}, they are {self.all_charges(study)}",
        )

    # -- processes ------------------------------------------------------------------------------

    def workers(self, name: str) -> list[int]:
        """Process ids of a node's workers, oldest first: the first serves the next session."""
        return sorted(_children(self.processes[name].pid), key=_started)

    def freeze(self, pid: int) -> None:
        """Stop a process without ending it."""
        os.kill(pid, signal.SIGSTOP)

    def thaw(self, pid: int) -> None:
        """Let a frozen process go on."""
        os.kill(pid, signal.SIGCONT)

    def kill(self, name: str) -> list[int]:
        """End a process at once and give the process ids of the workers it leaves behind."""
        workers = self.workers(name)
        process = self.processes[name]
        process.kill()
        process.wait()
        if process.stdin is not None:
            process.stdin.close()
        return workers

    def restart(self, name: str) -> None:
        """Start a killed node again."""
        self.start_node(name)

    def make_whole(self, names: tuple[str, ...]) -> None:
        """Start every process again that a test has ended, and wait until all attend."""
        if self.processes["platform"].poll() is not None:
            self.start_platform()
        for name in names:
            if self.processes[name].poll() is not None:
                self.start_node(name)
        self.wait_until_attending(counts("never submitted", names=names))


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return _stat(pid)[0] != "Z"
    except FileNotFoundError:
        return False


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the command: state, parent, ..."""
    return Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()


def _started(pid: int) -> int:
    try:
        return int(_stat(pid)[19])
    except FileNotFoundError:  # it has ended meanwhile
        return 0


def _children(parent: int) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and int(_stat(int(folder.name))[1]) == parent:
                found.append(int(folder.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found
