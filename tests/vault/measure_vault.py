"""How long it takes to seal, open and re-wrap a vault, and how large it is.

    python tests/vault/measure_vault.py --records 100000 --bytes 2032

Prints one JSON object: processor seconds of one core and seconds by the clock, for the first
edition, opening all of it into columns, a day without changes, and the first day of a month; bytes
in the store; and the most memory. The store is a folder on the disk of ``--folder``.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from upcare_mpc.abe.groups import default_group, random_scalar
from upcare_mpc.abe.scheme import keygen, setup
from upcare_mpc.records.variables import VARIABLES, Number
from upcare_mpc.vault.changes import Change
from upcare_mpc.vault.edition import HEAD, MAX_HEAD_BYTES
from upcare_mpc.vault.keeper import Keeper
from upcare_mpc.vault.opening import check_head, open_group
from upcare_mpc.vault.payload import payloads
from upcare_mpc.vault.store import Folder

T = TypeVar("T")
GROUP = default_group()
ALPHA = random_scalar(os.urandom)
PUBLIC = setup(GROUP, ALPHA)


def payload_of(length: int) -> bytes:
    """Tumours with every variable known, at most so many bytes."""
    import pyarrow as pa

    def written(tumours: int) -> bytes:
        columns: dict[str, Any] = {"pseudonym": [bytes(16)] * tumours}
        for name, variable in VARIABLES.items():
            columns[name] = [12 if isinstance(variable.type, Number) else "C50.9"] * tumours
        ((_, payload),) = payloads(pa.record_batch(columns))
        assert payload is not None
        return payload

    one = len(written(2)) - len(written(1))
    return written(max(1, 1 + (length - len(written(1))) // one))


def changes(count: int, payload: bytes) -> Iterator[Change]:
    drawn = Random(1)
    policy = "and(epoch:2026-11,site:de-a,use:hmb)"
    for _ in range(count):
        yield Change(pseudonym=drawn.randbytes(16), policy=policy, payload=payload)


def timed(found: dict[str, Any], what: str, work: Callable[[], T]) -> T:
    processor, clock = time.process_time(), time.perf_counter()
    result = work()
    found[what] = {
        "cpu_seconds": round(time.process_time() - processor, 2),
        "seconds": round(time.perf_counter() - clock, 2),
    }
    return result


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--records", type=int, default=100_000)
    asked.add_argument("--bytes", type=int, default=2032, help="of a payload, at most")
    asked.add_argument("--folder", type=Path)
    args = asked.parse_args()
    payload = payload_of(args.bytes)
    found: dict[str, Any] = {"records": args.records, "payload_bytes": len(payload)}
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        store = Folder(Path(folder) / "store")
        keeper = Keeper(Path(folder) / "keys", store, registry="de-a")

        def publish(day: date, some: Iterator[Change]) -> None:
            keeper.publish(
                some, day=day, public=PUBLIC, sign=lambda _: b"unsigned", random=os.urandom
            )

        def opened() -> int:
            head = store.get(HEAD, at_most=MAX_HEAD_BYTES)
            assert head is not None
            edition, _ = check_head(
                head, registry="de-a", verify=lambda *_: None, earliest=date.min, seen=None
            )
            (root,) = edition.groups
            attributes = (f"epoch:{root.place.epoch}", "site:de-a", "use:hmb")
            key = keygen(GROUP, ALPHA, attributes, random_scalar(os.urandom))
            return sum(batch.num_rows for batch in open_group(PUBLIC, key, store, root))

        timed(found, "seal", lambda: publish(date(2026, 11, 1), changes(args.records, payload)))
        found["tumours"] = timed(found, "open", opened)
        timed(found, "quiet_day", lambda: publish(date(2026, 11, 2), iter(())))
        timed(found, "new_month", lambda: publish(date(2026, 12, 1), iter(())))
        found["store_bytes"] = sum(
            path.stat().st_size for path in (Path(folder) / "store").iterdir()
        )
    found["rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    sys.stdout.write(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
