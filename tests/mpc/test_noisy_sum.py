"""The one program of a release, all registries in one process: right, or no output at all."""

import asyncio
import time
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from upcare_mpc.errors import LinkError, OpeningError, ProtocolError, UpcareError
from upcare_mpc.link.memory import MemoryChannel, connect
from upcare_mpc.mpc import field
from upcare_mpc.mpc.channel import AGREE
from upcare_mpc.mpc.engine import Engine
from upcare_mpc.mpc.programs.inputs import (
    DealtInput,
    Signatures,
    await_ready,
    deal_input,
    send_input,
)
from upcare_mpc.mpc.programs.noisy_sum import (
    CHUNK_CELLS,
    NoisySum,
    agree_on_sum,
    announce_ready,
    draw_noise,
    take_inputs,
)
from upcare_mpc.mpc.prss import LocalRandom
from upcare_mpc.privacy.laplace import sample_law
from upcare_mpc.study.layout import Sensitivity

SESSION = bytes(range(32))
LAW = sample_law(Fraction(1, 50), Sensitivity(d0=1, d1=1, dinf=1))  # zero, but for 2^-40
CELLS = 5


class Fleet:
    """All registries of one session; a test may replace what one of them does."""

    def __init__(self, parties: int = 3, registries: int = 5, cells: int = CELLS) -> None:
        self.parties, self.threshold, self.registries = parties, (parties - 1) // 2, registries
        self.cells, self.law = cells, LAW
        self.vectors = np.arange(registries * cells, dtype=np.int64).reshape(registries, cells) - 7
        self.keys = [Ed25519PrivateKey.generate() for _ in range(registries)]
        self.noise_ids = [b"direct"] * parties
        self.deal = lambda i, dealt, peer: dealt
        self.before_inputs = lambda channel: None

    def signatures(self, index: int) -> Signatures:
        def verify(signer: int, statement: bytes, signature: bytes) -> None:
            try:
                self.keys[signer].public_key().verify(signature, statement)
            except InvalidSignature:
                raise ProtocolError("a signature is not the named party's") from None

        return Signatures(sign=self.keys[index].sign, verify=verify)

    def dealt(self, index: int) -> DealtInput:
        return deal_input(
            self.vectors[index],
            parties=self.parties,
            threshold=self.threshold,
            random=LocalRandom().words,
        )

    async def send(self, channel: MemoryChannel, dealt: DealtInput) -> None:
        """As ``send_input``, but each peer may get what ``deal`` makes of it."""
        if channel.index in self.cheats:
            for peer in range(self.parties):
                one = _OnlyTo(channel, peer)
                sent = self.deal(channel.index, dealt, peer)
                await send_input(one, sent, self.signatures(channel.index), session=SESSION)
        else:
            await send_input(channel, dealt, self.signatures(channel.index), session=SESSION)

    cheats: tuple[int, ...] = ()

    async def contribute(self, channel: MemoryChannel) -> None:
        await await_ready(channel, parties=self.parties)
        self.before_inputs(channel)
        await self.send(channel, self.dealt(channel.index))

    async def compute(self, channel: MemoryChannel) -> NoisySum:
        engine = Engine(
            channel, parties=self.parties, threshold=self.threshold, session=SESSION, program="p"
        )
        await engine.agree_keys()
        noise = await draw_noise(engine, self.law, self.cells)
        announce_ready(channel, self.registries)
        await await_ready(channel, parties=self.parties)
        self.before_inputs(channel)
        dealt = self.dealt(channel.index)
        await self.send(channel, dealt)
        own = field.from_bytes(dealt.payloads[channel.index][32:], cells=self.cells)
        signatures = self.signatures(channel.index)
        inputs = await take_inputs(
            channel,
            (own, dealt.hashes),
            signatures,
            session=SESSION,
            parties=self.parties,
            registries=self.registries,
        )
        return await agree_on_sum(
            channel,
            inputs,
            noise,
            signatures,
            session=SESSION,
            parties=self.parties,
            noise_id=self.noise_ids[channel.index],
        )

    def run(self) -> list[NoisySum | BaseException]:
        """Every computing party's output, or what it failed with."""

        async def session() -> list[NoisySum | BaseException]:
            channels = connect(self.registries)
            work = [
                self.compute(channel) if channel.index < self.parties else self.contribute(channel)
                for channel in channels
            ]
            results = await asyncio.wait_for(
                asyncio.gather(*work, return_exceptions=True), timeout=30
            )
            return results[: self.parties]

        return asyncio.run(session())


