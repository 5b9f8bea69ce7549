"""Story: a registry's node is asked to add up counts, and runs a stranger's program instead.

MPyC 0.11 unpickles what its peers send: always in ``transfer``, which its own ``shutdown`` calls,
and for arrays. Unpickling runs whatever the sender likes. So one registry (or whoever has broken
into one) could run code at all the others, next to their patients' records.

The first test shows it on MPyC as it comes. The others send the same bytes to our parties in the
place of every kind of frame there is: they are refused, and nothing runs.
"""

import asyncio
import pickle
import subprocess
import sys
from collections.abc import Awaitable, Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from upcare_mpc.errors import ProtocolError
from upcare_mpc.link.memory import MemoryChannel, connect
from upcare_mpc.mpc import field
from upcare_mpc.mpc.channel import AGREE, COMMIT, INPUT, KEYS
from upcare_mpc.mpc.engine import Engine
from upcare_mpc.mpc.programs.inputs import Signatures, deal_input, send_input
from upcare_mpc.mpc.programs.noisy_sum import agree_on_sum, draw_noise, take_inputs
from upcare_mpc.mpc.prss import LocalRandom
from upcare_mpc.privacy.laplace import rounded_law

LAW = rounded_law(Fraction(1), 8, 2)
SESSION = bytes(32)


class Payload:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return Path.touch, (self.mark,)


STOCK_MPYC = """
import asyncio, sys
sys.argv = sys.argv[:1]
import mpyc, mpyc.asyncoro
from mpyc.runtime import Party, Runtime, mpc

class Peer:                         # what the network delivers from party 1
    def __init__(self, payload): self.payload = payload
    def send(self, label, payload): pass
    def receive(self, label): return self.payload

async def main():
    options = mpyc._get_arg_parser().parse_args([])
    options.threshold, options.no_log = 0, True
    parties = [Party(0), Party(1)]
    parties[1].protocol = Peer(bytes.fromhex(PAYLOAD))
    runtime = Runtime(0, parties, options)
    mpyc.asyncoro.runtime = runtime
    await runtime.transfer("hello")

asyncio.run(main())
"""


def test_mpyc_as_it_comes_runs_what_a_peer_sends(tmp_path: Path) -> None:
    mark = tmp_path / "owned"
    payload = pickle.dumps(Payload(mark)).hex()

    subprocess.run(
        [sys.executable, "-c", STOCK_MPYC.replace("PAYLOAD", repr(payload))],
        check=True,
        capture_output=True,
        timeout=60,
    )

    assert mark.exists()


def party(channel: MemoryChannel) -> Awaitable[Any]:
    """An honest computing party, from the keys to the agreement."""
    signatures = Signatures(sign=lambda statement: b"signed", verify=lambda *_: None)

    async def work() -> Any:
        engine = Engine(channel, parties=3, threshold=1, session=SESSION, program="p")
        await engine.agree_keys()
        noise = await draw_noise(engine, LAW, 4)
        dealt = deal_input(np.arange(4), parties=3, threshold=1, random=LocalRandom().words)
        await send_input(channel, dealt, signatures, session=SESSION)
        own = field.from_bytes(dealt.payloads[channel.index][32:], cells=4)
        inputs = await take_inputs(
            channel, (own, dealt.hashes), signatures, session=SESSION, parties=3, registries=3
        )
        return await agree_on_sum(
            channel, inputs, noise, signatures, session=SESSION, parties=3, noise_id=b"direct"
        )

    return work()


def is_round(label: int) -> bool:
    return label not in {KEYS, INPUT, COMMIT, AGREE}


KINDS: dict[str, Callable[[int], bool]] = {
    "key contributions": lambda label: label == KEYS,
    "rounds of the noise": is_round,
    "hashes of an input": lambda label: label == COMMIT,
    "an input": lambda label: label == INPUT,
    "an agreement": lambda label: label == AGREE,
}


@pytest.mark.parametrize("kind", KINDS)
def test_our_parties_refuse_it_in_the_place_of_any_frame(tmp_path: Path, kind: str) -> None:
    mark = tmp_path / "owned"
    payload = pickle.dumps(Payload(mark))

    async def session() -> list[Any]:
        channels = connect(3)
        honest = channels[1].send

        def send(peer: int, label: int, frame: bytes) -> None:
            honest(peer, label, payload if KINDS[kind](label) else frame)

        channels[1].send = send  # type: ignore[method-assign]
        work = [asyncio.ensure_future(party(channel)) for channel in channels]
        _, pending = await asyncio.wait(work, timeout=20, return_when=asyncio.FIRST_EXCEPTION)
        for task in pending:
            task.cancel()
        results = await asyncio.gather(*work, return_exceptions=True)
        return [results[place] for place in (0, 2)]

    refused = [innermost(result) for result in asyncio.run(session())]

    assert any(isinstance(error, ProtocolError) for error in refused)
    assert all(isinstance(e, ProtocolError | asyncio.CancelledError) for e in refused), refused
    assert not mark.exists()
    pickle.loads(payload)  # the charge was live
    assert mark.exists()


def innermost(error: Any) -> Any:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
