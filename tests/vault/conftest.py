import sys
from pathlib import Path

# by_the_page.py, vault_world.py, trees.py, frozen_cases.py
for folder in ("vault", "attacks", "abe", "storage"):
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))
