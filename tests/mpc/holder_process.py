"""One holder of a key for deposits as a process of its own: MPyC's secure types need one each.

    python holder_process.py FOLDER INDEX HOLDERS THRESHOLD STORY

Listens, prints its port, reads all ports from standard input, links with the others by gRPC and
mutual TLS, deals the key, and prints what it holds, and what that cost, as JSON.
"""

import asyncio
import datetime
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from upcare_mpc.errors import UpcareError
from upcare_mpc.link import grpc_channel
from upcare_mpc.link.certificates import Identity
from upcare_mpc.link.grpc_channel import GrpcChannel, SessionHello
from upcare_mpc.mpc.engine import Engine
from upcare_mpc.mpc.programs.deposit_key import deal_key

SEED = bytes(range(32))
STORIES: dict[str, Callable[[bytes], bytes]] = {  # what the last holder makes of its frames
    "short": lambda payload: payload[:-22],
    "cut": lambda payload: payload[:-1],
    "not canonical": lambda payload: b"\xff" * 22 + payload[22:],
    "empty": lambda _: b"",
}


def tell_all(payload: Any) -> None:
    sys.stdout.write(f"{payload}\n")
    sys.stdout.flush()


def misbehave(engine: Engine, story: str) -> None:
    """Let this holder die at its first message, or send something else."""
    for peer in engine.parties:
        honest = peer.protocol.send

        def send(label: int, payload: bytes, honest: Any = honest) -> None:
            if story == "lost":
                os._exit(9)
            honest(label, STORIES[story](payload))

        peer.protocol.send = send


async def main() -> None:
    folder, index, holders, threshold, story = sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5]
    names = [f"holder-{number}" for number in range(holders)]
    grpc_channel.CONNECT_S = 20.0
    identity = Identity.load(Path(folder) / names[index], now=datetime.datetime.now(datetime.UTC))
    hello = SessionHello(session_digest=bytes(32), study_digest=bytes(32), program_digest=bytes(32))
    channel = GrpcChannel(identity, names, parties=holders, index=index, hello=hello, silence_s=8)
    tell_all(await channel.listen("127.0.0.1", [0]))
    ports = json.loads(await asyncio.to_thread(sys.stdin.readline))
    answer: dict[str, Any] = {}
    try:
        await channel.connect({i: f"127.0.0.1:{port}" for i, port in enumerate(ports)})
        engine = Engine(
            channel, parties=holders, threshold=threshold, session=bytes(32), program="test/1"
        )
        engine.install()
        if story != "deal" and index == holders - 1:
            misbehave(engine, story)
        cpu, wall = time.process_time(), time.perf_counter()
        key = await deal_key(engine, seed=SEED, random=os.urandom)
        answer = {
            "cpu_s": time.process_time() - cpu,
            "wall_s": time.perf_counter() - wall,
            "bytes": engine.bytes_sent,
            "public": key.public.to_bytes().hex(),
            "sigma": [hex(share) for share in key.sigma],
            "shown": repr(key),
        }
    except UpcareError as error:
        answer = {"error": type(error).__name__, "text": str(error)}
    tell_all(json.dumps(answer))
    await channel.close()


asyncio.run(main())
