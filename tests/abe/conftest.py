import sys
from pathlib import Path

import pytest

from upcare_mpc.abe.groups import Group, default_group, reference_group

sys.path.insert(0, str(Path(__file__).parent))  # trees.py, generic_group.py

GROUPS = {group.backend.name: group for group in (default_group(), reference_group())}


@pytest.fixture(params=["arkworks", pytest.param("py_ecc", marks=pytest.mark.slow)])
def group(request: pytest.FixtureRequest) -> Group:
    """Both backends, one after the other; the slow one in the whole suite."""
    return GROUPS[request.param]


@pytest.fixture
def fast() -> Group:
    return GROUPS["arkworks"]


@pytest.fixture
def reference() -> Group:
    return GROUPS["py_ecc"]
