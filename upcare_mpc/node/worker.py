"""One session in one process: the only place of a node where shares exist in the clear.

The server starts a worker ahead of time; it loads its libraries and waits. It does ONE job.

``study`` gives it a session, this registry's vector, and segments of the noise bank if the
session draws on it. It listens and says ``ready``. ``start`` gives it the peers' addresses; it
runs and says ``phase``, then ``spend`` and waits for ``spent`` BEFORE any input share leaves,
then ``reveal`` and waits for ``noted`` if bits about the result open to the computing registries,
then ``converted`` and waits for ``erased`` once it has the deposits as shares, if there are any,
then ``output`` and waits for ``stored``. ``fill`` gives it a fill of the noise bank; the same up
to ``start``, then it says ``segments`` and waits for ``stored``. ``key`` gives it a collection; it
says ``key`` in the end and waits for ``stored``. It ends with ``done`` or ``failed``, and exits at
once if the server is gone.

A computing registry runs MPyC here; a contributing one only deals its shares and never loads it.
"""

import asyncio
import os
import resource
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from upcare_mpc.deposits.key import seed_of
from upcare_mpc.errors import LinkError, SessionError, UpcareError
from upcare_mpc.he import ring
from upcare_mpc.link.grpc_channel import GrpcChannel
from upcare_mpc.mpc import field
from upcare_mpc.mpc.field import Words
from upcare_mpc.mpc.opening import Passing, output_statement, seal_share
from upcare_mpc.mpc.programs.contract import compares
from upcare_mpc.mpc.programs.fill import confirm_stored
from upcare_mpc.mpc.programs.inputs import await_ready, send_input
from upcare_mpc.mpc.programs.segments import seal_segments
from upcare_mpc.mpc.prss import LocalRandom
from upcare_mpc.node.assignment import (
    Deposited,
    FillAssignment,
    KeyAssignment,
    StudyAssignment,
)
from upcare_mpc.node.conversion import Conversion
from upcare_mpc.node.pipe import Message, read_message, write_message

if TYPE_CHECKING:
    from upcare_mpc.mpc.engine import Engine
    from upcare_mpc.mpc.programs.noisy_sum import NoisySum

__all__ = ["main"]

BACKGROUND_NICENESS = 10


