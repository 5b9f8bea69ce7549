import sys
from pathlib import Path

# registries.py, fragile_network.py, frozen_cases.py, said.py, ...
for folder in (
    *("node", "sessions", "storage", "consent", "attacks", "abe", "access", "authority"),
    *("coordinator", "api", "client", "he", "mpc", "web"),
):
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))
