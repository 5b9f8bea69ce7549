"""Real processes on loopback: networks that tests share, and the modules that make them."""

import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
for folder in ("node", "storage", "consent", "attacks", "sessions"):  # sealed_registry.py, ...
    sys.path.insert(0, str(TESTS / folder))
