"""Running ``upcare`` inside the test: its output, its status, and no traceback, ever."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from upcare_mpc.cli.main import run

for _folder in (  # said.py, vault_world.py, gathering.py, asking.py, ...
    *("consent", "attacks", "client"),
    *("web", "he", "storage", "access", "abe"),
):
    sys.path.insert(0, str(Path(__file__).parents[1] / _folder))


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    status: object
    out: str
    err: str


@pytest.fixture
def upcare(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Ran]:
    """Run one command to its end."""
    monkeypatch.setenv("COLUMNS", "80")

    def command(*arguments: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["upcare", *arguments])
        with pytest.raises(SystemExit) as end:
            run()
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return Ran(end.value.code, out, err)

    return command
