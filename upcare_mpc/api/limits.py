"""How much anybody gets: requests a second, open stories, remembered answers. All of it bounded.

A key costs nothing to make, so a limit for each key holds back a mistake and not an attacker; the
limit for each address is there for him. Whoever has many addresses gets many times as much.
"""

import asyncio
import hashlib
import ipaddress
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

from upcare_mpc.api.problems import ProblemError

__all__ = ["Answers", "Buckets", "Limits", "Streams", "Turns", "address_of"]

_SITE_BITS: Final = 64  # of IPv6: what one customer of a provider has


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The figures; docs/api.md states them.

    Attributes:
        body_bytes: Of a request: a study of 64 KiB, quoted as a JSON string, and some more.
        body_s: How long a body may take to arrive.
        address_rate: Requests a second of one address, in the long run.
        address_burst: And at once.
        key_rate: Requests a second with tokens of one key, in the long run.
        key_burst: And at once.
        tracked: Addresses, and keys, that are told apart; beyond, those silent longest are
            forgotten.
        streams: Stories that are open at once.
        streams_a_key: Of one key.
        stream_s: How long one stays open.
        beat_s: A story says something at least this often.
        previews: That are worked out at once; it can take seconds of a processor.
        preview_s: How long others wait for their turn.
        answers: Idempotency keys that are remembered.
        answers_s: For how long.
    """

    body_bytes: int = 160 << 10
    body_s: float = 10.0
    address_rate: float = 20.0
    address_burst: int = 200
    key_rate: float = 10.0
    key_burst: int = 100
    tracked: int = 10_000
    streams: int = 64
    streams_a_key: int = 4
    stream_s: float = 1800.0
    beat_s: float = 15.0
    previews: int = 2
    preview_s: float = 20.0
    answers: int = 10_000
    answers_s: float = 24 * 3600.0


def address_of(host: str) -> str:
    """Name whom an address belongs to, as far as it tells."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.version == 4:
        return host
    return str(ipaddress.ip_network((address, _SITE_BITS), strict=False))


class Buckets:
    """A token bucket for each of many names.

    Args:
        rate: Tokens a second.
        burst: Tokens at most.
        most: Names that are told apart.
    """

    def __init__(self, *, rate: float, burst: int, most: int) -> None:
        self._rate = rate
        self._burst = burst
        self._most = most
        self._left: OrderedDict[object, tuple[float, float]] = OrderedDict()

    def take(self, name: object, now: float) -> None:
        """Take a token.

        Args:
            name: Whose.
            now: Seconds, of a clock that does not go back.

        Raises:
            ProblemError: There is none.
        """
        left, since = self._left.pop(name, (float(self._burst), now))
        left = min(self._burst, left + (now - since) * self._rate)
        taken = left >= 1
        self._left[name] = (left - 1 if taken else left, now)
        if len(self._left) > self._most:
            self._left.popitem(last=False)
        if not taken:
            wait = max(1, round((1 - left) / self._rate))
            raise ProblemError(
                "limit",
                f"wanted at most {self._rate:g} requests a second",
                headers={"Retry-After": str(wait)},
            )


class Turns:
    """Lets so many work at once; others wait for their turn."""

    def __init__(self, *, most: int, seconds: float) -> None:
        self._free = asyncio.Semaphore(most)
        self._seconds = seconds

    async def __aenter__(self) -> None:
        """Wait for a turn.

        Raises:
            ProblemError: It does not come in time.
        """
        try:
            async with asyncio.timeout(self._seconds):
                await self._free.acquire()
        except TimeoutError:
            raise ProblemError(
                "limit", "too many others are waiting for this", headers={"Retry-After": "20"}
            ) from None

    async def __aexit__(self, *_: object) -> None:
        self._free.release()


class Streams:
    """Counts the stories that are open."""

    def __init__(self, *, most: int, most_a_key: int) -> None:
        self._most = most
        self._most_a_key = most_a_key
        self._open: dict[bytes, int] = {}

    def enter(self, key: bytes) -> None:
        """Count one more.

        Raises:
            ProblemError: There are as many as there may be.
        """
        mine = self._open.get(key, 0)
        if mine >= self._most_a_key or sum(self._open.values()) >= self._most:
            whose = "of one key" if mine >= self._most_a_key else "of all keys"
            most = self._most_a_key if mine >= self._most_a_key else self._most
            raise ProblemError(
                "limit",
                f"wanted at most {most} open stories {whose}",
                headers={"Retry-After": "5"},
            )
        self._open[key] = mine + 1

    def leave(self, key: bytes) -> None:
        """Count one less."""
        self._open[key] -= 1
        if not self._open[key]:
            del self._open[key]


class Answers:
    """Answers given under an Idempotency-Key of a researcher's.

    They are kept in memory: after a restart the same request is answered afresh, which changes
    nothing, since a study is the same study wherever its digest is the same.
    """

    def __init__(self, *, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._kept: OrderedDict[tuple[bytes, str], tuple[float, bytes, Any]] = OrderedDict()

    def find(self, key: bytes, name: str, body: bytes, now: float) -> Any:
        """Return the answer given before, None if there is none.

        Raises:
            ProblemError: It was given to another request.
        """
        kept = self._kept.get((key, name))
        if kept is None or now - kept[0] > self._seconds:
            return None
        if kept[1] != hashlib.sha256(body).digest():
            raise ProblemError(
                "idempotency", "wanted the same request as before, or another Idempotency-Key"
            )
        return kept[2]

    def keep(self, key: bytes, name: str, body: bytes, answer: Any, now: float) -> None:
        """Remember an answer."""
        self._kept[key, name] = (now, hashlib.sha256(body).digest(), answer)
        self._kept.move_to_end((key, name))
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
