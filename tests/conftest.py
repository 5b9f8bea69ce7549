"""For all tests."""

import asyncio
import math
import sys
from typing import Any

import pytest

# It is the first to load py_ecc, and puts back the limit of recursion that py_ecc raises.
import upcare_mpc.abe.group_py_ecc  # noqa: F401


@pytest.fixture(autouse=True)
def _counting_takes_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes in a test's own process, many of them on a busy machine, count without a clock.

    That an approval leaves at a time that follows from the study's text alone is tested in
    ``attacks/test_timing_of_an_approval.py``.
    """
    session = sys.modules.get("upcare_mpc.node.session")
    if session is not None:
        monkeypatch.setattr(session, "_count", _count)
        monkeypatch.setattr(session, "PREPARE_S", -math.inf)


async def _count(snapshot: Any, question: Any, use: Any, *, until: float) -> bytes:
    vector: bytes = await asyncio.to_thread(snapshot.tabulate, question.kind, use)
    return vector
