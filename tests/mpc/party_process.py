"""One computing party as a process of its own, for tests: MPyC's secure types need one each.

    python party_process.py FOLDER INDEX STORY MARKER

Listens, prints its port, reads all ports from standard input, links with the others by gRPC and
mutual TLS, plays its part of STORY, and prints what came of it as JSON.
"""

import asyncio
import datetime
import json
import os
import pickle
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from upcare_mpc.errors import UpcareError
from upcare_mpc.link import grpc_channel
from upcare_mpc.link.certificates import Identity
from upcare_mpc.link.grpc_channel import GrpcChannel, SessionHello
from upcare_mpc.mpc.engine import Engine, mpyc
from upcare_mpc.mpc.noise import noise_shares
from upcare_mpc.privacy.laplace import sample_law
from upcare_mpc.study.layout import Sensitivity

NAMES = ["de-a", "de-b", "fr-a"]
LAW = sample_law(Fraction(1000), Sensitivity(d0=1, d1=1, dinf=1))


class Touch:
    """An object that leaves a mark when it is unpickled."""

    def __init__(self, marker: str) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return Path.touch, (Path(self.marker),)


async def product(engine: Engine, marker: str) -> dict[str, Any]:
    """Our shares, through MPyC's multiplication and comparison to a constant, and back."""

    async def noise() -> Any:
        return await noise_shares(engine.lane(), LAW, 6, random=engine.local_random.words)

    async with asyncio.TaskGroup() as group:
        shares = (await asyncio.gather(engine.branch(noise(), group=group)))[0]
    x = engine.to_secure_array(shares)
    y = x * x + 3
    opened = await engine.output(y)
    bits = engine.np_random_bits(engine.secure_field(), 9)
    return {
        "x": shares.tolist(),
        "y": (await engine.from_secure_array(y)).tolist(),
        "mpyc": [int(v) for v in opened.value],
        "prss": (await engine.from_secure_array(bits)).tolist(),
    }


async def transfer(engine: Engine, marker: str) -> dict[str, Any]:
    """Bytes are exchanged as they are, also bytes that happen to be a pickle."""
    payload = pickle.dumps(Touch(marker)) if engine.index == 2 else b"from %d" % engine.index
    return {"received": [bytes(p).hex() for p in await engine.transfer(payload)]}


async def pickle_array(engine: Engine, marker: str) -> dict[str, Any]:
    """Party 2 sends a pickle wherever MPyC expects field elements."""
    if engine.index == 2:
        for peer in engine.parties:
            honest = peer.protocol.send
            peer.protocol.send = lambda label, payload, honest=honest: honest(
                label, pickle.dumps(Touch(marker))
            )
    x = engine.to_secure_array(np.arange(6, dtype=np.uint64))
    return {"y": (await engine.from_secure_array(x * x)).tolist()}


async def short_array(engine: Engine, marker: str) -> dict[str, Any]:
    """Party 2 leaves out the last element."""
    if engine.index == 2:
        for peer in engine.parties:
            honest = peer.protocol.send
            peer.protocol.send = lambda label, payload, honest=honest: honest(label, payload[:-8])
    x = engine.to_secure_array(np.arange(6, dtype=np.uint64))
    return {"y": (await engine.from_secure_array(x * x)).tolist()}


async def lost(engine: Engine, marker: str) -> dict[str, Any]:
    """Party 2 dies in the middle of a chain of multiplications."""
    x = engine.to_secure_array(np.arange(6, dtype=np.uint64))
    if engine.index == 2:
        await engine.from_secure_array(x * x)
        os._exit(9)
    y = x
    for _ in range(5):
        y = y * x
    return {"y": (await engine.from_secure_array(y)).tolist()}


def say(line: object) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def main() -> None:
    folder, index, story, marker = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
    grpc_channel.CONNECT_S = 20.0
    identity = Identity.load(Path(folder) / NAMES[index], now=datetime.datetime.now(datetime.UTC))
    hello = SessionHello(session_digest=bytes(32), study_digest=bytes(32), program_digest=bytes(32))
    channel = GrpcChannel(identity, NAMES, parties=3, index=index, hello=hello, silence_s=8)
    say(await channel.listen("127.0.0.1", [0]))
    ports = json.loads(await asyncio.to_thread(sys.stdin.readline))
    answer: dict[str, Any] = {"argv": sys.argv[1:], "runtime": type(mpyc.runtime.mpc).__name__}
    try:
        await channel.connect({i: f"127.0.0.1:{port}" for i, port in enumerate(ports)})
        engine = Engine(channel, parties=3, threshold=1, session=bytes(32), program="test/1")
        engine.install()
        await engine.agree_keys()
        answer |= await globals()[story](engine, marker)
    except UpcareError as error:
        answer |= {"error": type(error).__name__, "text": str(error)}
    say(json.dumps(answer))
    await channel.close()


asyncio.run(main())
