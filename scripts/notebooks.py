"""Run the notebooks of docs/notebooks on the demo network, from a fresh start.

    python scripts/notebooks.py            run them and keep their outputs
    python scripts/notebooks.py --check    run them and compare with what is kept

What a cell prints is compared word for word, unless the cell is tagged ``noise``: what is drawn
differs from run to run, and only the forms of its outputs are compared. Pictures are not compared.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from traitlets.config import Config

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "docs" / "notebooks"
START_S = 60.0
CELL_S = 120
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def main() -> int:
    """Run all notebooks, or those named; return how many are not as they were."""
    names = [name for name in sys.argv[1:] if name != "--check"]
    paths = [NOTEBOOKS / name for name in names] or sorted(NOTEBOOKS.glob("*.ipynb"))
    wrong = 0
    for path in paths:
        kept = nbformat.read(path, as_version=4)
        ran = run(kept)
        if "--check" not in sys.argv:
            nbformat.write(ran, path)
            continue
        for line in differences(kept, ran):
            wrong += 1
            sys.stderr.write(f"{path.name}: {line}\n")
    return min(wrong, 1)


def run(notebook: Any) -> Any:
    """Run a notebook on a network of its own; return it with its outputs and nothing else."""
    ran = nbformat.from_dict(notebook)
    with tempfile.TemporaryDirectory(prefix="upcare-") as folder:
        researcher = Path(folder) / "me"
        network = start(researcher)
        try:
            client = NotebookClient(
                ran,
                timeout=CELL_S,
                kernel_name="python3",
                record_timing=False,
                resources={"metadata": {"path": str(NOTEBOOKS)}},
                config=Config({"KernelManager": {"transport": "ipc", "ip": f"{folder}/kernel"}}),
            )
            os.environ["UPCARE_RESEARCHER"] = str(researcher)
            client.execute()
        finally:
            network.send_signal(signal.SIGTERM)
            network.wait(timeout=30)
    ran.metadata = nbformat.from_dict(METADATA)
    for cell in ran.cells:
        if "outputs" in cell:
            cell.outputs = joined(cell.outputs)
    return ran


def joined(outputs: list[Any]) -> list[Any]:
    """Put together what was printed piece by piece, however it arrived."""
    whole: list[Any] = []
    for output in outputs:
        last = whole[-1] if whole else {}
        if output.output_type == "stream" and last.get("name") == output.name:
            last["text"] += output.text
        else:
            whole.append(output)
    return whole


def start(researcher: Path) -> "subprocess.Popen[bytes]":
    """Start the demo network; it runs when the researcher's keys are there."""
    command = [sys.executable, "-m", "upcare_mpc", "demo", "--parties", str(ROOT / "parties")]
    log = researcher.with_name("log")
    with log.open("wb") as output:
        network = subprocess.Popen(  # noqa: S603  our own program, fixed arguments
            [*command, "--serve", str(researcher)], stdout=output, stderr=output
        )
    deadline = time.monotonic() + START_S
    while b"are running" not in log.read_bytes():
        if network.poll() is not None or time.monotonic() > deadline:
            network.kill()
            raise SystemExit(f"the demo network did not start:\n{log.read_text('utf-8')}")
        time.sleep(0.1)
    return network


def differences(kept: Any, ran: Any) -> list[str]:
    """One line for each cell whose outputs are not those that are kept."""
    pairs = zip(kept.cells, ran.cells, strict=True)
    return [
        f"cell {number}: kept {said(before)}, got {said(after)}"
        for number, (before, after) in enumerate(pairs)
        if said(before) != said(after)
    ]


def said(cell: Any) -> list[Any]:
    """What a cell has said, as far as it is the same in each run."""
    noise = "noise" in cell.metadata.get("tags", ())
    outputs: list[Any] = []
    for output in cell.get("outputs", ()):
        data = output.get("data", {})
        forms = sorted(data) if data else [output.get("name", output.output_type)]
        text = data.get("text/plain", output.get("text", ""))
        pictured = noise or any(form.startswith("image/") for form in forms)
        outputs.append(forms if pictured else [*forms, text])
    return outputs


if __name__ == "__main__":
    sys.exit(main())
