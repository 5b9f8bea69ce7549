import sys
from pathlib import Path

for folder in ("node", "coordinator"):  # for registries.py and announced.py
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))
