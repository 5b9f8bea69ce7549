"""Collections at one node: its part of the key, and its word on the deposits.

    proposed --approve--> begun --start--> held: key signed ──closing──> findings signed
                            │                 │                             │
                            └──failed─────────┴──discard, or a release──────┴──> erased

A collection touches no record and no budget: what is charged is the session that uses it
(``node.session``). What the node holds of the key survives a restart; what it was busy with when it
was stopped has failed.

Deposits are fetched from the platform and are what their list's digest says; this node's share of
them is checked in a process of its own (``node.checking``). A proposed session names a set of them.
Every registry works out from the holders' findings that it is that set; a holder pins its key to
it, on disk, before it approves.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc._proto.upcare.deposit.v1 import deposit_pb2
from upcare_mpc._proto.upcare.study.v1 import study_pb2
from upcare_mpc.config import Agreement, PartyFile
from upcare_mpc.deposits.collection import Collection
from upcare_mpc.deposits.findings import Findings, FrozenSet, checkers_of, freeze, list_digest
from upcare_mpc.deposits.key import HolderKey
from upcare_mpc.deposits.matching import check_collection
from upcare_mpc.errors import ProtocolError, RefusedError, SessionError, UpcareError
from upcare_mpc.kinds.answers import one_hot_tables
from upcare_mpc.kinds.question import Question
from upcare_mpc.link.certificates import Identity
from upcare_mpc.link.roster import check_approvals, check_roster
from upcare_mpc.link.signers import verifier
from upcare_mpc.link.statements import approval_statement, question_digest
from upcare_mpc.node.approval import Standing
from upcare_mpc.node.assignment import Deposited, Reach
from upcare_mpc.node.books import Books
from upcare_mpc.node.checking import Checked, Checks, checked_apart
from upcare_mpc.node.deposit_folder import DepositFolder
from upcare_mpc.node.process import WorkerProcess
from upcare_mpc.node.question import check_policy, read_question
from upcare_mpc.storage.holdings import Holdings
from upcare_mpc.storage.sessions import SessionState
from upcare_mpc.study.descriptor import Descriptor
from upcare_mpc.study.packed import pack, unpack

__all__ = ["Collector"]

KEY_S: Final = 120.0  # from approval to the signed key
UNUSED_S: Final = 32 * 24 * 3600
"""So long after its end for deposits a key is kept, if the platform does not say that it is over;
the platform waits a day less for the researcher."""
TEND_S: Final = 3600.0
_CLOCKS_S: Final = 600
_PAPERS: Final = b"UNC1"
_MAX_PAPERS: Final = 1 << 20
_SEALING_BYTES: Final = 32


@dataclass(slots=True, kw_only=True)
class _Begun:
    """A collection whose key is being dealt."""

    collection: Collection
    certificates: list[x509.Certificate]
    pems: list[str]
    worker: WorkerProcess | None = None
    started: bool = False

    async def end(self) -> None:
        """End its worker, if it has one."""
        if self.worker is not None:
            await self.worker.end()


@dataclass(slots=True, kw_only=True)
class Collector:
    """What a node does about collections.

    Attributes:
        party: This registry.
        agreement: Of the network.
        identity: Certificate and key.
        books: For the operator's word.
        holdings: Keys that it holds a part of.
        deposits: Where deposits lie between closing and release.
        say: The way to the platform.
        log: Writes one line.
        start_worker: Starts a worker process.
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
    start_worker: Callable[[], Awaitable[WorkerProcess]]
    check: Callable[[Checks], Awaitable[Checked]] = checked_apart
    _begun: _Begun | None = None
    _closing: dict[bytes, "asyncio.Task[None]"] = attribute(default_factory=dict)

    def has(self, digest: bytes) -> bool:
        """Whether the key of this collection is being dealt here."""
        return self._begun is not None and self._begun.collection.digest == digest

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
                    collection, _ = _read_papers(row.papers)
                    if time.time() > collection.closes + UNUSED_S:
                        await self._forget(row.collection)
                        self.log(f"collection {_short(row.collection)}: unused, its key is erased")
            except (UpcareError, OSError) as error:  # an hour later it may work
                self.log(f"unused keys are not erased: {error}")
            await asyncio.sleep(TEND_S)

    async def end(self) -> None:
        """End all that is under way; what is held stays."""
        closings = list(self._closing.values())
        for closing in closings:
            closing.cancel()
        await asyncio.gather(*closings, return_exceptions=True)
        if self._begun is not None:
            await self._drop(self._begun)

    # -- the key --------------------------------------------------------------------------------

    async def approve(self, call: int, proposal: deposit_pb2.CollectionProposal) -> None:
        """Agree to hold a part of a key and send the signed approval, or say why not."""
        try:
            begun = self._begin(proposal)
            try:
                endpoint = await self._prepare(begun)
            except BaseException:
                await self._drop(begun)
                raise
        except UpcareError as error:
            self.log(f"collection refused: {error}")
            self._say(call=call, failure=coordinator_pb2.Failure(code=error.code, text=str(error)))
            return
        name, digest = self.party.name, begun.collection.digest
        approval = study_pb2.Approval(
            session_digest=digest,
            registry=name,
            endpoint=endpoint,
            signature=self.identity.sign(approval_statement(digest, name, endpoint)),
        )
        self._say(call=call, approval=approval)

    async def expire(self) -> None:
        """Give up dealing the key under way if it is still that one after its time."""
        begun = self._begun
        await asyncio.sleep(KEY_S)
        if begun is not None and self._begun is begun:
            self.log(f"collection ended: its key was not dealt within {KEY_S:.0f} s")
            await self._drop(begun)

    async def run(self, approvals: Sequence[study_pb2.Approval]) -> None:
        """Deal the key under way, keep this node's part of it, and sign what all know of it."""
        begun = self._begun
        if begun is None or begun.started:
            raise ProtocolError("the key of a collection is dealt once, after it was approved")
        begun.started, digest = True, begun.collection.digest
        try:
            endpoints = check_approvals(begun.collection, begun.certificates, approvals)
            key = await self._dealt(begun, endpoints)
            if self._begun is not begun:
                raise SessionError("it was given up")
            self._begun = None
            self.log(f"collection {_short(digest)}: holds a part of its key")
            self._say(key=deposit_pb2.SignedKey(collection=digest, key=key.to_bytes()))
        except (UpcareError, OSError) as error:
            await self._forget(digest)  # also if it was stored when somebody gave up
            if self._begun is begun:  # else it was given up, and that has been said
                self._fail(digest, error)
                await self._drop(begun)
        finally:
            await begun.end()

    async def discard(self, digest: bytes) -> None:
        """A collection is over: nothing of it stays here."""
        if self._begun is not None and self.has(digest):
            await self._drop(self._begun)
        closing = self._closing.get(digest)
        if closing is not None:
            closing.cancel()
            await asyncio.wait([closing])
        row = self.holdings.get(digest)
        if row is not None and row.held:
            await self._forget(digest)
            self.log(f"collection {_short(digest)}: over, its key is erased")

    async def released(self, session: bytes) -> None:
        """The output of a session is stored: the key of its deposits has done its work."""
        for row in self.holdings.held():
            if row.session == session:
                await self._forget(row.collection)

    # -- the deposits ---------------------------------------------------------------------------

    def close(self, closing: deposit_pb2.Closing) -> None:
        """Fetch the deposits of a collection, check this node's share, and say what it found.

        Takes the place of an earlier closing of the same collection, among other holders.
        """
        digest = bytes(closing.collection)
        earlier = self._closing.get(digest)
        if earlier is not None:
            earlier.cancel()
        task = asyncio.ensure_future(self._look_at(closing, earlier))
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
            RefusedError: The key belongs to another set, or is gone.
            ProtocolError: The findings do not fit, or are not signed by the holders; or the set is
                not the session's, or not of the deposits that are here.
        """
        collection, frozen = self._frozen(proposal, question, descriptor)
        digest, seats = collection.digest, descriptor.roster[: descriptor.parties]
        computes = descriptor.place(self.party.name) < descriptor.parties
        digests = self.deposits.digests(digest) if computes else []
        if computes and list_digest(digest, digests) != frozen.deposits:
            raise ProtocolError("the deposits that are here are not those that were frozen")
        row = self.holdings.get(digest)
        if not computes and (row is None or not row.held):
            return None
        secret = self.holdings.pin(digest, frozen.digest, session=descriptor.digest)
        if not computes:
            return None
        return Deposited(
            collection=collection,
            folder=str(self.deposits.place(digest)),
            accepted=tuple((place, digests[place].hex()) for place in frozen.accepted),
            tables=tuple(sorted(frozen.registries)),
            answers=one_hot_tables(question.layout),
            points=tuple(collection.place(seat.name) + 1 for seat in seats),
            sealing=secret[:_SEALING_BYTES],
            sigma=secret[_SEALING_BYTES:],
        )

    # -- inside ---------------------------------------------------------------------------------

    def _begin(self, proposal: deposit_pb2.CollectionProposal) -> _Begun:
        """Check a proposed collection against the question, the policy and the operator's word."""
        if self._begun is not None:
            raise RefusedError("is busy with the key of another collection")
        collection = Collection.from_canonical(proposal.collection)
        question = read_question(proposal.request, self.agreement, now=time.time())
        check_policy(question, proposal.request, self.party.policy, registry=self.party.name)
        self._check(collection, question)
        if collection.signing_key != proposal.request.signing_key:
            raise ProtocolError("the collection is for another researcher")
        if abs(time.time() - collection.opened) > _CLOCKS_S:
            raise ProtocolError("the collection is not opened now; check this machine's clock")
        if not self.party.computes:
            raise ProtocolError(f"{self.party.name} does not compute, and so holds no keys")
        if not self.party.policy.automatic:
            asked = question_digest(question.digest, proposal.request.signing_key)
            if self.books.standing(asked)[0] is not Standing.GRANTED:
                raise RefusedError("waits for its operator")
        certificates = check_roster(collection, proposal.certificates, self.identity.network)
        self._check_own_certificate(collection)
        if self.holdings.get(collection.digest) is not None:
            raise RefusedError("has held a key of this collection before")
        self.holdings.check_room()
        self._begun = _Begun(
            collection=collection, certificates=certificates, pems=list(proposal.certificates)
        )
        return self._begun

    def _check(self, collection: Collection, question: Question) -> None:
        check_collection(
            collection,
            question,
            network=self.identity.network.fingerprint,
            committee=self.agreement.committee,
        )

    def _check_own_certificate(self, collection: Collection) -> None:
        own = collection.holders[collection.place(self.party.name)]
        if own.certificate != self.identity.party.fingerprint:
            raise ProtocolError(f"the collection names another certificate of {self.party.name}")

    async def _prepare(self, begun: _Begun) -> str:
        """Start the worker that deals the key; where it listens."""
        if begun.collection.envelope == "sealed":
            return ""
        begun.worker = await self.start_worker()
        party, port = self.party, 0
        if self._begun is begun:
            port = await begun.worker.assign_key(
                begun.collection,
                identity=self.identity,
                certificates=begun.pems,
                reach=Reach(host=party.host, ports=party.ports, silence_s=party.silence_s),
            )
        if self._begun is not begun:
            raise SessionError("it was given up before it began")
        return f"{party.host}:{port}"

    async def _dealt(self, begun: _Begun, endpoints: dict[str, str]) -> HolderKey:
        """Deal the key with the other holders, and keep this node's part; what is public of it."""
        if begun.worker is None:
            return self._hold(begun, b"", b"")
        begun.worker.tell("start", endpoints=endpoints)
        key = None
        while (message := await begun.worker.next_message()) is not None:
            match message.say:
                case "key":
                    size = int(message.fields["public"])
                    key = self._hold(begun, message.blob[:size], message.blob[size:])
                    begun.worker.tell("stored")
                case "failed":
                    raise SessionError(message.fields["text"])
                case "done" if key is not None:
                    return key
        raise SessionError("the worker that deals a key ended unexpectedly")

    def _hold(self, begun: _Begun, public: bytes, sigma: bytes) -> HolderKey:
        """Keep the secrets, durably, and sign what is public of them."""
        private, digest = X25519PrivateKey.generate(), begun.collection.digest
        self.holdings.add(
            digest,
            papers=pack(_PAPERS, begun.collection.canonical(), public),
            secret=private.private_bytes_raw() + sigma,
        )
        return HolderKey(
            collection=digest,
            holder=self.party.name,
            public=public,
            sealing=private.public_key().public_bytes_raw(),
        ).signed(self.identity.sign)

    async def _look_at(
        self, closing: deposit_pb2.Closing, earlier: "asyncio.Task[None] | None"
    ) -> None:
        if earlier is not None:
            await asyncio.wait([earlier])
        digest = bytes(closing.collection)
        try:
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
        if not task.cancelled() and task.exception() is not None:
            self._fail(digest, SessionError("has a fault; its log says more"))

    async def _findings(self, closing: deposit_pb2.Closing) -> Findings:
        row = self.holdings.get(bytes(closing.collection))
        if row is None or not row.held:
            raise RefusedError("holds no key of this collection")
        collection, public = _read_papers(row.papers)
        self._check_own_certificate(collection)
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
            sealing = self.holdings.secret(collection.digest)[:_SEALING_BYTES]
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
            refused=checked.refused,
            registries=checked.registries,
        ).signed(self.identity.sign)

    def _tell(self, collection: Collection, checked: Checked, *, checks: int, count: int) -> None:
        """Log what was found: places and reasons, no value."""
        short = _short(collection.digest)
        for place, reason in sorted(checked.refused.items()):
            self.log(f"collection {short}: deposit {place} refused: {reason}")
        reasons = Counter(checked.refused.values())
        told = ", ".join(f"{number} {reason}" for reason, number in sorted(reasons.items()))
        self.log(
            f"collection {short}: checked {checks} of {count} deposits, refused {told or 'none'}"
        )

    def _frozen(
        self, proposal: coordinator_pb2.Proposal, question: Question, descriptor: Descriptor
    ) -> tuple[Collection, FrozenSet]:
        """Work out which deposits a session is on, as every registry of its roster can."""
        collection = Collection.from_canonical(proposal.collection)
        self._check(collection, question)
        if collection.signing_key != descriptor.signing_key:
            raise ProtocolError("the collection is for another researcher")
        named = {holder.name: holder.certificate for holder in collection.holders}
        pems = zip(descriptor.roster, proposal.certificates, strict=True)
        holders = {m.name: pem for m, pem in pems if named.get(m.name) == m.certificate}
        findings = [Findings.from_canonical(f.findings, f.signature) for f in proposal.findings]
        frozen = freeze(collection, findings, verifier(holders))
        seats = {member.name for member in descriptor.roster[: descriptor.parties]}
        if frozen.digest != descriptor.deposits or not seats <= set(findings[0].present):
            raise ProtocolError("the session is on other deposits than its holders have found")
        return collection, frozen

    async def _forget(self, digest: bytes) -> None:
        """Erase the key, then the deposits."""
        self.holdings.erase(digest)
        await self.deposits.remove(digest)

    async def _drop(self, begun: _Begun) -> None:
        if self._begun is begun:
            self._begun = None
        await begun.end()

    def _fail(self, digest: bytes, error: UpcareError | OSError) -> None:
        """Say that something about a collection has failed here, and why."""
        if not isinstance(error, UpcareError):
            error = SessionError(f"its disk fails: {error.strerror}")
        self.log(f"collection {_short(digest)}: {error}")
        failure = coordinator_pb2.Failure(
            session_digest=digest, code=error.code, text=str(error)[:300]
        )
        self._say(failure=failure)

    def _say(self, **message: Any) -> None:
        self.say(coordinator_pb2.AttendRequest(**message))


def _read_papers(papers: bytes) -> tuple[Collection, bytes]:
    """The collection, and its encoded RLWE key."""
    collection, public = unpack(_PAPERS, papers, most=_MAX_PAPERS)
    return Collection.from_canonical(collection), public


def _short(digest: bytes) -> str:
    return digest.hex()[:12]
