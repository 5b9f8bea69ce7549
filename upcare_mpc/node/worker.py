"""One session in one process: the only place of a node where shares exist.

The server starts a worker ahead of time; it loads its libraries and waits. ``assign`` gives it a
session and this registry's vector; it listens and says ``ready``. ``start`` gives it the peers'
addresses; it runs and says ``phase``, then ``spend`` and waits for ``spent`` BEFORE any input
share leaves, then ``output`` and waits for ``stored``. It ends with ``done`` or ``failed``, and
exits at once if the server is gone.

A computing registry runs MPyC here; a contributing one only deals its shares and never loads it.
"""

import asyncio
import datetime
import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from cryptography import x509

from upcare_mpc.errors import LinkError, SessionError, UpcareError
from upcare_mpc.link.certificates import Identity, Network, verify_signature
from upcare_mpc.link.grpc_channel import SILENCE_S, GrpcChannel, SessionHello
from upcare_mpc.mpc import field
from upcare_mpc.mpc.opening import output_statement, seal_share
from upcare_mpc.mpc.programs.contract import PROGRAM, program_digest
from upcare_mpc.mpc.programs.inputs import Signatures, await_ready, deal_input, send_input
from upcare_mpc.mpc.prss import LocalRandom
from upcare_mpc.node.law import law_from_json
from upcare_mpc.node.pipe import Message, read_message, write_message
from upcare_mpc.study.descriptor import Descriptor

__all__ = ["main"]


