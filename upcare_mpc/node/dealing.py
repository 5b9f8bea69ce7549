"""Dealing the key of a collection: what a node does between a proposal and its signed key.

    proposed --approve--> begun --start--> held: key signed
                            └──────┴──failed, or given up──> nothing of it is left

The worker of a key hands its part to this process, which writes it to the disk before it says that
it holds one: what a holder has signed it has after a crash too. With envelope ``sealed`` there is
nothing to deal; each holder has a key of its own.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc._proto.upcare.deposit.v1 import deposit_pb2
from upcare_mpc._proto.upcare.study.v1 import study_pb2
from upcare_mpc.config import Agreement, PartyFile
from upcare_mpc.deposits.collection import Collection, check_at_once
from upcare_mpc.deposits.key import HolderKey
from upcare_mpc.deposits.matching import check_collection
from upcare_mpc.errors import ProtocolError, RefusedError, SessionError, UpcareError
from upcare_mpc.link.certificates import Identity
from upcare_mpc.link.roster import check_approvals, check_roster
from upcare_mpc.link.statements import approval_statement, question_digest, request_digest
from upcare_mpc.node.approval import Standing
from upcare_mpc.node.assignment import Reach
from upcare_mpc.node.books import Books
from upcare_mpc.node.process import WorkerProcess
from upcare_mpc.node.question import check_policy, read_question
from upcare_mpc.storage.holdings import Holdings
from upcare_mpc.study.packed import pack, unpack

__all__ = ["SEALING_BYTES", "KeyDealer", "check_own_certificate", "read_papers", "short", "told_of"]

KEY_S: Final = 120.0  # from approval to the signed key
SEALING_BYTES: Final = 32
"""A holder's secret is its X25519 key, and behind it the encoded share of the RLWE key."""
_CLOCKS_S: Final = 600
_PAPERS: Final = b"UNC1"
_MAX_PAPERS: Final = 1 << 20


@dataclass(slots=True, kw_only=True)
class _Begun:
    """A collection whose key is being dealt."""

    collection: Collection
    request: bytes  # digest of the researcher's
    certificates: list[x509.Certificate]
    pems: list[str]
    worker: WorkerProcess | None = None
    started: bool = False

    async def end(self) -> None:
        """End its worker, if it has one."""
        if self.worker is not None:
            await self.worker.end()


@dataclass(slots=True, kw_only=True)
class KeyDealer:
    """What a node does about keys of collections, one at a time.

    Attributes:
        party: This registry.
        agreement: Of the network.
        identity: Certificate and key.
        books: For the operator's word.
        holdings: Keys that it holds a part of.
        say: The way to the platform.
        log: Writes one line.
        start_worker: Starts a worker process.
    """

    party: PartyFile
    agreement: Agreement
    identity: Identity
    books: Books
    holdings: Holdings
    say: Callable[[coordinator_pb2.AttendRequest], None]
    log: Callable[[str], None]
    start_worker: Callable[[], Awaitable[WorkerProcess]]
    _begun: _Begun | None = None

    def has(self, digest: bytes) -> bool:
        """Whether the key of this collection is being dealt here."""
        return self._begun is not None and self._begun.collection.digest == digest

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
            self.log(f"collection {short(digest)}: holds a part of its key")
            self._say(key=deposit_pb2.SignedKey(collection=digest, key=key.to_bytes()))
        except (UpcareError, OSError) as error:
            self.holdings.erase(digest)  # also if it was stored when somebody gave up
            if self._begun is begun:  # else it was given up, and that has been said
                told = told_of(error)
                self.log(f"collection {short(digest)}: {told}")
                failure = coordinator_pb2.Failure(
                    session_digest=digest, code=told.code, text=str(told)
                )
                self._say(failure=failure)
                await self._drop(begun)
        finally:
            await begun.end()

    async def give_up(self) -> None:
        """End the dealing under way, if there is one; nothing of it is left."""
        if self._begun is not None:
            await self._drop(self._begun)

    # -- inside ---------------------------------------------------------------------------------

    def _begin(self, proposal: deposit_pb2.CollectionProposal) -> _Begun:
        """Check a proposed collection against the question, the policy and the operator's word."""
        if self._begun is not None:
            raise RefusedError("is busy with the key of another collection")
        collection = Collection.from_canonical(proposal.collection)
        question = read_question(proposal.request, self.agreement, "submit", now=time.time())
        check_policy(question, proposal.request, self.party.policy, registry=self.party.name)
        check_collection(
            collection,
            question,
            network=self.identity.network.fingerprint,
            committee=self.agreement.committee,
        )
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
        check_own_certificate(collection, self.identity)
        if self.holdings.get(collection.digest) is not None:
            raise RefusedError("has held a key of this collection before")
        request = request_digest(proposal.request)
        if self.holdings.dealt_on(request):
            raise RefusedError("has dealt a key on this request before")
        self.holdings.check_room()
        held = (read_papers(row.papers)[0] for row in self.holdings.held())
        check_at_once(collection, held)  # it binds: one key is dealt at a time
        self._begun = _Begun(
            collection=collection,
            request=request,
            certificates=certificates,
            pems=list(proposal.certificates),
        )
        return self._begun

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
            request=begun.request,
            papers=pack(_PAPERS, begun.collection.canonical(), public),
            secret=private.private_bytes_raw() + sigma,
        )
        return HolderKey(
            collection=digest,
            holder=self.party.name,
            public=public,
            sealing=private.public_key().public_bytes_raw(),
        ).signed(self.identity.sign)

    async def _drop(self, begun: _Begun) -> None:
        if self._begun is begun:
            self._begun = None
        await begun.end()

    def _say(self, **message: Any) -> None:
        self.say(coordinator_pb2.AttendRequest(**message))


def check_own_certificate(collection: Collection, identity: Identity) -> None:
    """Check that a collection names this node's present certificate: only that can sign for it.

    Raises:
        ProtocolError: It names another one, or none.
    """
    name = identity.party.name
    if collection.holders[collection.place(name)].certificate != identity.party.fingerprint:
        raise ProtocolError(f"the collection names another certificate of {name}")


def read_papers(papers: bytes) -> tuple[Collection, bytes]:
    """Read what is public of a holding: the collection, and its encoded RLWE key."""
    collection, public = unpack(_PAPERS, papers, most=_MAX_PAPERS)
    return Collection.from_canonical(collection), public


def told_of(error: UpcareError | OSError) -> UpcareError:
    """What others are told of an error; a disk that fails is one, and its paths are nobody's."""
    if isinstance(error, UpcareError):
        return error
    return SessionError(f"its disk fails: {error.strerror}")


def short(digest: bytes) -> str:
    """How a collection is called in a log."""
    return digest.hex()[:12]
