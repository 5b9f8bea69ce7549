"""How long a registry's records take to be sealed and brought to a platform, over gRPC.

    python tests/node/measure_sealing.py --patients 100000 --tumours 9

Prints one JSON object. ``first_edition`` is all that `upcare records seal` does once it runs:
consents from the database, the snapshot held against its digest, payloads, sealing, and the copy to
a platform on this machine (another process, mutual TLS on loopback); ``quiet_day`` and
``new_month`` are the same with nothing changed. ``of_it_...`` are parts of the first edition.
``fetch_and_open`` takes all of it back over the same connection and opens it into columns.
``cpu_seconds`` are those of this process alone. ``header_bytes`` is what a record has beside its
payload: a row, and what is authenticated in its slot.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

TESTS = Path(__file__).parents[1]
for _folder in ("node", "storage", "consent", "attacks", "sessions"):
    sys.path.insert(0, str(TESTS / _folder))

from lone_platform import LonePlatform  # noqa: E402 - found on the path that was just made
from said import permission  # noqa: E402
from vault_world import PUBLIC, reader  # noqa: E402

from upcare_mpc.node import vault  # noqa: E402
from upcare_mpc.node.sealing import Records  # noqa: E402
from upcare_mpc.node.vault import RegistryVault  # noqa: E402
from upcare_mpc.storage import snapshot  # noqa: E402
from upcare_mpc.storage.consents import Consents  # noqa: E402
from upcare_mpc.storage.database import Database  # noqa: E402
from upcare_mpc.storage.schema import NODE  # noqa: E402
from upcare_mpc.storage.snapshot import Account, Snapshots, Sources  # noqa: E402
from upcare_mpc.storage.snapshot_rows import ORDERED  # noqa: E402
from upcare_mpc.vault.edition import HEAD, MAX_HEAD_BYTES  # noqa: E402
from upcare_mpc.vault.opening import check_head, open_group  # noqa: E402
from upcare_mpc.vault.payload import payloads  # noqa: E402

T = TypeVar("T")
BATCH = 20_000  # patients in a row group
ROW_AND_TAG_BYTES = 72 + 16


class Times:
    """Processor seconds and seconds by the clock, by what took them."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}

    def of(self, what: str, work: Callable[[], T]) -> T:
        processor, clock = time.process_time(), time.perf_counter()
        result = work()
        before = self.found.get(what, {"cpu_seconds": 0.0, "seconds": 0.0})
        self.found[what] = {
            "cpu_seconds": round(before["cpu_seconds"] + time.process_time() - processor, 2),
            "seconds": round(before["seconds"] + time.perf_counter() - clock, 2),
        }
        return result

    def part(self, module: Any, name: str, what: str) -> None:
        """Time a function of a module from now on."""
        function = getattr(module, name)
        setattr(module, name, lambda *a, **k: self.of(what, lambda: function(*a, **k)))


def rows(pseudonyms: list[bytes], tumours: int) -> Any:
    columns = [pa.array([who for who in pseudonyms for _ in range(tumours)], pa.binary(16))]
    for field in list(ORDERED)[1:]:
        value = 12 if pa.types.is_integer(field.type) else "C50.9"
        columns.append(pa.array([value] * (len(pseudonyms) * tumours), field.type))
    return pa.record_batch(columns, schema=ORDERED)


def freeze(snapshots: Snapshots, pseudonyms: list[bytes], tumours: int) -> None:
    sources = Sources(files=(), rules=1, complete=(), encr_missing={}, deletions="")
    account = Account(messages=0, replaced=0, rejected={}, remarks={}, formats={})
    batches = (
        rows(pseudonyms[at : at + BATCH], tumours) for at in range(0, len(pseudonyms), BATCH)
    )
    with snapshots.writing():
        snapshots.write(batches, sources, lambda: account, datetime.now(UTC))


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--patients", type=int, default=100_000)
    asked.add_argument("--tumours", type=int, default=9, help="of each patient")
    asked.add_argument("--folder", type=Path)
    args = asked.parse_args()
    pseudonyms = sorted(os.urandom(16) for _ in range(args.patients))
    ((_, payload),) = payloads(rows(pseudonyms[:1], args.tumours))
    times = Times()
    with (
        tempfile.TemporaryDirectory(dir=args.folder) as name,
        LonePlatform.in_folder(Path(name) / "network") as platform,
        Database(f"sqlite:///{Path(name) / 'node.db'}", NODE) as database,
        platform.store() as store,
    ):
        folder, now = Path(name), datetime.now(UTC)
        snapshots, consents = Snapshots(folder / "snapshots"), Consents(database)
        freeze(snapshots, pseudonyms, args.tumours)
        consents.record((permission(patient=who) for who in pseudonyms), time=now)
        day = date(2026, 11, 1)

        def run() -> Any:
            kept = RegistryVault(
                folder / "vault",
                store,
                database,
                platform.identity,
                now=lambda: datetime.combine(day, datetime.min.time(), UTC),
            )
            found = Records(snapshots, consents.all(), registry="de-a")
            return kept.seal(found.wanted, public=PUBLIC, random=os.urandom)

        def opened() -> int:
            head = store.get(HEAD, at_most=MAX_HEAD_BYTES)
            assert head is not None
            edition, _ = check_head(
                head, registry="de-a", verify=lambda *_: None, earliest=date.min, seen=None
            )
            (root,) = edition.groups
            key = reader(root, "use:hmb")
            return sum(batch.num_rows for batch in open_group(PUBLIC, key, store, root))

        copy, policies, digest = vault.copy, Records._policies, snapshot.read_digest
        times.part(vault, "copy", "of_it_upload")
        times.part(Records, "_policies", "of_it_consents")
        times.part(snapshot, "read_digest", "of_it_snapshot_digest")
        sealed = times.of("first_edition", run)
        vault.copy, Records._policies, snapshot.read_digest = copy, policies, digest
        count = times.of("fetch_and_open", opened)
        assert count == args.patients * args.tumours
        day = date(2026, 11, 2)
        quiet = times.of("quiet_day", run)
        day = date(2026, 12, 1)
        month = times.of("new_month", run)
    report = {
        "patients": args.patients,
        "payload_bytes": len(payload or b""),
        "header_bytes": ROW_AND_TAG_BYTES,
        "uploaded_mb": {
            "first_edition": sealed.uploaded_bytes // 10**6,
            "quiet_day": quiet.uploaded_bytes // 10**6,
            "new_month": month.uploaded_bytes // 10**6,
        },
        **times.found,
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    sys.stdout.write(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
