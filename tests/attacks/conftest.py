import sys
from pathlib import Path

for folder in ("node", "sessions", "attacks"):  # registries.py, fragile_network.py, noise_spies.py
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))
