import sys
from pathlib import Path

for folder in ("audit", "mpc"):  # for the modules beside this file, and for laws.py
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))
