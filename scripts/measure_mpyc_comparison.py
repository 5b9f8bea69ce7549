"""How long MPyC's own secure comparison takes for the small-cell rule, to hold ours against.

    python scripts/measure_mpyc_comparison.py CELLS -M3 --sec-param 42

MPyC starts three processes on this machine, linked by its own TCP without TLS. Noisy values are
shared mod 2^61 - 1, as in a release. Two times: their conversion to MPyC's secure integers, whose
field is larger, and the comparison there with the opening of one bit a cell. ``--sec-param 42``
makes masks of 40 bits with three parties: MPyC divides 2^42 by C(3, 1) and rounds down to a power
of two. ``bytes`` are of all parties together, three times those of party 0.
"""

import json
import sys
import time

from mpyc.runtime import mpc

PRIME = 2**61 - 1
OFFSET = 2**59  # MPyC's conversion is for numbers in [0, PRIME)
BOUND = 5


async def main() -> None:
    """Convert, compare, check the bits, and print the times."""
    values = [index % 21 - 10 for index in range(int(sys.argv[1]))]
    await mpc.start()
    integer = mpc.SecInt(64)
    field = mpc.SecFld(modulus=PRIME)
    shared = mpc.input([field(value + OFFSET) for value in values], senders=0)
    await mpc.gather(shared)
    await mpc.barrier()

    start = time.perf_counter()
    converted = await mpc.gather(mpc.convert(shared, integer))
    await mpc.barrier()
    convert_seconds = time.perf_counter() - start

    array = integer.array(integer.field.array([int(e.value) for e in converted], check=False))
    start = time.perf_counter()
    bits = await mpc.output(array >= BOUND + OFFSET)
    compare_seconds = time.perf_counter() - start

    if [bool(bit) for bit in bits.tolist()] != [value >= BOUND for value in values]:
        raise AssertionError("MPyC's comparison is wrong")
    if mpc.pid == 0:
        report = {
            "cells": len(values),
            "convert_seconds": round(convert_seconds, 2),
            "compare_seconds": round(compare_seconds, 2),
            "bytes": 3 * sum(p.protocol.nbytes_sent for p in mpc.parties if p.pid != mpc.pid),
        }
        sys.stdout.write(json.dumps(report) + "\n")
    await mpc.shutdown()


mpc.run(main())
