import sys
from pathlib import Path

import pytest

# desks.py, applications.py, ceremonies.py, ...
for folder in ("authority", "access", "abe", "sessions", "node", "storage", "consent"):
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))

from desks import Desk, MemoryBoard  # noqa: E402


@pytest.fixture
def board() -> MemoryBoard:
    return MemoryBoard()


@pytest.fixture
def desks(tmp_path: Path, board: MemoryBoard) -> dict[str, Desk]:
    """A committee of three, and a registry that has records and is not in it."""
    return {name: Desk(tmp_path, board, name) for name in ("de-a", "de-b", "de-c", "fr-a")}
