import sys
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
for folder in ("api", "node", "client", "coordinator"):  # interface.py, registries.py, ...
    sys.path.insert(0, str(TESTS / folder))

import pytest  # noqa: E402 - after the path
from interface import Interface  # noqa: E402


@pytest.fixture
def interface() -> Iterator[Interface]:
    """A public interface in this process, before a platform in memory."""
    with Interface() as found:
        yield found
