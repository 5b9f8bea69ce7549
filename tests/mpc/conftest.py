"""Several computing parties in one process, linked in memory."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from upcare_mpc.link.memory import connect
from upcare_mpc.mpc.engine import Engine

SESSION = bytes(range(32))
sys.path.insert(0, str(Path(__file__).parent))  # for laws.py


@pytest.fixture
def together() -> Callable[..., list[Any]]:
    """Run one coroutine function at every computing party, each in a branch of its engine.

    MPyC's secure types need one process a party; lanes of bits and shares do not.
    """

    def run(parties: int, threshold: int, work: Callable[[Engine], Awaitable[Any]]) -> list[Any]:
        async def session() -> list[Any]:
            engines = [
                Engine(
                    channel, parties=parties, threshold=threshold, session=SESSION, program="test/1"
                )
                for channel in connect(parties)
            ]
            await asyncio.gather(*[engine.agree_keys() for engine in engines])
            async with asyncio.TaskGroup() as group:
                tasks = [engine.branch(work(engine), group=group) for engine in engines]
            return [task.result() for task in tasks]

        return asyncio.run(asyncio.wait_for(session(), 20))

    return run
