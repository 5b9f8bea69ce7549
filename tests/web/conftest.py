import sys
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
for folder in (
    "web",
    "storage",
    "access",
    "abe",
    "client",
    "he",
):  # house.py, gathering.py and others
    sys.path.insert(0, str(TESTS / folder))

import pytest  # noqa: E402 - after the path
from asking import Asking  # noqa: E402
from house import House  # noqa: E402
from phones import CHROMIUM  # noqa: E402
from playwright.sync_api import Browser, sync_playwright  # noqa: E402


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A registry with three patients, its page and its clock."""
    with House(tmp_path) as found:
        yield found


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser; closed before another module's tests, as its loop is in the way of others."""
    if not CHROMIUM.exists():
        pytest.skip(f"NOT TESTED: there is no {CHROMIUM}, so no page was seen in a browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def asking(tmp_path: Path) -> Iterator[Asking]:
    """The same registry, in a network whose platform lists a questionnaire."""
    with Asking(tmp_path) as found:
        yield found
