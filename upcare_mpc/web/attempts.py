"""A limit on wrong codes, for all visitors together: nobody is told apart by an address.

After `MOST` wrong codes within `WINDOW_S` none is looked at until some of them are older than that.
Guessing one of 2^80 is hopeless without it; it keeps a flood off the database. What it costs:
whoever floods the page keeps patients from entering while that lasts. Visits that have begun are
not touched.
"""

import threading
from collections import deque
from typing import Final

__all__ = ["MOST", "WINDOW_S", "Attempts"]

MOST: Final = 30
WINDOW_S: Final = 60.0


class Attempts:
    """The wrong codes of the last while; safe for several threads."""

    def __init__(self) -> None:
        self._wrong: deque[float] = deque(maxlen=MOST)
        self._lock = threading.Lock()

    def allowed(self, now: float) -> bool:
        """Say whether a code may be looked at.

        Args:
            now: Seconds, of a clock that does not go back.
        """
        with self._lock:
            return len(self._wrong) < MOST or now - self._wrong[0] > WINDOW_S

    def wrong(self, now: float) -> None:
        """Count a wrong code."""
        with self._lock:
            self._wrong.append(now)
