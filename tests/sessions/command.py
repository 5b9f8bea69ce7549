"""The `upcare` command as a person runs it: another process, its output and its status."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Ran", "upcare"]


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    status: int
    out: str
    err: str


def upcare(*arguments: str, cwd: Path | None = None, within_s: float = 60.0) -> Ran:
    """Run ``upcare`` with these arguments to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "upcare_mpc", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=within_s,
        check=False,
        env={**os.environ, "COLUMNS": "100"},
    )
    return Ran(done.returncode, done.stdout, done.stderr)
