"""The notebooks in docs/notebooks: what is kept of their outputs, and that they run as kept."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
MAX_BYTES = 500_000
ELSEWHERE = re.compile(r"(?<![\w./])/(?:home|root|tmp|work|usr|opt|Users)\b|C:\\\\Users")

notebooks = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))["cells"]
    return found


def outputs(path: Path) -> Iterator[dict[str, Any]]:
    for cell in cells(path):
        yield from cell.get("outputs", ())


def test_there_are_two_notebooks() -> None:
    names = [path.name for path in NOTEBOOKS]

    assert names == ["first_question.ipynb", "incidence_and_regression.ipynb"]


@notebooks
def test_a_notebook_was_run_from_its_top_to_its_end(path: Path) -> None:
    code = [cell for cell in cells(path) if cell["cell_type"] == "code"]

    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert not [output for output in outputs(path) if output["output_type"] == "error"]
    assert not [output for output in outputs(path) if output.get("name") == "stderr"]


@notebooks
def test_pictures_are_in_the_file_as_pictures(path: Path) -> None:
    forms = [form for output in outputs(path) for form in output.get("data", ())]

    assert "image/png" in forms or "image/svg+xml" in forms
    assert not [form for form in forms if "vega" in form or "javascript" in form]


@notebooks
def test_a_notebook_is_small_and_says_nothing_of_the_machine_it_ran_on(path: Path) -> None:
    text = path.read_text("utf-8")
    pictures = re.compile(r'"image/png": "[^"]*"')

    assert len(text) < MAX_BYTES
    assert ELSEWHERE.findall(pictures.sub("", text)) == []
    assert "iopub.execute_input" not in text  # times of execution
    assert json.loads(text)["metadata"].keys() == {"kernelspec", "language_info"}


@pytest.mark.parametrize("text", ["in /home/me/x", "'/tmp/y'", '"C:\\\\Users\\\\me"'])
def test_a_path_of_a_machine_would_be_seen(text: str) -> None:
    assert ELSEWHERE.findall(text)


@pytest.mark.slow
@pytest.mark.parties
@notebooks
def test_a_notebook_runs_as_it_is_kept_on_a_fresh_network(path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "notebooks.py"), "--check", path.name]

    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    assert (ran.returncode, ran.stderr) == (0, "")
