import sys
from pathlib import Path

# registries.py, opened_world.py, desks.py, applications.py, ceremonies.py, vault_world.py, ...
for folder in ("node", "client", "authority", "access", "abe", "attacks"):
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))
