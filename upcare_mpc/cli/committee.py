"""A committee of real workers on this machine, driven without registries or data.

The same worker processes, links, TLS, programs, sealing and opening as in a study; only the
ledger, the platform and the data are missing. Every registry's vector is zero, so what opens IS the
noise. With a noise bank, one committee of workers fills it and another one draws on it.
"""

import asyncio
import datetime
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from upcare_mpc.deposits.collection import Collection, Holder
from upcare_mpc.errors import SessionError
from upcare_mpc.link.certificates import Identity, Network, new_authority
from upcare_mpc.mpc.noise import Law
from upcare_mpc.mpc.opening import open_sealed
from upcare_mpc.mpc.programs.contract import Rules, program_of
from upcare_mpc.mpc.programs.fill import LIFE_BYTES, Fill, Seat
from upcare_mpc.mpc.programs.segments import Segments
from upcare_mpc.node.assignment import Deposited, Reach
from upcare_mpc.node.pipe import Message
from upcare_mpc.node.process import WorkerProcess
from upcare_mpc.study.descriptor import Descriptor, Member
from upcare_mpc.study.draw import DIRECT, Draw, segments_of
from upcare_mpc.study.spec import Release

__all__ = ["Committee", "Rehearsal", "rehearse"]

SESSION_S = 300.0
NO_RULE = Release()
REACH = Reach(host="127.0.0.1", ports=(0,), silence_s=60)