@dataclass
class _OnlyTo:
    """A channel that sends to one peer alone."""

    channel: MemoryChannel
    peer: int

    @property
    def index(self) -> int:
        return self.channel.index

    def send(self, peer: int, label: int, payload: bytes) -> None:
        if peer == self.peer != self.index:
            self.channel.send(peer, label, payload)

    async def drain(self) -> None:
        await self.channel.drain()


def opened(fleet: Fleet, results: list[NoisySum | BaseException]) -> list[int]:
    shares = {i: r.share for i, r in enumerate(results) if isinstance(r, NoisySum)}
    return field.decode(field.open_shares(shares, threshold=fleet.threshold)).tolist()


def failures(results: list[NoisySum | BaseException]) -> list[BaseException]:
    """The errors behind each party's failure; none may have an output."""
    flat = []
    for result in results:
        assert not isinstance(result, NoisySum), "a party has an output"
        while isinstance(result, BaseExceptionGroup):
            result = result.exceptions[0]
        flat.append(result)
    return flat


@pytest.mark.parametrize(("parties", "registries"), [(3, 3), (3, 5), (5, 6), (7, 7)])
def test_the_output_is_the_sum_of_all_registries(parties: int, registries: int) -> None:
    fleet = Fleet(parties, registries)

    results = fleet.run()

    assert opened(fleet, results) == fleet.vectors.sum(axis=0).tolist()
    assert len({r.agreement for r in results if isinstance(r, NoisySum)}) == 1


def test_the_noise_is_added_once() -> None:
    fleet = Fleet(cells=4000)
    fleet.law = sample_law(Fraction(10), Sensitivity(d0=1, d1=1, dinf=1))

    noise = np.array(opened(fleet, fleet.run())) - fleet.vectors.sum(axis=0)

    variance = float(fleet.law.variance)
    assert abs(noise.var() - variance) < 0.25 * variance  # 7 sigma; twice or never is far off
    assert abs(noise.mean()) < 7 * (variance / 4000) ** 0.5


def test_chunks_of_noise_join_to_the_whole_vector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("upcare_mpc.mpc.programs.noisy_sum.CHUNK_CELLS", 64)
    fleet = Fleet(cells=150)
    fleet.law = sample_law(Fraction(1000), Sensitivity(d0=1, d1=1, dinf=1))

    noise = np.array(opened(fleet, fleet.run())) - fleet.vectors.sum(axis=0)

    assert CHUNK_CELLS % 64 == 0
    assert len(noise) == 150
    assert np.count_nonzero(noise[:64] == noise[64:128]) < 10


def test_output_shares_have_degree_t() -> None:
    fleet = Fleet(5, 5)

    shares = [r.share for r in fleet.run() if isinstance(r, NoisySum)]

    for point in (4, 5):
        predicted = field.combine(shares[:3], [1, 2, 3], at=point)
        assert np.array_equal(predicted, shares[point - 1])


def test_a_contributor_with_different_inputs_for_different_parties_stops_all() -> None:
    fleet = Fleet()
    other = fleet.dealt(4)
    fleet.cheats = (4,)
    fleet.deal = lambda index, dealt, peer: other if peer == 2 else dealt

    errors = failures(fleet.run())

    assert all(isinstance(error, ProtocolError) for error in errors)
    assert all("did not receive the same inputs" in str(error) for error in errors)


def test_a_computing_party_with_different_inputs_for_different_parties_stops_all() -> None:
    fleet = Fleet()
    other = fleet.dealt(1)
    fleet.cheats = (1,)
    fleet.deal = lambda index, dealt, peer: other if peer == 2 else dealt

    assert all(isinstance(error, ProtocolError) for error in failures(fleet.run()))


