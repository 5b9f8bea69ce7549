import sys
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
for folder in ("web", "storage", "access", "abe"):  # house.py, frozen_cases.py, applications.py
    sys.path.insert(0, str(TESTS / folder))

import pytest  # noqa: E402 - after the path
from house import House  # noqa: E402


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A registry with three patients, its page and its clock."""
    with House(tmp_path) as found:
        yield found
