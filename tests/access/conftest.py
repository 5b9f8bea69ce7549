import sys
from pathlib import Path

# hall.py, applications.py; ceremonies.py
for folder in ("access", "abe"):
    sys.path.insert(0, str(Path(__file__).parents[1] / folder))
