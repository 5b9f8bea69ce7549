"""What the two long-lived commands share: running until told to stop, and lines of log."""

import asyncio
import datetime
import os
import signal
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from upcare_mpc.storage.durable import held

__all__ = ["hold", "log_line", "run_until_stopped"]


@contextmanager
def hold(state: Path, what: str) -> Iterator[None]:
    """Make a state folder if there is none, and keep every second process away from it.

    Raises:
        ConfigError: A process holds it.
    """
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    with held(state / f"{what}.lock", f"a {what} is running on this folder already"):
        yield


def log_line(who: str, text: str) -> None:
    """Write one line of log to standard error."""
    time = datetime.datetime.now(datetime.UTC).strftime("%H:%M:%S")
    print(f"{time} {who}: {text}", file=sys.stderr, flush=True)


def run_until_stopped(work: Coroutine[Any, Any, None], *, with_parent: bool) -> None:
    """Run until SIGTERM or SIGINT, or until standard input ends if ``with_parent``."""

    async def supervise() -> None:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, task.cancel)
        if with_parent:
            loop.add_reader(sys.stdin.fileno(), _stop_at_end_of_input, task)
        try:
            await task
        except asyncio.CancelledError:
            return

    asyncio.run(supervise())


def _stop_at_end_of_input(task: "asyncio.Future[None]") -> None:
    if not os.read(sys.stdin.fileno(), 1024):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        task.cancel()
