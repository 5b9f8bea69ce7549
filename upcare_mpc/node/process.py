"""Starting a worker and talking to it: the server's end of the pipe.

A worker is started ahead of the session it will serve, because loading its libraries takes longer
than most sessions. It dies with this process: its standard input ends.
"""

import asyncio
import sys
from collections.abc import Sequence

from upcare_mpc.errors import SessionError
from upcare_mpc.link.certificates import Identity
from upcare_mpc.mpc.noise import Law
from upcare_mpc.node.law import law_to_json
from upcare_mpc.node.pipe import Message, read_message, write_message
from upcare_mpc.study.descriptor import Descriptor

__all__ = ["WorkerProcess"]

READY_S = 30.0


class WorkerProcess:
    """One worker process, before and during its session."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, *, computes: bool) -> "WorkerProcess":
        """Start a worker that waits for a session.

        Args:
            computes: Whether it may have to compute; then it loads MPyC ahead.
        """
        arguments = ["-m", "upcare_mpc.node.worker", *(["--computes"] if computes else [])]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 24,
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
        identity: Identity,
        certificates: Sequence[str],
        law: Law,
        vector: bytes,
        host: str,
        ports: Sequence[int],
        silence_s: float,
    ) -> int:
        """Give the worker its session and this registry's vector.

        Args:
            descriptor: The session.
            identity: This party; its key goes to the worker, which signs and speaks TLS.
            certificates: PEM, in roster order, already verified.
            law: Law of the noise.
            vector: ``(n,)`` little-endian 64-bit counts. Secret.
            host: Address to listen on.
            ports: Ports to try; 0 is any.
            silence_s: Patience with silent peers.

        Returns:
            The port the worker listens on; 0 if it only dials.
        """
        self.tell(
            "assign",
            blob=vector,
            descriptor=descriptor.canonical().decode(),
            name=identity.party.name,
            law=law_to_json(law),
            identity={
                "ca": identity.network.ca_pem.decode(),
                "certificate": identity.certificate_pem.decode(),
                "key": identity.key_pem.decode(),
            },
            certificates=list(certificates),
            host=host,
            ports=list(ports),
            silence_s=silence_s,
        )
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
