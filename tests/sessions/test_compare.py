"""The side-by-side comparison, on the five registries of the demonstration."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.parties, pytest.mark.slow]

ROOT = Path(__file__).parents[2]


def test_one_joint_noise_is_nearer_to_the_truth_than_the_other_ways() -> None:
    """A real answer is within 8 root mean squares: further off once in 10^4 runs or less."""
    command = [sys.executable, "scripts/compare.py", "--repeats", "40", "--json"]
    printed = subprocess.run(command, check=True, capture_output=True, cwd=ROOT, timeout=120)

    report = json.loads(printed.stdout)

    survival, table = report["questions"]
    assert report["epsilon"] == 0.28
    assert survival["truth"] == [75.2, 67.3]
    assert table["truth"] == [33, 163, 50, 48, 281, 111]
    for question in (survival, table):
        answers = question["answers"]
        ours = answers["UPCARE"]
        assert answers["independent local noise"]["error"] > 1.5 * ours["error"]
        assert answers["federated search"]["error"] > 1.5 * ours["error"]
        for found, truth in zip(ours["once"], question["truth"], strict=True):
            assert abs(found - truth) < 8 * ours["error"]
    shown = table["answers"]["federated search"]["once"]
    assert all(count % 10 == 0 for count in shown)


def test_the_table_in_the_documents_is_what_the_script_prints(tmp_path: Path) -> None:
    command = [sys.executable, "scripts/utility.py", "--only", "counts", "--figures", str(tmp_path)]

    ran = subprocess.run(command, check=True, capture_output=True, cwd=ROOT, timeout=120, text=True)

    title, _, table = ran.stdout.strip().partition("\n\n")
    written = (ROOT / "docs" / "utility.md").read_text("utf-8")
    assert title.partition(" ")[2] in written
    assert table in written
    drawn = (tmp_path / "utility-counts.svg").read_text("utf-8")
    assert drawn.startswith("<svg")
