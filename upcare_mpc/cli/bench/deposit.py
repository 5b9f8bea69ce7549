"""`upcare bench deposit`: what a deposit costs who makes it, who checks it, and who converts it.

One registry's table and some patients' answers go the way of a study: the same envelopes and
proofs, the same worker processes, key dealing, conversion and check. The platform and the network's
way to it are missing; `upcare local --deposit ... --answers ...` has them.
"""

import asyncio
import hashlib
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import click
import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from upcare_mpc.cli import show
from upcare_mpc.cli.bench.process import apart
from upcare_mpc.cli.committee import NO_RULE, Committee, Rehearsal
from upcare_mpc.deposits.collection import ENVELOPES, Collection
from upcare_mpc.deposits.envelopes import check_payload, ciphertext_of, open_share, wrap
from upcare_mpc.deposits.key import CollectionKey
from upcare_mpc.deposits.matching import PAIR_COMMITTEE
from upcare_mpc.deposits.submission import NONCE_BYTES, Deposit, Ticket
from upcare_mpc.errors import InputError
from upcare_mpc.he.parameters import PARAMETERS, flooding_distance
from upcare_mpc.he.scheme import PublicKey, Sum, encrypt
from upcare_mpc.node.assignment import Deposited
from upcare_mpc.privacy.laplace import sample_law
from upcare_mpc.study.draw import DIRECT
from upcare_mpc.study.layout import MAX_CELLS, Sensitivity

__all__ = ["deposit"]

SCALE = 10  # of the Laplace noise; no cost here depends on it