def test_a_wrong_share_stops_the_party_that_gets_it_and_nobody_opens() -> None:
    fleet = Fleet()
    fleet.cheats = (3,)

    def swap(index: int, dealt: DealtInput, peer: int) -> DealtInput:
        wrong = list(dealt.payloads)
        wrong[0], wrong[1] = wrong[1], wrong[0]
        return replace(dealt, payloads=tuple(wrong))

    fleet.deal = swap

    results = asyncio.run(_until_first_failure(fleet))

    assert "not the one it committed to" in str(results[0])
    assert "not the one it committed to" in str(results[1])


async def _until_first_failure(fleet: Fleet) -> list[BaseException]:
    """As real workers: a party that fails closes its links, and the others see it lost."""
    channels = connect(fleet.registries)

    async def one(channel: MemoryChannel) -> NoisySum:
        try:
            return await fleet.compute(channel)
        except BaseException:
            channel.lose()
            raise

    work = [
        one(channel) if channel.index < fleet.parties else fleet.contribute(channel)
        for channel in channels
    ]
    results = await asyncio.wait_for(asyncio.gather(*work, return_exceptions=True), timeout=30)
    return failures(results[: fleet.parties])


def test_a_bad_signature_on_an_input_stops_all() -> None:
    fleet = Fleet()
    impostor = Ed25519PrivateKey.generate()
    honest = fleet.signatures
    fleet.signatures = lambda index: (  # type: ignore[method-assign]
        replace(honest(index), sign=impostor.sign) if index == 4 else honest(index)
    )

    errors = asyncio.run(_until_first_failure(fleet))

    assert all("not the named party's" in str(error) for error in errors)


def test_shares_of_too_high_a_degree_are_rejected_at_the_opening() -> None:
    """A contributor that shares with degree 2: nobody notices before, and nothing opens."""
    fleet = Fleet()
    honest = fleet.dealt
    fleet.dealt = lambda index: (  # type: ignore[method-assign]
        deal_input(fleet.vectors[4], parties=3, threshold=2, random=LocalRandom().words)
        if index == 4
        else honest(index)
    )

    with pytest.raises(OpeningError):
        opened(fleet, fleet.run())


def test_parties_with_different_noise_do_not_open() -> None:
    fleet = Fleet()
    fleet.noise_ids = [b"bank 7", b"bank 7", b"bank 8"]

    errors = failures(fleet.run())

    assert all("did not receive the same inputs" in str(error) for error in errors)


def test_an_agreement_signed_by_nobody_stops_the_party_that_gets_it() -> None:
    fleet = Fleet()
    original = MemoryChannel.send

    def send(self: MemoryChannel, peer: int, label: int, payload: bytes) -> None:
        forged = payload[:32] + bytes(64) if label == AGREE and self.index == 0 else payload
        original(self, peer, label, forged)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MemoryChannel, "send", send)
        results = fleet.run()

    assert isinstance(results[0], NoisySum)  # it sent the forgery; the other two refuse
    for error in failures(results[1:]):
        assert "not the named party's" in str(error)


@pytest.mark.parametrize("lost", [1, 4], ids=["a computing party", "a contributing party"])
def test_a_party_lost_before_its_input_fails_all_computing_parties_at_once(lost: int) -> None:
    fleet = Fleet()

    class GoneError(UpcareError):
        pass

    def leave(channel: MemoryChannel) -> None:
        if channel.index == lost:
            channel.lose()
            raise GoneError

    fleet.before_inputs = leave
    started = time.monotonic()

    errors = failures(fleet.run())

    assert time.monotonic() - started < 10
    expected = {i: LinkError for i in range(3) if i != lost}
    assert all(isinstance(errors[i], kind) for i, kind in expected.items())


def test_a_party_lost_during_the_noise_fails_all_at_once() -> None:
    fleet = Fleet(cells=3000)
    fleet.law = sample_law(Fraction(10), Sensitivity(d0=1, d1=1, dinf=1))
    sent = 0
    original = MemoryChannel.send

    def send(self: MemoryChannel, peer: int, label: int, payload: bytes) -> None:
        nonlocal sent
        if self.index == 2:
            sent += 1
            if sent == 20:
                self.lose()
                raise LinkError("this machine is gone")
        original(self, peer, label, payload)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MemoryChannel, "send", send)
        errors = asyncio.run(_until_first_failure(fleet))

    assert all(isinstance(error, LinkError) for error in errors)