class Worker:
    """One party of one session."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._answers: asyncio.Queue[Message] = asyncio.Queue()
        self._phases: dict[str, float] = {}
        self._phase_start = 0.0
        self._rounds = 0  # waits for peers outside the engine
        self._revealed = False

    async def run(self) -> None:
        """Do one job, from the server's first message to ``done`` or ``failed``."""
        job = await read_message(self._reader)
        if job is None:
            return
        listening = asyncio.ensure_future(self._listen_to_server())
        try:
            work = {"fill": self._fill, "key": self._key}.get(job.say, self._study)
            await work(job)
        except* UpcareError as group:
            error = _first(group)
            self._tell("failed", code=error.code, text=str(error))
        except* OSError:  # its text holds a path
            self._tell("failed", code=SessionError.code, text="its disk or network fails")
        finally:
            listening.cancel()
        await self._writer.drain()

    # -- a session of a study -------------------------------------------------------------------

    async def _study(self, job: Message) -> None:
        assignment = StudyAssignment(job)
        run = self._compute if assignment.computes else self._contribute
        async with self._linked(assignment, listens=assignment.computes) as channel:
            await run(assignment, channel)
        self._tell("done")

    async def _contribute(self, assignment: StudyAssignment, channel: GrpcChannel) -> None:
        """Deal this registry's vector to the computing ones, once they have their noise."""
        if assignment.descriptor.draw is None:  # else they had it before they approved
            await await_ready(channel, parties=assignment.parties)
        dealt = assignment.deal(LocalRandom().words)
        await self._spend()
        await send_input(channel, dealt, assignment.signatures, session=assignment.session)
        self._tell("phase", phase="sharing")

    async def _compute(self, assignment: StudyAssignment, channel: GrpcChannel) -> None:
        """Have the noise, exchange inputs, agree, and seal this party's share of what may open."""
        from upcare_mpc.mpc.programs.noisy_sum import (  # noqa: PLC0415 - loads MPyC
            agree_on_sum,
            take_inputs,
        )

        cpu = time.process_time()
        engine = _engine(assignment, channel)
        noise = assignment.noise
        compared = compares(assignment.program)
        deposited = assignment.deposited
        if noise is None or compared or deposited is not None:
            await engine.agree_keys()
            self._rounds += 1
        if noise is None:
            noise = await self._draw(engine, assignment, channel)
        dealt = assignment.deal(engine.local_random.words)
        await self._spend()
        self._tell("phase", phase="sharing")
        await send_input(channel, dealt, assignment.signatures, session=assignment.session)
        inputs = await take_inputs(
            channel,
            (assignment.own_share(dealt), dealt.hashes),
            assignment.signatures,
            session=assignment.session,
            parties=assignment.parties,
            registries=len(assignment.descriptor.roster),
        )
        self._lap("sharing")
        noise_id, dropped = assignment.descriptor.noise.encode(), tuple[int, ...]()
        if deposited is not None:  # only now: its key converts once
            share, dropped = await self._convert(engine, assignment, deposited)
            noise = field.add(noise, share)
            noise_id += b"".join(place.to_bytes(4) for place in dropped)
        result = await agree_on_sum(
            channel,
            inputs,
            noise,
            assignment.signatures,
            session=assignment.session,
            parties=assignment.parties,
            noise_id=noise_id,
        )
        self._rounds += 2  # inputs, agreement
        self._lap("sharing")
        passing = await self._compare(engine, assignment, result) if compared else None
        self._tell("phase", phase="opening")
        sealed = seal_share(
            result.share,
            assignment.descriptor.sealing_key,
            session=assignment.session,
            sender=assignment.name,
            index=assignment.index,
            passing=passing,
        )
        statement = output_statement(
            assignment.session, assignment.index, result.agreement, sealed, dropped
        )
        signature = assignment.signatures.sign(statement)
        self._lap("opening")
        self._tell(
            "output",
            blob=sealed,
            index=assignment.index,
            agreement=result.agreement.hex(),
            signature=signature.hex(),
            dropped=dropped,
            metrics=self._metrics(engine, cpu),
        )
        await self._answer("stored")

    async def _draw(
        self, engine: "Engine", assignment: StudyAssignment, channel: GrpcChannel
    ) -> Words:
        """Draw the noise in this session, and wait until every party has it."""
        from upcare_mpc.mpc.programs.noisy_sum import announce_ready, draw_noise  # noqa: PLC0415

        descriptor = assignment.descriptor
        self._tell("phase", phase="noise")
        noise = await draw_noise(engine, assignment.law, descriptor.cells)
        self._lap("noise")
        announce_ready(channel, len(descriptor.roster))
        await await_ready(channel, parties=descriptor.parties)
        self._rounds += 1
        return noise

    async def _compare(
        self, engine: "Engine", assignment: StudyAssignment, result: "NoisySum"
    ) -> Passing:
        """Decide which cells may open; the bits are an output: from here on no refund."""
        from upcare_mpc.mpc.programs.suppress import (  # noqa: PLC0415
            agree_on_passing,
            passing_cells,
        )

        await self._reveal()
        passing = await passing_cells(engine, result.share, assignment.rules)
        await agree_on_passing(engine, passing, assignment.signatures, agreement=result.agreement)
        self._lap("comparing")
        return passing

    async def _convert(
        self, engine: "Engine", assignment: StudyAssignment, deposited: Deposited
    ) -> tuple[Words, tuple[int, ...]]:
        """Turn the deposits into shares of their sum; which are answers is an output of its own."""
        conversion = Conversion(
            engine, deposited, assignment.signatures, session=assignment.session
        )
        total, dropped = np.zeros(assignment.descriptor.cells, np.uint64), tuple[int, ...]()
        if deposited.tables:
            total = await conversion.tables()
        if conversion.patients:
            await self._reveal()
            answers, dropped = await conversion.answers()
            total = field.add(total, answers)
        self._tell("converted")
        await self._answer("erased")
        self._tell("phase", phase="deposits")
        self._lap("deposits")
        return total, dropped

    # -- the key of a collection ----------------------------------------------------------------

    async def _key(self, job: Message) -> None:
        """Deal a key with the other holders, and hand the server its part."""
        from upcare_mpc.mpc.programs.deposit_key import deal_key  # noqa: PLC0415 - loads MPyC

        assignment = KeyAssignment(job)
        async with self._linked(assignment, listens=True) as channel:
            cpu = time.process_time()
            engine = _engine(assignment, channel)
            seed = seed_of(assignment.collection)
            dealt = await deal_key(engine, seed=seed, random=os.urandom)
            public = dealt.public.to_bytes()
            self._lap("key")
            blob = public + ring.to_bytes(dealt.sigma)
            self._tell("key", blob=blob, public=len(public), metrics=self._metrics(engine, cpu))
            await self._answer("stored")
        self._tell("done")

    # -- a fill of the noise bank ---------------------------------------------------------------

    async def _fill(self, job: Message) -> None:
        """Draw noise shares, hand them sealed to the server, and confirm that all have stored."""
        from upcare_mpc.mpc.programs.noisy_sum import draw_noise  # noqa: PLC0415

        assignment = FillAssignment(job)
        async with self._linked(assignment, listens=True) as channel:
            cpu = time.process_time()
            engine = _engine(assignment, channel)
            await engine.agree_keys()
            noise = await draw_noise(engine, assignment.law, assignment.fill.cells)
            segments = seal_segments(noise, epoch=assignment.session, place=assignment.index)
            self._lap("noise")
            self._rounds += 2  # keys, confirmations
            self._tell(
                "segments",
                blob=segments.sealed,
                keys=[key.hex() for key in segments.keys],
                metrics=self._metrics(engine, cpu),
            )
            await self._answer("stored")
            await confirm_stored(channel, assignment.signatures, assignment.fill)
        self._tell("done")

    # -- both -----------------------------------------------------------------------------------

    @asynccontextmanager
    async def _linked(
        self, assignment: StudyAssignment | FillAssignment | KeyAssignment, *, listens: bool
    ) -> AsyncIterator[GrpcChannel]:
        """Listen, say ``ready``, and link with all peers at ``start``."""
        channel, reach = assignment.channel(), assignment.reach
        port = await channel.listen(reach.host, reach.ports) if listens else 0
        self._tell("ready", port=port)
        try:
            start = await self._answer("start")
            self._phase_start = time.perf_counter()
            endpoints = {int(i): address for i, address in start.fields["endpoints"].items()}
            await channel.connect(endpoints)
            self._lap("link")
            yield channel
        finally:
            await channel.close()

    def _metrics(self, engine: "Engine", cpu: float) -> dict[str, Any]:
        return {
            "phases": self._phases,
            "cpu_seconds": time.process_time() - cpu,
            "bytes": engine.bytes_sent,
            "rounds": engine.rounds + self._rounds,
            "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }

    async def _spend(self) -> None:
        """Ask the server to charge the ledger; nothing leaves before it has."""
        self._tell("spend")
        await self._answer("spent")

    async def _reveal(self) -> None:
        """Ask the server to make the charge final: bits that are no noisy value open from here."""
        if not self._revealed:
            self._revealed = True
            self._tell("reveal")
            await self._answer("noted")

    def _lap(self, phase: str) -> None:
        now = time.perf_counter()
        self._phases[phase] = self._phases.get(phase, 0.0) + now - self._phase_start
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


def _engine(
    assignment: StudyAssignment | FillAssignment | KeyAssignment, channel: GrpcChannel
) -> "Engine":
    """This party's MPyC runtime for the session."""
    from upcare_mpc.mpc.engine import Engine  # noqa: PLC0415 - contributing workers never load MPyC

    engine = Engine(
        channel,
        parties=assignment.parties,
        threshold=assignment.threshold,
        session=assignment.session,
        program=assignment.program,
    )
    engine.install()
    return engine


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
    if "--background" in sys.argv:
        os.nice(BACKGROUND_NICENESS)
    if "--computes" in sys.argv:
        import upcare_mpc.mpc.engine  # noqa: F401, PLC0415 - loaded ahead of the session
    await Worker(reader, writer).run()


def main() -> None:
    """Entry point of ``python -m upcare_mpc.node.worker``."""
    asyncio.run(_main())


if __name__ == "__main__":
    main()
