"""`upcare local`: one command, one answer, and nothing left behind."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fragile_network import PARTIES, wait_for

pytestmark = pytest.mark.parties

STUDY = """version = 1
title = "Grades"
kind = "counts"
purpose = "DUO:0000007"
registries = ["de-a", "de-b", "de-c"]
overlap = 1
[cohort]
where = "site = 'C50'"
[privacy]
epsilon = 40
[counts]
by = ["grade"]
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A temporary folder with a short name: the path of a Unix socket has 100 characters."""
    with tempfile.TemporaryDirectory(prefix="up-") as name:
        yield Path(name)


def start(folder: Path) -> "subprocess.Popen[str]":
    """Start ``upcare local --json``, its temporary files below ``folder``."""
    (folder / "study.toml").write_text(STUDY, "utf-8")
    data = [f"--data={name}={PARTIES / name}" for name in ("de-a", "de-b", "de-c")]
    study = str(folder / "study.toml")
    return subprocess.Popen(
        [sys.executable, "-m", "upcare_mpc", "local", *data, "--study", study, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder)},
    )


def test_json_is_one_object_of_the_promised_shape(folder: Path) -> None:
    out, err = start(folder).communicate(timeout=60)

    answer = json.loads(out)
    assert err == ""
    assert answer.keys() == {"study_digest", "label", "result", "registries", "seconds"}
    assert answer["label"].keys() >= {
        "mechanism",
        "epsilon",
        "delta",
        "scale",
        "unit",
        "overlap",
        "shares_checked",
    }
    assert answer["result"]["rows"][0].keys() == {"grade", "count", "dp_low", "dp_high"}
    assert [row["count"] for row in answer["result"]["rows"]][3] == 0
    spent = {"epsilon": 40.0, "rho": 800.0, "delta": answer["label"]["delta"]}
    assert answer["registries"] == [
        {"name": name, "role": "computing", "spent": spent} for name in ("de-a", "de-b", "de-c")
    ]
    assert list(folder.glob("upcare-*")) == []


@pytest.mark.slow
def test_ended_in_the_middle_it_leaves_no_key_and_no_process(folder: Path) -> None:
    process = start(folder)
    wait_for(
        lambda: any(folder.glob("upcare-*/de-c.log")),
        within_s=30,
        what="all nodes are started",
    )
    time.sleep(0.5)

    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)

    assert process.returncode == 1
    assert err.strip() == "upcare: error: interrupted"
    assert list(folder.glob("upcare-*")) == []
