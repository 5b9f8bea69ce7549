"""`upcare access issue --watch` goes on when the platform fails, and stops at its own faults."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from upcare_mpc.cli import access as module
from upcare_mpc.cli.main import upcare
from upcare_mpc.errors import ConfigError, LinkError, ProtocolError, RefusedError, UpcareError


def test_what_the_platform_says_this_time_does_not_end_the_watch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    said: list[UpcareError] = [
        LinkError("away"),
        RefusedError("internal"),
        ProtocolError("rubbish"),
        ConfigError("the end"),
    ]

    def fail(_: object) -> None:
        raise said.pop(0)

    monkeypatch.setattr(module, "_issue", fail)
    monkeypatch.setattr("upcare_mpc.cli.access.time.sleep", lambda _: None)

    result = CliRunner().invoke(
        upcare, ["access", "issue", "--party", str(tmp_path), "--watch", "1"]
    )

    assert isinstance(result.exception, ConfigError)
    assert result.stderr.splitlines() == [
        f"{why}; trying again" for why in ("away", "internal", "rubbish")
    ]
