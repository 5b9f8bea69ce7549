"""Collections at one node: its part of the key, and its word on the deposits.

    proposed --approve--> begun --start--> held: key signed ──closing──> findings signed
                            │                 │                             │
                            └──failed─────────┴──discard, or a release──────┴──> erased

A collection touches no record and no budget: what is charged is the session that uses it
(``node.session``). What the node holds of the key survives a restart; what it was busy with when it
was stopped has failed.

Deposits are fetched from the platform and are what their list's digest says; this node's share of
them is checked in a process of its own (``node.checking``).
"""

import asyncio
import datetime
import shutil
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from dataclasses import field as attribute
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc._proto.upcare.deposit.v1 import deposit_pb2
from upcare_mpc._proto.upcare.study.v1 import study_pb2
from upcare_mpc.config import Agreement, PartyFile
from upcare_mpc.deposits.collection import Collection
from upcare_mpc.deposits.envelopes import most_bytes
from upcare_mpc.deposits.findings import (
    Findings,
    checkers_of,
    freeze,
    list_digest,
)
from upcare_mpc.deposits.key import HolderKey
from upcare_mpc.deposits.matching import check_collection
from upcare_mpc.errors import ProtocolError, RefusedError, SessionError, UpcareError
from upcare_mpc.kinds.answers import one_hot_tables
from upcare_mpc.kinds.question import Question
from upcare_mpc.link.certificates import Identity
from upcare_mpc.link.deposits import Holder
from upcare_mpc.link.roster import check_approvals, check_roster
from upcare_mpc.link.signers import verifier
from upcare_mpc.link.statements import approval_statement, question_digest
from upcare_mpc.node.approval import Standing
from upcare_mpc.node.assignment import Deposited, Reach
from upcare_mpc.node.books import Books
from upcare_mpc.node.checking import checked_apart
from upcare_mpc.node.process import WorkerProcess
from upcare_mpc.node.question import check_policy, read_question
from upcare_mpc.storage.holdings import HoldingRow, Holdings
from upcare_mpc.study.descriptor import Descriptor
from upcare_mpc.study.packed import pack, unpack

__all__ = ["Collector"]

KEY_S: Final = 120.0  # from approval to the signed key
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Papers:
    """What is public of a collection that this node holds a part of."""

    collection: Collection
    pems: tuple[str, ...]
    key: HolderKey

    def to_bytes(self) -> bytes:
        certificates = (pem.encode() for pem in self.pems)
        return pack(_PAPERS, self.collection.canonical(), self.key.to_bytes(), *certificates)

    @classmethod
    def of(cls, row: HoldingRow) -> "_Papers":
        collection, key, *certificates = unpack(_PAPERS, row.papers, most=_MAX_PAPERS)
        return cls(
            collection=Collection.from_canonical(collection),
            pems=tuple(pem.decode() for pem in certificates),
            key=HolderKey.from_bytes(key),
        )


