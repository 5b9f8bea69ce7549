"""Collections whose key a node holds a part of: its word on the deposits, and the end.

    held (node.dealing) ──closing──> findings signed ──session──> pinned
      └────────────────────────────────────┴──discard, or a release─┴──> erased

A collection touches no record and no budget: what is charged is the session that uses it
(``node.session``). What the node holds of the key survives a restart; what it was busy with when it
was stopped has failed.

Deposits are fetched from the platform and are what their list's digest says; this node's share of
them is checked in a process of its own (``node.checking``). A proposed session names a set of them.
Every registry works out from the holders' findings that it is that set; a holder pins its key to
it, on disk, before it approves.
"""

import asyncio
import datetime
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import Any, Final

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc._proto.upcare.deposit.v1 import deposit_pb2
from upcare_mpc.config import Agreement, PartyFile
from upcare_mpc.deposits.collection import Collection
from upcare_mpc.deposits.findings import Findings, FrozenSet, checkers_of, freeze, list_digest
from upcare_mpc.deposits.matching import check_collection
from upcare_mpc.errors import ErasedError, ProtocolError, RefusedError, SessionError, UpcareError
from upcare_mpc.kinds.answers import one_hot_tables
from upcare_mpc.kinds.question import Question
from upcare_mpc.link.certificates import Identity
from upcare_mpc.link.signers import holders_verifier
from upcare_mpc.node.assignment import Deposited
from upcare_mpc.node.books import Books
from upcare_mpc.node.checking import Checked, Checks, checked_apart
from upcare_mpc.node.dealing import (
    SEALING_BYTES,
    check_own_certificate,
    read_papers,
    short,
    told_of,
)
from upcare_mpc.node.deposit_folder import DepositFolder
from upcare_mpc.storage.holdings import Holdings
from upcare_mpc.storage.sessions import SessionState
from upcare_mpc.study.descriptor import Descriptor

__all__ = ["Collector"]

UNUSED_S: Final = 32 * 24 * 3600
"""So long after its end for deposits a key is kept, if the platform does not say that it is over;
the platform waits a day less for the researcher."""
TEND_S: Final = 3600.0


