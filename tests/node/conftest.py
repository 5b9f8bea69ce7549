import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
for folder in (  # registries.py, vault_world.py, asking.py, ...
    *("node", "storage", "consent", "attacks"),
    *("web", "client", "he", "access", "abe"),
):
    sys.path.insert(0, str(TESTS / folder))
