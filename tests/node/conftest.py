import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
for folder in ("node", "storage", "consent", "attacks"):  # registries.py, vault_world.py, ...
    sys.path.insert(0, str(TESTS / folder))
