import sys
from pathlib import Path

for folder in ("node", "sessions"):  # for registries.py and fragile_network.py
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))
