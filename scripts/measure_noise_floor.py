#!/usr/bin/env python
"""What drawing noise takes without a network: three parties in one process, messages in memory.

    python scripts/measure_noise_floor.py 1000000

Prints, for discrete Laplace noise of scale 10, the CPU seconds of one party, the bytes of AES
keystream that a party makes for each cell, and the bytes that all parties together move for it.
"""

import asyncio
import sys
import time
from fractions import Fraction

from upcare_mpc.link.memory import MemoryChannel, connect
from upcare_mpc.mpc import prss
from upcare_mpc.mpc.engine import Engine
from upcare_mpc.mpc.field import Words
from upcare_mpc.mpc.programs.noisy_sum import draw_noise
from upcare_mpc.privacy.laplace import sample_law
from upcare_mpc.study.layout import Sensitivity

PARTIES = 3
LAW = sample_law(Fraction(10), Sensitivity(d0=1, d1=1, dinf=1))


class CountingStream(prss.Stream):
    """A stream that counts what is read from all streams."""

    total = 0

    def fill(self, out: Words) -> None:
        """Write the next words into ``out``."""
        CountingStream.total += out.nbytes
        super().fill(out)


async def draw(channels: list[MemoryChannel], cells: int) -> float:
    """Draw the noise at all parties; CPU seconds of all."""
    engines = [
        Engine(channel, parties=PARTIES, threshold=1, session=bytes(32), program="floor/1")
        for channel in channels
    ]
    await asyncio.gather(*[engine.agree_keys() for engine in engines])
    start = time.process_time()
    async with asyncio.TaskGroup() as group:
        for engine in engines:
            engine.branch(draw_noise(engine, LAW, cells), group=group)
    return time.process_time() - start


def main() -> None:
    """Entry point."""
    cells = int(sys.argv[1])
    prss.Stream = CountingStream  # type: ignore[misc]
    channels = connect(PARTIES)
    seconds = asyncio.run(draw(channels, cells)) / PARTIES
    moved = sum(channel.bytes_sent for channel in channels)
    sys.stdout.write(
        f"CPU seconds of a party: {seconds:.3f}\n"
        f"AES bytes a cell and party: {CountingStream.total / PARTIES / cells:.1f}\n"
        f"bytes moved a cell: {moved / cells:.1f}\n"
    )


if __name__ == "__main__":
    main()