class Worker:
    """One party of one session."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._answers: asyncio.Queue[Message] = asyncio.Queue()
        self._phases: dict[str, float] = {}
        self._phase_start = 0.0

    async def run(self) -> None:
        """Serve one session from ``assign`` to ``done`` or ``failed``."""
        assign = await read_message(self._reader)
        if assign is None:
            return
        listening = asyncio.ensure_future(self._listen_to_server())
        try:
            await self._session(assign)
        except* UpcareError as group:
            error = _first(group)
            self._tell("failed", code=error.code, text=str(error))
        finally:
            listening.cancel()
        await self._writer.drain()

    async def _session(self, assign: Message) -> None:
        setup = _Setup(assign)
        channel = setup.channel()
        port = 0
        if setup.index < setup.descriptor.parties:
            port = await channel.listen(assign.fields["host"], assign.fields["ports"])
        self._tell("ready", port=port)
        try:
            start = await self._answer("start")
            self._phase_start = time.perf_counter()
            endpoints = {int(i): address for i, address in start.fields["endpoints"].items()}
            await channel.connect(endpoints)
            self._lap("link")
            if setup.index < setup.descriptor.parties:
                await self._compute(setup, channel)
            else:
                await self._contribute(setup, channel)
        finally:
            await channel.close()
        self._tell("done")

    async def _contribute(self, setup: "_Setup", channel: GrpcChannel) -> None:
        """Deal this registry's vector to the computing ones, once they are ready for it."""
        await await_ready(channel, parties=setup.descriptor.parties)
        dealt = setup.deal(LocalRandom().words)
        await self._spend()
        await send_input(channel, dealt, setup.signatures, session=setup.session)
        self._tell("phase", phase="sharing")

    async def _compute(self, setup: "_Setup", channel: GrpcChannel) -> None:
        """Draw the noise, exchange inputs, agree, and seal this party's share of the sum."""
        from upcare_mpc.mpc.engine import Engine  # noqa: PLC0415 - contributing workers never load MPyC
        from upcare_mpc.mpc.programs.noisy_sum import (  # noqa: PLC0415
            announce_ready,
            draw_noise,
            sum_inputs,
        )

        descriptor, registries = setup.descriptor, len(setup.descriptor.roster)
        engine = Engine(
            channel,
            parties=descriptor.parties,
            threshold=descriptor.threshold,
            session=setup.session,
            program=PROGRAM,
        )
        engine.install()
        await engine.agree_keys()
        self._tell("phase", phase="noise")
        cpu = time.process_time()
        noise = await draw_noise(engine, setup.law, descriptor.cells)
        self._lap("noise")
        announce_ready(channel, registries)
        await await_ready(channel, parties=descriptor.parties)
        dealt = setup.deal(engine.local_random.words)
        await self._spend()
        self._tell("phase", phase="sharing")
        await send_input(channel, dealt, setup.signatures, session=setup.session)
        own = field.from_bytes(dealt.payloads[setup.index][32:], cells=descriptor.cells)
        result = await sum_inputs(
            engine,
            channel,
            noise,
            (own, dealt.hashes),
            setup.signatures,
            session=setup.session,
            registries=registries,
            noise_id=b"direct",
        )
        self._lap("sharing")
        self._tell("phase", phase="opening")
        sealed = seal_share(
            result.share,
            descriptor.sealing_key,
            session=setup.session,
            sender=setup.name,
            index=setup.index,
        )
        signature = setup.signatures.sign(
            output_statement(setup.session, setup.index, result.agreement, sealed)
        )
        self._lap("opening")
        self._tell(
            "output",
            blob=sealed,
            index=setup.index,
            agreement=result.agreement.hex(),
            signature=signature.hex(),
            metrics={
                "phases": self._phases,
                "cpu_seconds": time.process_time() - cpu,
                "bytes": engine.bytes_sent,
                "rounds": engine.rounds,
                "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            },
        )
        await self._answer("stored")

    async def _spend(self) -> None:
        """Ask the server to charge the ledger; nothing leaves before it has."""
        self._tell("spend")
        await self._answer("spent")

    def _lap(self, phase: str) -> None:
        now = time.perf_counter()
        self._phases[phase] = now - self._phase_start
        self._phase_start = now

    def _tell(self, say: str, /, blob: bytes = b"", **fields: Any) -> None:
        write_message(self._writer, say, blob=blob, **fields)

    async def _listen_to_server(self) -> None:
        """Pass on the server's answers; exit when it is gone."""
        while (message := await read_message(self._reader)) is not None:
            if message.say == "abort":
                break
            self._answers.put_nowait(message)
        os._exit(3)

    async def _answer(self, say: str) -> Message:
        message = await self._answers.get()
        if message.say != say:
            raise SessionError(f"the server said {message.say} where {say} was due")
        return message


class _Setup:
    """What ``assign`` says, parsed."""

    def __init__(self, assign: Message) -> None:
        fields = assign.fields
        self.descriptor = Descriptor.from_canonical(fields["descriptor"].encode())
        self.session = self.descriptor.digest
        self.name = str(fields["name"])
        self.index = self.descriptor.place(self.name)
        self.law = law_from_json(fields["law"], digest=self.descriptor.law)
        self._vector = np.frombuffer(assign.blob, "<i8")
        network = Network(fields["identity"]["ca"].encode())
        now = datetime.datetime.now(datetime.UTC)
        pem = str(fields["identity"]["certificate"])
        party, _ = network.verify(pem, now=now)
        self._identity = Identity(
            party=party,
            network=network,
            certificate_pem=pem.encode(),
            key_pem=fields["identity"]["key"].encode(),
        )
        certificates = [x509.load_pem_x509_certificate(c.encode()) for c in fields["certificates"]]

        def verify(index: int, statement: bytes, signature: bytes) -> None:
            verify_signature(certificates[index], statement, signature)

        self.signatures = Signatures(sign=self._identity.sign, verify=verify)
        self._silence_s = float(fields.get("silence_s", SILENCE_S))

    def channel(self) -> GrpcChannel:
        """This party's links, not yet connected."""
        return GrpcChannel(
            self._identity,
            [member.name for member in self.descriptor.roster],
            parties=self.descriptor.parties,
            index=self.index,
            hello=SessionHello(
                session_digest=self.session,
                study_digest=self.descriptor.study,
                program_digest=program_digest(self.law.digest),
            ),
            silence_s=self._silence_s,
        )

    def deal(self, random: Callable[[int], field.Words]) -> Any:
        """Split this registry's vector into salted shares."""
        return deal_input(
            self._vector,
            parties=self.descriptor.parties,
            threshold=self.descriptor.threshold,
            random=random,
        )


def _first(group: BaseExceptionGroup[UpcareError]) -> UpcareError:
    """The error to report: a lost link is often the echo of a clearer error of a peer."""
    flat: list[UpcareError] = []

    def flatten(exceptions: BaseExceptionGroup[UpcareError]) -> None:
        for exception in exceptions.exceptions:
            if isinstance(exception, BaseExceptionGroup):
                flatten(exception)
            else:
                flat.append(exception)

    flatten(group)
    return next((e for e in flat if not isinstance(e, LinkError)), flat[0])


async def _main() -> None:
    # The pipe is file descriptor 1; whatever a library prints goes to standard error instead.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, out)
    writer = asyncio.StreamWriter(transport, protocol, reader, loop)
    if "--computes" in sys.argv:
        import upcare_mpc.mpc.engine  # noqa: F401, PLC0415 - loaded ahead of the session
    await Worker(reader, writer).run()


def main() -> None:
    """Entry point of ``python -m upcare_mpc.node.worker``."""
    asyncio.run(_main())


if __name__ == "__main__":
    main()
