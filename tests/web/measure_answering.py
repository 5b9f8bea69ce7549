"""How long a patient's browser takes for a questionnaire of 100 cells, and what it sends.

    python tests/web/measure_answering.py

Prints one JSON object an envelope, medians of seven. The registry's page is in this process, and
its platform too; the browser is a real Chromium.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

for _folder in ("web", "storage", "access", "abe", "client", "he"):
    sys.path.insert(0, str(Path(__file__).parents[1] / _folder))

from asking import Asking  # noqa: E402
from phones import CHROMIUM  # noqa: E402
from playwright.sync_api import Page, sync_playwright  # noqa: E402

QUESTIONS, OPTIONS, TIMES = 10, 10, 7
# Seconds of the worker's two steps, with another key and ticket than a deposit's; and tasks of the
# page that took longer than 50 ms.
STEPS = """async (place) => {
  const long = [];
  new PerformanceObserver((list) => {
    for (const one of list.getEntries()) long.push(one.duration);
  }).observe({ entryTypes: ["longtask"] });
  const description = await (await fetch(`${place}/key`)).json();
  const worker = new Worker("/script/worker.js", { type: "module" });
  const ask = (message) => new Promise((resolve) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.postMessage(message);
  });
  const started = performance.now();
  await ask({ description, chosen: Array(10).fill(3) });
  const half = performance.now();
  await ask({ ticket: btoa("a ticket"), certificate: "a certificate" });
  const end = performance.now();
  await new Promise((resolve) => setTimeout(resolve, 300));
  return [(half - started) / 1000, (end - half) / 1000, long.length];
}"""


def study() -> str:
    options = ", ".join(f'"option {number}"' for number in range(OPTIONS))
    return "".join(
        f'[[questionnaire.questions]]\ntext = "Question {number}?"\noptions = [{options}]\n'
        for number in range(QUESTIONS)
    )


def opened(page: Page, served: str, asking: Asking, patient: str) -> None:
    page.goto(f"{served}en/")
    page.fill("#code", asking.code(patient))
    page.click("main button")
    page.goto(f"{served}en/{asking.place}")


def measured(envelope: str, browser: Any) -> dict[str, Any]:
    uploads, steps = [], []
    with (
        tempfile.TemporaryDirectory() as folder,
        Asking(Path(folder), envelope=envelope, questions=study()) as asking,
        asking.served() as served,
    ):
        for number in range(TIMES):
            page = browser.new_page()
            opened(page, served, asking, f"P-{number}")
            steps.append(page.evaluate(STEPS, f"/en/{asking.place}"))
            for question in range(QUESTIONS):
                page.check(f'input[name=q{question}][value="{question % OPTIONS}"]')
            started = time.perf_counter()
            with page.expect_request("**/deposit"):
                page.click("form[data-place] button")
            uploads.append(time.perf_counter() - started)
            page.wait_for_selector(".state.yes")
            page.close()
        begin, finish, long = (median(column) for column in zip(*steps, strict=True))
        return {
            "envelope": envelope,
            "tap_to_upload_s": round(median(uploads), 2),
            "check_and_encrypt_s": round(begin, 2),
            "prove_and_sign_s": round(finish, 2),
            "long_tasks_of_the_page": long,
            "bytes": len(asking.platform.deposits[0]),
        }


if __name__ == "__main__":
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        for name in ("rlwe", "sealed"):
            found = {"chromium": chromium.version} | measured(name, chromium)
            sys.stdout.write(json.dumps(found) + "\n")
        chromium.close()
