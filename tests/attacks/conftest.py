import sys
from pathlib import Path

for folder in ("node", "sessions", "attacks", "abe"):  # registries.py, fragile_network.py, ...
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))
