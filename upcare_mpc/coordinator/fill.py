"""Filling noise banks while no study runs.

A study that comes ends the fill; nothing of it is left, and it is tried again afterwards. So a
study never waits for a fill. If the platform is wrong or hostile it can waste noise and so slow
studies down. It cannot choose a law: registries fill only what a study that they have checked
asked for.
"""

import asyncio
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc.coordinator.attendance import Attendance
from upcare_mpc.coordinator.banks import Banks, Committee
from upcare_mpc.errors import ProtocolError, SessionError, UpcareError
from upcare_mpc.mpc.programs.fill import Fill
from upcare_mpc.study.descriptor import Descriptor
from upcare_mpc.study.draw import DIRECT

__all__ = ["Fills"]

IDLE_S = 0.5  # after a study, before a fill
FILL_S = 120.0
RETRY_S = 30.0  # after a fill that failed


class Fills:
    """The platform's part in the noise banks of its network.

    Args:
        attendance: The way to the registries.
        network: SHA-256 of the network's CA certificate.
    """

    def __init__(self, attendance: Attendance, network: bytes) -> None:
        self._attendance = attendance
        self._banks = Banks(network)
        self._studies = 0
        self._task: asyncio.Task[None] | None = None
        self._running: Fill | None = None
        self._failed = False
        self._heard = asyncio.Event()

    def hear(self, name: str, said: coordinator_pb2.Banks) -> None:
        """A registry says what it has ready."""
        try:
            self._banks.hear(name, said)
        except ProtocolError:
            return  # it counts as having none
        self._look()

    def hear_failure(self, digest: bytes) -> None:
        """A registry says that a session or a fill has failed."""
        if self._running is not None and self._running.digest == digest:
            self._failed = True
            self._heard.set()

    def left(self, name: str) -> None:
        """A registry is gone."""
        self._banks.left(name)

    def noise_for(self, descriptor: Descriptor) -> str:
        """Where the noise of a session is to come from.

        A bank that is being filled is not drawn on: some of its registries may have the new one.
        """
        fill, key = self._running, (descriptor.committee, descriptor.law)
        if fill is not None and (fill.committee, fill.law) == key:
            return DIRECT
        return self._banks.noise_for(descriptor)

    @contextmanager
    def making_way(self, descriptor: Descriptor, certificates: Sequence[str]) -> Iterator[None]:
        """No fill runs while this study does; its committee is remembered."""
        self._banks.remember(descriptor, certificates)
        with self.paused():
            yield

    @contextmanager
    def paused(self) -> Iterator[None]:
        """No fill runs meanwhile."""
        self._studies += 1
        if self._task is not None:
            self._task.cancel()
        try:
            yield
        finally:
            self._studies -= 1
            self._look()

    # -- inside ---------------------------------------------------------------------------------

    def _look(self) -> None:
        """Begin a fill if one is due and nothing else runs."""
        self._heard.set()
        if self._task is None and not self._studies and self._banks.due(bytes(16)):
            self._task = asyncio.ensure_future(self._fill())
            self._task.add_done_callback(self._over)

    def _over(self, task: "asyncio.Task[None]") -> None:
        self._task = None
        if not task.cancelled():  # else a study runs, and looks when it ends
            self._look()

    async def _fill(self) -> None:
        await asyncio.sleep(IDLE_S)
        due = self._banks.due(secrets.token_bytes(16))
        if due is None:
            return
        self._running, committee = due
        self._failed = False
        try:
            async with asyncio.timeout(FILL_S):
                await self._run(self._running, committee)
        except (UpcareError, TimeoutError):
            self._abort(self._running, committee)
            self._running = None
            await asyncio.sleep(RETRY_S)
        except asyncio.CancelledError:
            self._abort(self._running, committee)
            raise
        finally:
            self._running = None

    async def _run(self, fill: Fill, committee: Committee) -> None:
        """Run one fill until all registries say that its bank is ready.

        Raises:
            SessionError: One refuses, does not answer or fails.
        """
        proposal = coordinator_pb2.FillProposal(
            fill=fill.canonical(), certificates=committee.certificates
        )
        answers = await self._attendance.approvals(committee.names, fill=proposal)
        approvals = [a.approval for _, a in answers if a is not None and a.HasField("approval")]
        if len(approvals) < fill.parties:
            raise SessionError("not every registry has approved the fill")
        start = coordinator_pb2.Start(session_digest=fill.digest, approvals=approvals)
        self._attendance.tell(committee.names, start=start)
        while not self._banks.filled(fill):
            if self._failed:
                raise SessionError("the fill has failed at a registry")
            self._heard.clear()
            await self._heard.wait()

    def _abort(self, fill: Fill, committee: Committee) -> None:
        abort = coordinator_pb2.Abort(session_digest=fill.digest, reason="a study goes first")
        self._attendance.tell(committee.names, abort=abort)