Answer = Callable[[int, Message], str | None]
"""What a worker of some place is told when it says something; ``None`` is nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """One session of a committee.

    Attributes:
        noise: ``(n,)`` the opened noise.
        protocol_seconds: Noise (unless from the bank), sum and opening, from linked parties to the
            recombined vector.
        comparing_seconds: Of these, deciding which cells may open; 0 without such a rule.
        converting_seconds: Of these, turning deposits into shares; 0 without any.
        link_seconds: Mutual TLS and Hello between all parties.
        fill_seconds: What filling the noise bank took, from linked parties to sealed shares; 0
            without a bank.
        cpu_seconds: Of the busiest party, during the protocol.
        bytes_sent: By all parties together.
        rounds: Of one party, summed over its concurrent branches.
        rss_mb: Peak memory of the largest party.
    """

    noise: npt.NDArray[np.int64]
    protocol_seconds: float
    comparing_seconds: float
    converting_seconds: float
    link_seconds: float
    fill_seconds: float
    cpu_seconds: float
    bytes_sent: int
    rounds: int
    rss_mb: float


async def rehearse(
    law: Law, cells: int, *, parties: int, release: Release = NO_RULE, bank: bool = False
) -> Rehearsal:
    """Run one session of ``parties`` workers over zero vectors.

    Args:
        law: Law of the noise.
        cells: n.
        parties: m.
        release: Rules about what is shown.
        bank: Draw the noise from a noise bank that is filled before.

    Raises:
        SessionError: A worker failed; the text is its own.
    """
    committee = Committee(law, release, parties=parties)
    if not bank:
        return await committee.session(cells, DIRECT, [None] * parties, fill_seconds=0.0)
    fill, segments, seconds = await committee.fill(segments_of(cells))
    draw = Draw(epoch=fill.digest, first=0, count=fill.segments)
    return await committee.session(cells, str(draw), segments, fill_seconds=seconds)


class Committee:
    """Some parties, a law, and rules about what is shown."""

    def __init__(self, law: Law, release: Release, *, parties: int) -> None:
        self._law = law
        self._release = release
        self._identities = identities = _identities(parties)
        self._certificates = [identity.certificate_pem.decode() for identity in identities]

    @property
    def holders(self) -> tuple[Holder, ...]:
        """The parties as holders of a collection's key."""
        return tuple(
            Holder(name=i.party.name, certificate=i.party.fingerprint) for i in self._identities
        )

    async def fill(self, segments: int) -> tuple[Fill, list[Segments], float]:
        """Fill a noise bank; every party's sealed shares, and the seconds that it took."""
        fill = Fill(
            network=self._identities[0].network.fingerprint,
            law=self._law.digest,
            segments=segments,
            roster=tuple(
                Seat(
                    name=i.party.name,
                    certificate=i.party.fingerprint,
                    life=os.urandom(LIFE_BYTES),
                )
                for i in self._identities
            ),
            nonce=os.urandom(16),
        )
        said: dict[int, Message] = {}

        def answer(place: int, message: Message) -> str | None:
            if message.say == "segments":
                said[place] = message
                return "stored"
            return None

        async def assign(worker: WorkerProcess, identity: Identity, _: int) -> int:
            return await worker.assign_fill(
                fill,
                identity=identity,
                certificates=self._certificates,
                law=self._law,
                reach=REACH,
            )

        await self._run(assign, answer)
        seconds = max(m.fields["metrics"]["phases"]["noise"] for m in said.values())
        parts = [said[place] for place in range(fill.parties)]
        return (
            fill,
            [
                Segments(keys=tuple(map(bytes.fromhex, part.fields["keys"])), sealed=part.blob)
                for part in parts
            ],
            seconds,
        )

    async def session(
        self,
        cells: int,
        noise: str,
        segments: Sequence[Segments | None],
        *,
        fill_seconds: float,
        deposited: Sequence[Deposited] | None = None,
    ) -> Rehearsal:
        """Run one session and open its result; every party's part of deposits if there are any."""
        key = X25519PrivateKey.generate()
        descriptor = self._descriptor(cells, noise, key, deposits=deposited is not None)
        rules = Rules(**asdict(self._release), cohort=cells)
        outputs: dict[int, Message] = {}

        def answer(place: int, message: Message) -> str | None:
            if message.say == "output":
                outputs[place] = message
            return {
                "spend": "spent",
                "reveal": "noted",
                "converted": "erased",
                "output": "stored",
            }.get(message.say)

        async def assign(worker: WorkerProcess, identity: Identity, place: int) -> int:
            return await worker.assign(
                descriptor,
                vector=bytes(8 * cells),
                noise=segments[place],
                identity=identity,
                certificates=self._certificates,
                law=self._law,
                rules=rules,
                reach=REACH,
                deposited=None if deposited is None else deposited[place],
            )

        await self._run(assign, answer)
        start = time.perf_counter()
        sealed = {place: message.blob for place, message in outputs.items()}
        opened = open_sealed(sealed, key, descriptor)
        opening = time.perf_counter() - start
        metrics = [message.fields["metrics"] for message in outputs.values()]
        phases = [m["phases"] for m in metrics]
        return Rehearsal(
            noise=opened.noisy,
            protocol_seconds=opening + max(sum(p.values()) - p["link"] for p in phases),
            comparing_seconds=max(p.get("comparing", 0.0) for p in phases),
            converting_seconds=max(p.get("deposits", 0.0) for p in phases),
            link_seconds=max(p["link"] for p in phases),
            fill_seconds=fill_seconds,
            cpu_seconds=max(m["cpu_seconds"] for m in metrics),
            bytes_sent=sum(m["bytes"] for m in metrics),
            rounds=max(m["rounds"] for m in metrics),
            rss_mb=max(m["rss_mb"] for m in metrics),
        )

    def _descriptor(
        self, cells: int, noise: str, key: X25519PrivateKey, *, deposits: bool
    ) -> Descriptor:
        nothing, parties = bytes(32), len(self._identities)
        return Descriptor(
            network=self._identities[0].network.fingerprint,
            study=nothing,
            layout=nothing,
            cells=cells,
            law=self._law.digest,
            noise=noise,
            program=program_of(self._release, deposits=deposits),
            epsilon=Fraction(1),  # nobody is charged: there is no ledger here
            rho=Fraction(1, 2),
            delta=Fraction(0),
            overlap=1,
            signing_key=nothing,
            sealing_key=key.public_key().public_bytes_raw(),
            roster=tuple(
                Member(name=i.party.name, certificate=i.party.fingerprint, snapshot=nothing)
                for i in self._identities
            ),
            parties=parties,
            threshold=(parties - 1) // 2,
            nonce=os.urandom(16),
            deposits=os.urandom(32) if deposits else b"",
        )

    async def deal(self, collection: Collection) -> tuple[list[tuple[bytes, bytes]], float]:
        """Deal a collection's key; every party's public and secret part, and the seconds."""
        said: dict[int, Message] = {}

        def answer(place: int, message: Message) -> str | None:
            if message.say == "key":
                said[place] = message
                return "stored"
            return None

        async def assign(worker: WorkerProcess, identity: Identity, _: int) -> int:
            return await worker.assign_key(
                collection, identity=identity, certificates=self._certificates, reach=REACH
            )

        await self._run(assign, answer)
        parts = []
        for place in range(len(self._identities)):
            size = int(said[place].fields["public"])
            parts.append((said[place].blob[:size], said[place].blob[size:]))
        return parts, max(m.fields["metrics"]["phases"]["key"] for m in said.values())

    async def _run(self, assign: Any, answer: Answer) -> None:
        """Start workers, give each its job, and follow all to their ends."""
        workers = [await WorkerProcess.start(computes=True) for _ in self._identities]
        places = range(len(workers))
        try:
            async with asyncio.timeout(SESSION_S):
                ports = await asyncio.gather(
                    *[assign(workers[i], self._identities[i], i) for i in places]
                )
                endpoints = {str(i): f"127.0.0.1:{port}" for i, port in enumerate(ports)}
                for worker in workers:
                    worker.tell("start", endpoints=endpoints)
                await asyncio.gather(*[_follow(workers[i], i, answer) for i in places])
        except TimeoutError:
            raise SessionError(f"the session took longer than {SESSION_S:.0f} s") from None
        finally:
            for worker in workers:
                await worker.end()


async def _follow(worker: WorkerProcess, place: int, answer: Answer) -> None:
    while (message := await worker.next_message()) is not None:
        if message.say == "done":
            return
        if message.say == "failed":
            raise SessionError(message.fields["text"])
        reply = answer(place, message)
        if reply is not None:
            worker.tell(reply)
    raise SessionError("a worker ended unexpectedly")


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