@click.command()
@click.option("--cells", type=click.IntRange(1, MAX_CELLS), default=8192, show_default=True)
@click.option(
    "--answers",
    type=click.IntRange(1, 8192),
    default=100,
    show_default=True,
    help="Cells of a patient's answers.",
)
@click.option(
    "--patients", type=click.IntRange(0, 65_535), default=100, show_default=True, help="How many."
)
@click.option("--parties", type=click.Choice(["3", "5", "7"]), default="3", show_default=True)
@click.option("--envelope", type=click.Choice(ENVELOPES), default="rlwe", show_default=True)
@click.option("--runs", type=click.IntRange(1, 100), default=5, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def deposit(
    cells: int,
    answers: int,
    patients: int,
    parties: str,
    envelope: str,
    runs: int,
    *,
    as_json: bool,
) -> None:
    """Deposit a table and patients' answers, and turn them into shares; TLS on.

    Example: upcare bench deposit --cells 8192 --patients 100
    """
    m = int(parties)
    if patients and envelope == "rlwe" and m > PAIR_COMMITTEE:
        raise InputError(
            f"patients deposit in envelope sealed where {m} registries compute: add --patients 0"
        )
    table = _bench(cells, 0, envelope, m, runs)
    report: dict[str, Any] = {
        "envelope": envelope,
        "parameters": PARAMETERS if envelope == "rlwe" else None,
        "cells": cells,
        "parties": m,
        **table,
    }
    if patients:
        report["patients"] = {
            "patients": patients,
            "cells": answers,
            **_bench(answers, patients, envelope, m, runs),
        }
    if as_json:
        click.echo(json.dumps(report))
        return
    for name, value in report.items():
        show.out.print(f"{name}: {value}")


def _bench(cells: int, patients: int, envelope: str, parties: int, runs: int) -> dict[str, Any]:
    """One table of so many cells, or so many patients' answers."""
    law = sample_law(Fraction(SCALE), Sensitivity(d0=1, d1=1, dinf=1))
    committee = Committee(law, NO_RULE, parties=parties)
    collection = _collection(committee, cells, envelope, patients=bool(patients))
    parts, key_s = [(b"", b"")] * parties, 0.0
    if envelope == "rlwe":
        parts, key_s = asyncio.run(committee.deal(collection))
    sealing = [X25519PrivateKey.generate() for _ in range(parties)]
    key = CollectionKey(
        public=PublicKey.from_bytes(parts[0][0]) if parts[0][0] else None,
        sealing=tuple(private.public_key().public_bytes_raw() for private in sealing),
    )
    with tempfile.TemporaryDirectory(prefix="upcare-bench-") as folder:
        made = _made(collection, key)
        count = max(patients, 1)
        for place in range(count):  # hard links: what is read and worked on is as much
            first, file = Path(folder) / "0", Path(folder) / str(place)
            file.write_bytes(made) if place == 0 else file.hardlink_to(first)
        deposited = [
            _deposited(collection, folder, made, count, parties, own, part[1])
            for own, part in zip(sealing, parts, strict=True)
        ]
        sessions = [
            asyncio.run(
                committee.session(
                    cells, DIRECT, [None] * parties, fill_seconds=0.0, deposited=deposited
                )
            )
            for _ in range(runs)
        ]
    _check(sessions[-1], count)
    report: dict[str, Any] = {
        "bytes": len(made),
        "seconds": _spread([session.converting_seconds for session in sessions]),
        "cpu_seconds": round(statistics.median(s.cpu_seconds for s in sessions), 4),
        "rounds": sessions[-1].rounds,
        "bytes_sent": sessions[-1].bytes_sent,
        "rss_mb": round(max(session.rss_mb for session in sessions), 1),
        "key_seconds": round(key_s, 4),
        "one_deposit": apart(
            _alone, collection, parts[0][0], [s.private_bytes_raw() for s in sealing]
        ),
    }
    if envelope == "rlwe" and collection.threshold > 1:
        distance = flooding_distance(cells=cells, deposits=1, holders=parties) * count
        report["flooding"] = float(distance)
    return report


def _alone(collection: Collection, public: bytes, private: list[bytes]) -> dict[str, float]:
    """Milliseconds of CPU of one deposit, in a process of its own: making, checking, adding."""
    own = [X25519PrivateKey.from_private_bytes(raw) for raw in private]
    key = CollectionKey(
        public=PublicKey.from_bytes(public) if public else None,
        sealing=tuple(key.public_key().public_bytes_raw() for key in own),
    )
    vector, context = _vector(collection.cells), bytes(32)

    def make() -> bytes:
        return wrap(vector, collection, key, context=context, random=os.urandom)

    payload = make()
    measured = {
        "make": _ms(make),
        "check": _ms(lambda: check_payload(payload, collection, key, context=context)),
    }
    if key.public is None:
        opened = _ms(lambda: open_share(payload, collection, own[0], place=0, context=context))
        return {**measured, "open": opened}
    joint = key.public
    ciphertext, total = ciphertext_of(payload, collection), Sum(collection.cells)
    measured["encrypt"] = _ms(lambda: encrypt(joint, vector, os.urandom))
    measured["add"] = _ms(lambda: total.add(ciphertext))
    return measured


def _ms(work: Callable[[], object], *, times: int = 21) -> float:
    """Median CPU milliseconds."""
    taken = []
    for _ in range(times):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return round(statistics.median(taken) * 1000, 3)


def _collection(committee: Committee, cells: int, envelope: str, *, patients: bool) -> Collection:
    now, holders = int(time.time()), committee.holders
    return Collection(
        network=bytes(32),
        study=bytes(32),
        signing_key=bytes(32),
        cells=cells,
        envelope=envelope,
        holders=holders,
        threshold=(len(holders) - 1) // 2,
        depositors=() if patients else ("offline",),
        vouchers=(holders[0].name,) if patients else (),
        opened=now,
        closes=now + 3600,
        nonce=os.urandom(16),
    )


def _made(collection: Collection, key: CollectionKey) -> bytes:
    """One deposit; who signs it is not looked at here."""
    unsigned = Deposit(
        collection=collection.digest,
        role="registry" if collection.depositors else "patient",
        submitter=b"offline",
        ticket=Ticket(collection=collection.digest, registry="party-0", key=bytes(65)).to_bytes(),
        certificate=b"",
        nonce=os.urandom(NONCE_BYTES),
        payload=b"",
    )
    payload = wrap(
        _vector(collection.cells),
        collection,
        key,
        context=unsigned.context,
        random=os.urandom,
    )
    return Deposit(
        collection=unsigned.collection,
        role=unsigned.role,
        submitter=unsigned.submitter,
        ticket=unsigned.ticket,
        certificate=b"",
        nonce=unsigned.nonce,
        payload=payload,
    ).to_bytes()


def _vector(cells: int) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """An answer: the first cell is 1."""
    vector = np.zeros(cells, np.int64)
    vector[0] = 1
    return vector


def _deposited(
    collection: Collection,
    folder: str,
    made: bytes,
    count: int,
    parties: int,
    own: X25519PrivateKey,
    sigma: bytes,
) -> Deposited:
    digest = hashlib.sha256(made).hexdigest()
    return Deposited(
        collection=collection,
        folder=folder,
        accepted=tuple((place, digest) for place in range(count)),
        tables=(0,) if collection.depositors else (),
        answers=((0, collection.cells, 1),),
        charged=("party-0",),
        points=tuple(range(1, parties + 1)),
        sealing=own.private_bytes_raw(),
        sigma=sigma,
    )


def _check(session: Rehearsal, count: int) -> None:
    """What opened is the deposits and the noise: far from both else."""
    assert abs(int(session.noise[0]) - count) < 100 * SCALE
    assert np.abs(session.noise[1:]).max(initial=0) < 100 * SCALE


def _spread(seconds: list[float]) -> dict[str, float | int]:
    return {
        "min": round(min(seconds), 4),
        "median": round(statistics.median(seconds), 4),
        "runs": len(seconds),
    }
