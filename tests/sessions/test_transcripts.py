"""The transcripts beside this file are true: every command is run, every line compared.

In a ``console`` block, ``$ command`` is run by bash in a temporary folder, with ``upcare`` on the
path and ``parties`` and ``scripts`` at hand; the lines below it are what it prints on both
outputs. ``command &`` goes on running: its lines are awaited. ``...`` stands for anything on a
line (digests, times), alone on a line for any number of lines. A block ``toml PATH`` is a file
that somebody writes. Ports 7443 and 7444 stand for free ones.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from upcare_mpc.cli.local.network import _free_ports

pytestmark = pytest.mark.parties

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
_BLOCK = re.compile(r"^```(console|toml)[ ]?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
AWAIT_S = 30.0


@dataclass
class Shell:
    """Runs one transcript in a folder."""

    folder: Path
    ports: dict[str, str]
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def write(self, path: str, content: str) -> None:
        """Write a file of the transcript."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self._here(content), "utf-8")

    def run(self, command: str, expected: list[str]) -> None:
        """Run one command and compare what it prints; one with ``&`` until it has printed it."""
        output = self.folder / f".output-{len(list(self.folder.glob('.output-*')))}"
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "COLUMNS": "100",
        }
        with output.open("wb") as file:
            process = subprocess.Popen(
                ["bash", "-c", "exec " * command.endswith("&") + self._here(command.rstrip("& "))],
                cwd=self.folder,
                stdout=file,
                stderr=file,
                env=environment,
                start_new_session=True,
            )
        self.running.append(process)
        wanted = re.compile("".join(map(_pattern, expected)))
        deadline = time.monotonic() + AWAIT_S
        while True:
            ended = process.poll() is not None
            printed = self._there(output.read_text("utf-8", "replace"))
            matches = wanted.fullmatch(printed) is not None
            if matches and (ended or command.endswith("&")):
                return
            if ended or time.monotonic() > deadline:
                story = "\n".join(expected)
                raise AssertionError(f"$ {command}\nwanted:\n{story}\n\ngot:\n{printed}")
            time.sleep(0.05)

    def end(self) -> None:
        """End what this transcript started and still runs."""
        for process in self.running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in self.running:
            process.wait(timeout=15)

    def _here(self, text: str) -> str:
        for written, real in self.ports.items():
            text = text.replace(written, real)
        return text

    def _there(self, text: str) -> str:
        for written, real in self.ports.items():
            text = text.replace(f":{real}", f":{written}")
        return text


def _pattern(line: str) -> str:
    """The regular expression of one expected line, its end included."""
    if line == "...":
        return "(?:.*\n)*"
    return ".*".join(map(re.escape, line.split("..."))) + r"[ ]*\n"


def _commands(block: str) -> Iterator[tuple[str, list[str]]]:
    """Each command of a console block with the lines below it."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, *expected = part.splitlines()
        yield command, expected


@contextmanager
def _shell(folder: Path) -> Iterator[Shell]:
    for name in ("parties", "scripts"):
        (folder / name).symlink_to(REPOSITORY / name)
    first, second = map(str, _free_ports(2))
    shell = Shell(folder, {"7443": first, "7444": second})
    try:
        yield shell
    finally:
        shell.end()


FIRST = {"demo", "ingest"}  # also in `make test`


@pytest.mark.parametrize(
    "transcript",
    [
        pytest.param(path, id=path.stem, marks=[] if path.stem in FIRST else [pytest.mark.slow])
        for path in sorted(HERE.glob("*.md"))
    ],
)
def test_the_transcript_is_what_happens(transcript: Path, tmp_path: Path) -> None:
    with _shell(tmp_path) as shell:
        for language, path, content in _BLOCK.findall(transcript.read_text("utf-8")):
            if language == "toml":
                shell.write(path, content)
                continue
            for command, expected in _commands(content):
                shell.run(command, expected)


def test_a_transcript_that_is_not_true_is_noticed(tmp_path: Path) -> None:
    with _shell(tmp_path) as shell, pytest.raises(AssertionError, match="got:\nhello"):
        shell.run("echo hello", ["good-bye"])