@dataclass(slots=True, kw_only=True)
class Collector:
    """What a node does about collections.

    Attributes:
        party: This registry.
        agreement: Of the network.
        identity: Certificate and key.
        books: For what has become of sessions.
        holdings: Keys that it holds a part of.
        deposits: Where deposits lie between closing and release.
        say: The way to the platform.
        log: Writes one line.
        check: Checks deposits.
    """

    party: PartyFile
    agreement: Agreement
    identity: Identity
    books: Books
    holdings: Holdings
    deposits: DepositFolder
    say: Callable[[coordinator_pb2.AttendRequest], None]
    log: Callable[[str], None]
    check: Callable[[Checks], Awaitable[Checked]] = checked_apart
    _closing: dict[bytes, "asyncio.Task[None]"] = attribute(default_factory=dict)
    _looking: dict[bytes, asyncio.Lock] = attribute(default_factory=dict)  # one at a time
    _in_use: dict[bytes, bytes] = attribute(default_factory=dict)  # session to collection

    def clean(self) -> None:
        """Erase what an earlier process has left of collections that are over."""
        for row in self.holdings.held():
            if row.session and self.books.progress(row.session) is SessionState.OUTPUT:
                self.holdings.erase(row.collection)
        self.holdings.clean()
        self.deposits.clean([row.collection for row in self.holdings.held()])

    async def watch(self) -> None:
        """Erase keys that nobody has used, now and every hour."""
        while True:
            try:
                for row in self.holdings.held():
                    collection, _ = read_papers(row.papers)
                    if time.time() > collection.closes + UNUSED_S:
                        await self._forget(row.collection)
                        self.log(f"collection {short(row.collection)}: unused, its key is erased")
            except (UpcareError, OSError) as error:  # an hour later it may work
                self.log(f"unused keys are not erased: {error}")
            await asyncio.sleep(TEND_S)

    async def end(self) -> None:
        """End all that is under way; what is held stays."""
        closings = list(self._closing.values())
        for closing in closings:
            closing.cancel()
        await asyncio.gather(*closings, return_exceptions=True)

    async def discard(self, digest: bytes) -> None:
        """A collection is over: nothing of it stays here."""
        closing = self._closing.get(digest)
        if closing is not None:
            closing.cancel()
            await asyncio.wait([closing])
        row = self.holdings.get(digest)
        if row is not None and row.held:
            await self._forget(digest)
            self.log(f"collection {short(digest)}: over, its key is erased")

    async def converted(self, session: bytes) -> None:
        """Erase the key of a session's deposits: its worker has them as shares.

        Before this registry agrees to an output. So when one honest registry has made one, all m
        have erased their parts, and what is left elsewhere converts nothing.
        """
        if session in self._in_use:
            await self._forget(self._in_use[session])

    def leave(self, session: bytes) -> None:
        """A session is over here, however it ended; may be repeated."""
        self._in_use.pop(session, None)

    # -- the deposits ---------------------------------------------------------------------------

    def close(self, closing: deposit_pb2.Closing) -> None:
        """Fetch the deposits of a collection, check this node's share, and say what it found.

        Takes the place of an earlier closing of the same collection, among other holders.
        """
        digest = bytes(closing.collection)
        earlier = self._closing.get(digest)
        if earlier is not None:
            earlier.cancel()
        task = asyncio.ensure_future(self._look_at(closing))
        self._closing[digest] = task
        task.add_done_callback(lambda ended: self._ended(digest, ended))

    def admit(
        self,
        proposal: coordinator_pb2.Proposal,
        question: Question,
        descriptor: Descriptor,
    ) -> Deposited | None:
        """Check the deposits of a proposed session; pin the key to them, and hand both out.

        Args:
            proposal: Of the session, its certificates checked.
            question: What the session answers.
            descriptor: The session, checked.

        Returns:
            What the worker needs, if this registry computes. Secret.

        Raises:
            RefusedError: The key belongs to another set, or is in use, or is gone.
            ProtocolError: The findings do not fit, or are not signed by the holders; or the set is
                not the session's, or not of the deposits that are here.
        """
        collection, frozen = self._frozen(proposal, question, descriptor)
        if proposal.request.collection != collection.digest:
            raise ProtocolError("the researcher's request closes another collection")
        digest, seats = collection.digest, descriptor.roster[: descriptor.parties]
        computes = descriptor.place(self.party.name) < descriptor.parties
        digests = self.deposits.digests(digest) if computes else []
        if computes and list_digest(digest, digests) != frozen.deposits:
            raise ProtocolError("the deposits that are here are not those that were frozen")
        row = self.holdings.get(digest)
        if not computes and (row is None or not row.held):
            return None
        if digest in self._in_use.values():
            raise RefusedError("uses this collection's key in another session")
        secret = self.holdings.pin(digest, frozen.digest, session=descriptor.digest)
        if not computes:
            return None
        self._in_use[descriptor.digest] = digest
        tables = tuple(sorted(frozen.registries))
        entering = frozen.accepted
        if question.of_patients_alone:  # the tables show who is charged, and are not added
            entering, tables = tuple(p for p in entering if p not in tables), ()
        return Deposited(
            collection=collection,
            folder=str(self.deposits.place(digest)),
            accepted=tuple((place, digests[place].hex()) for place in entering),
            tables=tables,
            answers=one_hot_tables(question.layout),
            charged=(*(m.name for m in descriptor.roster), *frozen.registries.values()),
            points=tuple(collection.place(seat.name) + 1 for seat in seats),
            sealing=secret[:SEALING_BYTES],
            sigma=secret[SEALING_BYTES:],
        )

    # -- inside ---------------------------------------------------------------------------------

    async def _look_at(self, closing: deposit_pb2.Closing) -> None:
        digest = bytes(closing.collection)
        try:
            async with self._looking.setdefault(digest, asyncio.Lock()):
                findings = await self._findings(closing)
        except (UpcareError, OSError) as error:
            self._fail(digest, error)
            return
        signed = deposit_pb2.SignedFindings(
            collection=digest, findings=findings.canonical(), signature=findings.signature
        )
        self._say(findings=signed)

    def _ended(self, digest: bytes, task: "asyncio.Task[None]") -> None:
        if self._closing.get(digest) is task:
            del self._closing[digest]
        if not task.cancelled() and (fault := task.exception()) is not None:
            self.log(f"a fault while deposits were checked: {type(fault).__name__}")
            self._fail(digest, SessionError("has a fault; its log says more"))

    async def _findings(self, closing: deposit_pb2.Closing) -> Findings:
        row = self.holdings.get(bytes(closing.collection))
        if row is None or not row.held:
            raise ErasedError("holds no key of this collection")
        collection, public = read_papers(row.papers)
        check_own_certificate(collection, self.identity)
        name, present, count = self.party.name, tuple(closing.present), closing.count
        known = tuple(holder for holder in collection.names if holder in present)
        if present != known or name not in present or len(present) < 2 * collection.threshold + 1:
            raise ProtocolError("deposits are checked among 2t + 1 holders or more, in their order")
        await self.deposits.fetch(collection, count=count, listed=closing.deposits)
        own = [
            place
            for place in range(count)
            if name in checkers_of(place, present, collection.threshold)
        ]
        sealing = b""
        if collection.envelope == "sealed":
            sealing = self.holdings.secret(collection.digest)[:SEALING_BYTES]
        checked = await self.check(
            Checks(
                collection=collection,
                public=public,
                sealing=sealing,
                holder=collection.place(name),
                network=self.identity.network.ca_pem,
                folder=self.deposits.place(collection.digest),
                count=count,
                places=tuple(own),
            )
        )
        self._tell(collection, checked, checks=len(own), count=count)
        return Findings(
            collection=collection.digest,
            count=count,
            deposits=bytes(closing.deposits),
            present=present,
            holder=name,
            certificate=self.identity.certificate_pem,
            refused=checked.refused,
            registries=checked.registries,
        ).signed(self.identity.sign)

    def _tell(self, collection: Collection, checked: Checked, *, checks: int, count: int) -> None:
        """Log what was found: places and reasons, no value."""
        name = f"collection {short(collection.digest)}"
        for place, reason in sorted(checked.refused.items()):
            self.log(f"{name}: deposit {place} refused: {reason}")
        reasons = Counter(checked.refused.values())
        told = ", ".join(f"{number} {reason}" for reason, number in sorted(reasons.items()))
        self.log(f"{name}: checked {checks} of {count} deposits, refused {told or 'none'}")

    def _frozen(
        self, proposal: coordinator_pb2.Proposal, question: Question, descriptor: Descriptor
    ) -> tuple[Collection, FrozenSet]:
        """Work out which deposits a session is on, as every registry of its roster can."""
        collection = Collection.from_canonical(proposal.collection)
        check_collection(
            collection,
            question,
            network=self.identity.network.fingerprint,
            committee=self.agreement.committee,
        )
        if collection.signing_key != descriptor.signing_key:
            raise ProtocolError("the collection is for another researcher")
        findings = [Findings.from_canonical(f.findings, f.signature) for f in proposal.findings]
        now, network = datetime.datetime.now(datetime.UTC), self.identity.network
        frozen = freeze(
            collection, findings, holders_verifier(collection, findings, network, at=now)
        )
        checked = {
            (h.name, h.certificate) for h in collection.holders if h.name in findings[0].present
        }
        seats = {(m.name, m.certificate) for m in descriptor.roster[: descriptor.parties]}
        if frozen.digest != descriptor.deposits or not seats <= checked:
            raise ProtocolError("the session is on other deposits than its holders have found")
        return collection, frozen

    async def _forget(self, digest: bytes) -> None:
        """Erase the key, then the deposits."""
        self._looking.pop(digest, None)
        self.holdings.erase(digest)
        await self.deposits.remove(digest)

    def _fail(self, digest: bytes, error: UpcareError | OSError) -> None:
        """Say that something about a collection has failed here, and why."""
        told = told_of(error)
        self.log(f"collection {short(digest)}: {told}")
        failure = coordinator_pb2.Failure(session_digest=digest, code=told.code, text=str(told))
        self._say(failure=failure)

    def _say(self, **message: Any) -> None:
        self.say(coordinator_pb2.AttendRequest(**message))
