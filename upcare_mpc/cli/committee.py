"""A committee of real workers on this machine, driven without registries or data.

The same worker processes, links, TLS, program, sealing and opening as in a study; only the ledger,
the platform and the data are missing. Every registry's vector is zero, so what opens IS the noise.
"""

import asyncio
import datetime
import os
import time
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from upcare_mpc.errors import SessionError
from upcare_mpc.link.certificates import Identity, Network, new_authority
from upcare_mpc.mpc.noise import Law
from upcare_mpc.mpc.opening import open_result, unseal_share
from upcare_mpc.mpc.programs.contract import PROGRAM
from upcare_mpc.node.process import WorkerProcess
from upcare_mpc.study.descriptor import Descriptor, Member

__all__ = ["Rehearsal", "rehearse"]

SESSION_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """One session of a committee.

    Attributes:
        noise: ``(n,)`` the opened noise.
        protocol_seconds: Noise, sum and opening, from linked parties to the recombined vector.
        link_seconds: Mutual TLS and Hello between all parties.
        cpu_seconds: Of the busiest party, during the protocol.
        bytes_sent: By all parties together.
        rounds: Of one party, summed over its concurrent branches.
        rss_mb: Peak memory of the largest party.
    """

    noise: npt.NDArray[np.int64]
    protocol_seconds: float
    link_seconds: float
    cpu_seconds: float
    bytes_sent: int
    rounds: int
    rss_mb: float


async def rehearse(law: Law, cells: int, *, parties: int) -> Rehearsal:
    """Run one session of ``parties`` workers over zero vectors.

    Raises:
        SessionError: A worker failed; the text is its own.
    """
    identities = _identities(parties)
    key = X25519PrivateKey.generate()
    nothing = bytes(32)
    descriptor = Descriptor(
        network=identities[0].network.fingerprint,
        study=nothing,
        layout=nothing,
        cells=cells,
        law=law.digest,
        program=PROGRAM,
        epsilon=Fraction(1),  # nobody is charged: there is no ledger here
        overlap=1,
        signing_key=nothing,
        sealing_key=key.public_key().public_bytes_raw(),
        roster=tuple(
            Member(name=i.party.name, certificate=i.party.fingerprint, snapshot=nothing)
            for i in identities
        ),
        parties=parties,
        threshold=(parties - 1) // 2,
        nonce=os.urandom(16),
    )
    workers = [await WorkerProcess.start(computes=True) for _ in identities]
    try:
        return await asyncio.wait_for(
            _session(descriptor, law, identities, workers, key), SESSION_S
        )
    finally:
        for worker in workers:
            await worker.end()


def _identities(parties: int) -> list[Identity]:
    now = datetime.datetime.now(datetime.UTC)
    authority = new_authority("rehearsal", now=now)
    network = Network(authority.certificate_pem)
    identities = []
    for index in range(parties):
        pem, key = authority.admit(f"party-{index}", "registry", now=now)
        party, _ = network.verify(pem.decode(), now=now)
        identities.append(Identity(party=party, network=network, certificate_pem=pem, key_pem=key))
    return identities


async def _session(
    descriptor: Descriptor,
    law: Law,
    identities: list[Identity],
    workers: list[WorkerProcess],
    key: X25519PrivateKey,
) -> Rehearsal:
    certificates = [identity.certificate_pem.decode() for identity in identities]
    ports = await asyncio.gather(
        *[
            worker.assign(
                descriptor,
                identity=identity,
                certificates=certificates,
                law=law,
                vector=bytes(8 * descriptor.cells),
                host="127.0.0.1",
                ports=[0],
                silence_s=60,
            )
            for worker, identity in zip(workers, identities, strict=True)
        ]
    )
    endpoints = {str(index): f"127.0.0.1:{port}" for index, port in enumerate(ports)}
    sealed: dict[int, bytes] = {}
    metrics: list[dict[str, Any]] = []

    async def follow(worker: WorkerProcess, index: int) -> None:
        worker.tell("start", endpoints=endpoints)
        while (message := await worker.next_message()) is not None and message.say != "done":
            match message.say:
                case "spend":
                    worker.tell("spent")
                case "output":
                    sealed[index] = message.blob
                    metrics.append(message.fields["metrics"])
                    worker.tell("stored")
                case "failed":
                    raise SessionError(message.fields["text"])

    await asyncio.gather(*[follow(worker, index) for index, worker in enumerate(workers)])
    start = time.perf_counter()
    shares = {
        index: unseal_share(
            content,
            key,
            session=descriptor.digest,
            sender=descriptor.roster[index].name,
            index=index,
            cells=descriptor.cells,
        )
        for index, content in sealed.items()
    }
    opened = open_result(shares, parties=descriptor.parties, threshold=descriptor.threshold)
    opening = time.perf_counter() - start
    phases = [m["phases"] for m in metrics]
    return Rehearsal(
        noise=opened.noisy,
        protocol_seconds=opening + max(p["noise"] + p["sharing"] + p["opening"] for p in phases),
        link_seconds=max(p["link"] for p in phases),
        cpu_seconds=max(m["cpu_seconds"] for m in metrics),
        bytes_sent=sum(m["bytes"] for m in metrics),
        rounds=max(m["rounds"] for m in metrics),
        rss_mb=max(m["rss_mb"] for m in metrics),
    )
