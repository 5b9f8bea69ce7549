"""Starting a worker and talking to it: the server's end of the pipe.

A worker is started ahead of the session it will serve, because loading its libraries takes longer
than most sessions. It dies with this process: its standard input ends.
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from typing import Any

from upcare_mpc.deposits.collection import Collection
from upcare_mpc.errors import SessionError
from upcare_mpc.link.certificates import Identity
from upcare_mpc.mpc.noise import Law
from upcare_mpc.mpc.programs.contract import Rules
from upcare_mpc.mpc.programs.fill import Fill
from upcare_mpc.mpc.programs.segments import Segments
from upcare_mpc.node.assignment import (
    Deposited,
    Reach,
    common_fields,
    fill_fields,
    key_fields,
    study_fields,
)
from upcare_mpc.node.pipe import Message, read_message, write_message
from upcare_mpc.study.descriptor import Descriptor

__all__ = ["WorkerProcess"]

READY_S = 30.0
# A worker makes and drops vectors of megabytes, thousands of times. The C library would give each
# back to the system and have it zeroed anew; told so by these, glibc keeps them. Others ignore it.
_KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(256 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
    "MALLOC_TOP_PAD_": str(64 << 20),
}


class WorkerProcess:
    """One worker process, before and during its session."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, *, computes: bool, background: bool = False) -> "WorkerProcess":
        """Start a worker that waits for its job.

        Args:
            computes: Whether it may have to compute; then it loads MPyC ahead.
            background: Whether everything else on this machine goes first.
        """
        flags = {"--computes": computes, "--background": background}
        chosen = [flag for flag, wanted in flags.items() if wanted]
        arguments = ["-m", "upcare_mpc.node.worker", *chosen]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 24,
            env={**os.environ, **_KEEP_MEMORY},
        )
        return cls(process)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.returncode is None

    async def assign(
        self,
        descriptor: Descriptor,
        *,
        vector: bytes,
        noise: Segments | None,
        identity: Identity,
        certificates: Sequence[str],
        law: Law,
        rules: Rules,
        reach: Reach,
        deposited: Deposited | None = None,
    ) -> int:
        """Give the worker its session, this registry's vector, and its noise if that is there.

        Args:
            descriptor: The session.
            vector: ``(n,)`` little-endian 64-bit counts. Secret.
            noise: Segments of the noise bank; ``None`` on the direct path. Secret.
            identity: This party; its key goes to the worker, which signs and speaks TLS.
            certificates: PEM, in roster order, already verified.
            law: Law of the noise.
            rules: The study's, about what is shown.
            reach: How its peers reach it.
            deposited: Deposits that enter the sum, if it computes and there are any. Secret.

        Returns:
            The port the worker listens on; 0 if it only dials.
        """
        blob, fields = study_fields(descriptor, rules, vector, noise, law, deposited)
        common = common_fields(identity, certificates, reach)
        return await self._assign("study", blob, {**fields, **common})

    async def assign_fill(
        self,
        fill: Fill,
        *,
        identity: Identity,
        certificates: Sequence[str],
        law: Law,
        reach: Reach,
    ) -> int:
        """Give the worker a fill of the noise bank; arguments and result as for ``assign``."""
        common = common_fields(identity, certificates, reach)
        return await self._assign("fill", b"", {**fill_fields(fill, law), **common})

    async def assign_key(
        self,
        collection: Collection,
        *,
        identity: Identity,
        certificates: Sequence[str],
        reach: Reach,
    ) -> int:
        """Have the worker deal a collection's key; arguments and result as for ``assign``."""
        common = common_fields(identity, certificates, reach)
        return await self._assign("key", b"", {**key_fields(collection), **common})

    async def _assign(self, job: str, blob: bytes, fields: dict[str, Any]) -> int:
        self.tell(job, blob=blob, **fields)
        try:
            message = await asyncio.wait_for(self.next_message(), READY_S)
        except TimeoutError:
            raise SessionError(f"the worker was not ready within {READY_S:.0f} s") from None
        if message is None or message.say != "ready":
            text = message.fields.get("text") if message else None
            raise SessionError(text or "the worker ended before it was ready")
        return int(message.fields["port"])

    def tell(self, say: str, /, blob: bytes = b"", **fields: object) -> None:
        """Send the worker a message."""
        if self._process.stdin is not None and not self._process.stdin.is_closing():
            write_message(self._process.stdin, say, blob=blob, **fields)

    async def next_message(self) -> Message | None:
        """Wait for the worker's next message; ``None`` when it has ended."""
        if self._process.stdout is None:
            return None
        return await read_message(self._process.stdout)

    async def end(self) -> None:
        """End the process if it still runs, and wait for it."""
        if self.alive:
            self._process.kill()
        await self._process.wait()
