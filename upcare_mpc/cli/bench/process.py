"""A measurement in a process of its own, on one core."""

import os
import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import ParamSpec, TypeVar

__all__ = ["apart", "peak_mb"]

_P = ParamSpec("_P")
_T = TypeVar("_T")


def apart(work: Callable[_P, _T], *arguments: _P.args, **named: _P.kwargs) -> _T:
    """Do it in a new process, which loads what it needs and nothing else."""
    with ProcessPoolExecutor(
        max_workers=1, mp_context=get_context("spawn"), initializer=_use_one_core
    ) as pool:
        return pool.submit(work, *arguments, **named).result()


def peak_mb() -> float:
    """Of this process alone: the peak in its resource usage is inherited from its parent."""
    status = Path("/proc/self/status").read_text("ascii")
    (kib,) = re.findall(r"^VmHWM:\s*([0-9]+) kB$", status, re.MULTILINE)
    return int(kib) / 1024


def _use_one_core() -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
