import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # joint.py, rlwe_by_the_page.py

from joint import Joint, deal


@pytest.fixture(scope="session")
def joint() -> Joint:
    """A key of three holders."""
    return deal(3, os.urandom)