@dataclass(slots=True, kw_only=True)
class Collector:
    """What a node does about collections.

    Attributes:
        party: This registry.
        agreement: Of the network.
        identity: Certificate and key.
        books: For the operator's word.
        holdings: Keys that it holds a part of.
        folder: Where deposits lie between closing and release.
        say: The way to the platform.
        log: Writes one line.
        start_worker: Starts a worker process.
    """

    party: PartyFile
    agreement: Agreement
    identity: Identity
    books: Books
    holdings: Holdings
    folder: Path
    say: Callable[[coordinator_pb2.AttendRequest], None]
    log: Callable[[str], None]
    start_worker: Callable[[], Awaitable[WorkerProcess]]
    _begun: dict[bytes, _Begun] = attribute(default_factory=dict)
    _closing: dict[bytes, "asyncio.Task[None]"] = attribute(default_factory=dict)

    def has(self, digest: bytes) -> bool:
        """Whether the key of this collection is being dealt here."""
        return digest in self._begun

    def clean(self) -> None:
        """Remove what an earlier process has left of collections that are over."""
        live = {row.collection.hex() for row in self.holdings.all() if row.held}
        if self.folder.exists():
            for left in self.folder.iterdir():
                if left.name not in live:
                    shutil.rmtree(left)

    async def end(self) -> None:
        """End all that is under way; what is held stays."""
        for closing in self._closing.values():
            closing.cancel()
        for begun in list(self._begun.values()):
            await self._drop(begun)

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

    async def expire(self, digest: bytes) -> None:
        """Give up dealing a key if it takes too long."""
        begun = self._begun.get(digest)
        await asyncio.sleep(KEY_S)
        if begun is not None and self._begun.get(digest) is begun:
            self.log(f"collection ended: its key was not dealt within {KEY_S:.0f} s")
            await self._drop(begun)

    async def run(self, digest: bytes, approvals: Sequence[study_pb2.Approval]) -> None:
        """Deal the key, keep this node's part of it, and sign what all know of it."""
        begun = self._begun[digest]
        if begun.started:
            raise ProtocolError("the key of a collection is dealt once")
        begun.started = True
        try:
            endpoints = check_approvals(begun.collection, begun.certificates, approvals)
            async with asyncio.timeout(KEY_S):
                key = await self._dealt(begun, endpoints)
            self._begun.pop(digest, None)
            self.log(f"collection {digest.hex()[:12]}: holds a part of its key")
            self._say(key=deposit_pb2.SignedKey(collection=digest, key=key.to_bytes()))
        except (UpcareError, TimeoutError) as error:
            if digest in self._begun:  # else it was given up, and that has been said
                if not isinstance(error, UpcareError):
                    error = SessionError(f"its key was not dealt within {KEY_S:.0f} s")
                self.log(f"collection failed: {error}")
                self._fail(digest, error)
                self.forget(digest)
                await self._drop(begun)
        finally:
            await begun.end()

    async def discard(self, digest: bytes) -> None:
        """A collection is over: nothing of its key stays here."""
        begun = self._begun.get(digest)
        if begun is not None:
            await self._drop(begun)
        closing = self._closing.pop(digest, None)
        if closing is not None:
            closing.cancel()
        row = self.holdings.get(digest)
        if row is not None and row.held:
            self.forget(digest)
            self.log(f"collection {digest.hex()[:12]}: over, its key is erased")

    def released(self, frozen: bytes) -> None:
        """A set of deposits is in an output that is stored: its key has done its work."""
        for row in self.holdings.all():
            if row.held and row.frozen == frozen:
                self.forget(row.collection)

    def forget(self, digest: bytes) -> None:
        """Erase the key, then the deposits."""
        self.holdings.erase(digest)
        shutil.rmtree(self._place(digest), ignore_errors=True)

    # -- the deposits ---------------------------------------------------------------------------

    def close(self, closing: deposit_pb2.Closing) -> None:
        """Fetch the deposits of a collection, check this node's share, and say what it found."""
        digest = bytes(closing.collection)
        earlier = self._closing.pop(digest, None)
        if earlier is not None:
            earlier.cancel()
        self._closing[digest] = asyncio.ensure_future(self._look_at(closing))

    async def take(
        self, proposal: coordinator_pb2.Proposal, question: Question, descriptor: Descriptor
    ) -> Deposited:
        """Pin the key to the set of deposits of a proposed session, and hand both out.

        Args:
            proposal: Of the session.
            question: What the session answers.
            descriptor: The session, checked.

        Returns:
            What the worker needs. Secret.

        Raises:
            RefusedError: The key belongs to another set, or is gone.
            ProtocolError: The findings do not fit, or are not signed by the holders; or the set is
                not the session's, or not of the deposits that are here.
        """
        collection = Collection.from_canonical(proposal.collection)
        self._check(collection, question)
        row = self.holdings.get(collection.digest)
        if row is None:
            raise RefusedError("holds no key of this collection")
        verify = verifier(dict(zip(collection.names, _Papers.of(row).pems, strict=True)))
        findings = [Findings.from_canonical(f.findings, f.signature) for f in proposal.findings]
        frozen = freeze(collection, findings, verify)
        seats = [member.name for member in descriptor.roster[: descriptor.parties]]
        if frozen.digest != descriptor.deposits or not set(seats) <= set(findings[0].present):
            raise ProtocolError("the session is on other deposits than its holders have found")
        folder = self._place(collection.digest)
        digests = await asyncio.to_thread(_digests, folder, frozen.count)
        if list_digest(collection.digest, digests) != frozen.deposits:
            raise ProtocolError("the deposits that are here are not those that were frozen")
        secret = self.holdings.pin(collection.digest, frozen.digest)
        return Deposited(
            collection=collection,
            folder=str(folder),
            accepted=tuple((place, digests[place].hex()) for place in frozen.accepted),
            tables=tuple(sorted(frozen.registries)),
            answers=one_hot_tables(question.layout),
            points=tuple(collection.place(name) + 1 for name in seats),
            sealing=secret[:_SEALING_BYTES],
            sigma=secret[_SEALING_BYTES:],
        )

    # -- inside ---------------------------------------------------------------------------------

    def _begin(self, proposal: deposit_pb2.CollectionProposal) -> _Begun:
        """Check a proposed collection against the question, the policy and the operator's word."""
        collection = Collection.from_canonical(proposal.collection)
        if collection.digest in self._begun or self.holdings.get(collection.digest) is not None:
            raise RefusedError("has seen this collection before")
        question = read_question(proposal.request, self.agreement, now=time.time())
        check_policy(question, proposal.request, self.party.policy, registry=self.party.name)
        self._check(collection, question)
        if collection.signing_key != proposal.request.signing_key:
            raise ProtocolError("the collection is for another researcher")
        if not collection.opened <= time.time() + 300 or time.time() > collection.closes:
            raise ProtocolError("the collection is not open now; check this machine's clock")
        if not self.party.computes:
            raise ProtocolError(f"{self.party.name} does not compute, and so holds no keys")
        if not self.party.policy.automatic:
            asked = question_digest(question.digest, proposal.request.signing_key)
            if self.books.standing(asked)[0] is not Standing.GRANTED:
                raise RefusedError("waits for its operator")
        certificates = check_roster(collection, proposal.certificates, self.identity.network)
        own = collection.holders[collection.place(self.party.name)]
        if own.certificate != self.identity.party.fingerprint:
            raise ProtocolError(f"the collection names another certificate of {self.party.name}")
        begun = _Begun(
            collection=collection, certificates=certificates, pems=list(proposal.certificates)
        )
        self._begun[collection.digest] = begun
        return begun

    def _check(self, collection: Collection, question: Question) -> None:
        check_collection(
            collection,
            question,
            network=self.identity.network.fingerprint,
            committee=self.agreement.committee,
        )

    async def _prepare(self, begun: _Begun) -> str:
        """Start the worker that deals the key; where it listens."""
        if begun.collection.envelope == "sealed":
            return ""
        begun.worker = await self.start_worker()
        party = self.party
        port = await begun.worker.assign_key(
            begun.collection,
            identity=self.identity,
            certificates=begun.pems,
            reach=Reach(host=party.host, ports=party.ports, silence_s=party.silence_s),
        )
        if begun.collection.digest not in self._begun:
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
        private = X25519PrivateKey.generate()
        key = HolderKey(
            collection=begun.collection.digest,
            holder=self.party.name,
            public=public,
            sealing=private.public_key().public_bytes_raw(),
        ).signed(self.identity.sign)
        papers = _Papers(collection=begun.collection, pems=tuple(begun.pems), key=key)
        self.holdings.add(
            begun.collection.digest,
            papers=papers.to_bytes(),
            secret=private.private_bytes_raw() + sigma,
        )
        return key

    async def _look_at(self, closing: deposit_pb2.Closing) -> None:
        digest = bytes(closing.collection)
        try:
            findings = await self._findings(closing)
        except UpcareError as error:
            self.log(f"collection {digest.hex()[:12]}: {error}")
            self._fail(digest, error)
            return
        signed = deposit_pb2.SignedFindings(
            collection=digest, findings=findings.canonical(), signature=findings.signature
        )
        self._say(findings=signed)

    async def _findings(self, closing: deposit_pb2.Closing) -> Findings:
        row = self.holdings.get(bytes(closing.collection))
        if row is None or not row.held:
            raise RefusedError("holds no key of this collection")
        papers = _Papers.of(row)
        collection, present = papers.collection, tuple(closing.present)
        known = tuple(name for name in collection.names if name in present)
        if present != known or self.party.name not in present:
            raise ProtocolError("deposits are checked among holders, in their order")
        if len(present) < 2 * collection.threshold + 1:
            raise ProtocolError("deposits are checked among at least 2t + 1 holders")
        folder = self._place(collection.digest)
        await asyncio.to_thread(self._fetch, collection, closing.count, folder)
        digests = await asyncio.to_thread(_digests, folder, closing.count)
        if list_digest(collection.digest, digests) != closing.deposits:
            raise ProtocolError("the platform hands out other deposits than it has announced")
        own = [
            place
            for place in range(closing.count)
            if self.party.name in checkers_of(place, present, collection.threshold)
        ]
        moment = min(time.time(), collection.closes)
        checked = await checked_apart(
            collection,
            public=papers.key.public,
            network=self.identity.network,
            now=datetime.datetime.fromtimestamp(moment, datetime.UTC),
            folder=folder,
            places=own,
            sealing=self.holdings.secret(collection.digest)[:_SEALING_BYTES],
            holder=collection.place(self.party.name),
        )
        reasons = Counter(checked.refused.values())
        told = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
        self.log(
            f"collection {collection.digest.hex()[:12]}: checked {len(own)} of {closing.count} "
            f"deposits, refused {told or 'none'}"
        )
        return Findings(
            collection=collection.digest,
            count=closing.count,
            deposits=bytes(closing.deposits),
            present=present,
            holder=self.party.name,
            refused=checked.refused,
            registries=checked.registries,
        ).signed(self.identity.sign)

    def _fetch(self, collection: Collection, count: int, folder: Path) -> None:
        """Bring all deposits here, if they are not here from an earlier closing."""
        if folder.exists() and len(list(folder.iterdir())) == count:
            return
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700, parents=True)
        with Holder(self.party.platform, self.identity) as platform:
            deposits = platform.fetch(
                collection.digest, count=count, at_most=most_bytes(collection), first=0
            )
            for place, deposit in enumerate(deposits):
                (folder / str(place)).write_bytes(deposit)

    def _place(self, digest: bytes) -> Path:
        return self.folder / digest.hex()

    async def _drop(self, begun: _Begun) -> None:
        self._begun.pop(begun.collection.digest, None)
        await begun.end()

    def _fail(self, digest: bytes, error: UpcareError) -> None:
        text = str(error)[:300]
        self._say(
            failure=coordinator_pb2.Failure(session_digest=digest, code=error.code, text=text)
        )

    def _say(self, **message: Any) -> None:
        self.say(coordinator_pb2.AttendRequest(**message))


def _digests(folder: Path, count: int) -> list[bytes]:
    """Digests of the deposits in a folder, by place."""
    found = []
    for place in range(count):
        file = folder / str(place)
        if not file.is_file():
            raise ProtocolError("a deposit of the frozen set is not here")
        found.append(sha256(file.read_bytes()).digest())
    return found
