"""Registries that hold a collection's key, as the platform sees them: what each says is scripted.

They speak over streams in memory. Keys and outputs are of the right form, and signed; no share is
in them. What an honest registry says to each message is a method; a test replaces one.
"""

import asyncio
import os
from typing import Any

import grpc.aio

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc._proto.upcare.deposit.v1 import deposit_pb2
from upcare_mpc._proto.upcare.study.v1 import study_pb2
from upcare_mpc.deposits.findings import Findings
from upcare_mpc.deposits.key import HolderKey
from upcare_mpc.link.certificates import Identity
from upcare_mpc.link.statements import spent_in, spent_statement
from upcare_mpc.mpc.opening import output_statement, sealed_bytes
from upcare_mpc.study.descriptor import Descriptor

Said = list[dict[str, Any]]
Quote = coordinator_pb2.Quote


class FakeHolder:
    """One registry.

    Attributes:
        heard: Kinds of messages, in order.
        sessions: Descriptors of the sessions that were proposed to it.
        proposals: The proposals.
        refuses: Place to reason, in its findings.
    """

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.name = identity.party.name
        self.computes = True
        self.verdict = Quote.VERDICT_YES
        self.snapshot = bytes(32)
        self.refuses: dict[int, str] = {}
        self.heard: list[str] = []
        self.proposals: list[coordinator_pb2.Proposal] = []
        self.discarded: list[bytes] = []
        self.outputs = True
        self.connect()

    @property
    def sessions(self) -> list[Descriptor]:
        return [Descriptor.from_canonical(proposal.descriptor) for proposal in self.proposals]

    # -- the stream -----------------------------------------------------------------------------

    def connect(self) -> None:
        """A new stream."""
        self._out: asyncio.Queue[Any] = asyncio.Queue()
        self._news = asyncio.Event()

    async def write(self, message: coordinator_pb2.AttendResponse) -> None:
        kind = message.WhichOneof("message")
        if kind is None:
            return
        self.heard.append(kind)
        self._news.set()
        answer = getattr(self, f"on_{kind}", None)
        for said in answer(getattr(message, kind)) if answer is not None else []:
            call = message.call if {"quote", "approval"} & said.keys() or kind in ASKS else 0
            self._out.put_nowait(coordinator_pb2.AttendRequest(call=call, **said))

    async def read(self) -> Any:
        return await self._out.get()

    def say(self, **message: Any) -> None:
        self._out.put_nowait(coordinator_pb2.AttendRequest(**message))

    async def hears(self, kind: str) -> None:
        """Wait until it has heard such a message."""
        while kind not in self.heard:
            self._news.clear()
            await self._news.wait()

    def leave(self) -> None:
        self._out.put_nowait(grpc.aio.EOF)

    def fails(self, digest: bytes, text: str, *, code: str = "session") -> Said:
        return [{"failure": coordinator_pb2.Failure(session_digest=digest, text=text, code=code)}]

    # -- what it says ---------------------------------------------------------------------------

    def on_offer(self, offer: coordinator_pb2.Offer) -> Said:
        quote = Quote(
            registry=self.name,
            verdict=self.verdict,
            reason="" if self.verdict == Quote.VERDICT_YES else "says no",
            snapshot=self.snapshot,
            computes=self.computes,
            certificate=self.identity.certificate_pem.decode(),
        )
        return [{"quote": quote}]

    def on_collection(self, proposal: deposit_pb2.CollectionProposal) -> Said:
        return [{"approval": study_pb2.Approval(registry=self.name)}]

    def on_proposal(self, proposal: coordinator_pb2.Proposal) -> Said:
        self.proposals.append(proposal)
        return [{"approval": study_pb2.Approval(registry=self.name)}]

    def on_start(self, start: coordinator_pb2.Start) -> Said:
        session = next((s for s in self.sessions if s.digest == start.session_digest), None)
        if session is None:
            return self.signs_key(start.session_digest)
        spent = spent_in(session, self.name)
        spent.signature = self.identity.sign(spent_statement(spent))
        charged: Said = [{"spent": spent}]
        place = session.place(self.name)
        return charged + (self.outputs_of(session) if place < session.parties else [])

    def signs_key(self, collection: bytes) -> Said:
        key = HolderKey(
            collection=collection, holder=self.name, public=b"", sealing=os.urandom(32)
        ).signed(self.identity.sign)
        return [{"key": deposit_pb2.SignedKey(collection=collection, key=key.to_bytes())}]

    def outputs_of(self, session: Descriptor) -> Said:
        if not self.outputs:
            return self.fails(session.digest, "lost its worker")
        place, sealed = session.place(self.name), bytes(sealed_bytes(session))
        statement = output_statement(session.digest, place, bytes(32), sealed)
        output = study_pb2.Output(
            session_digest=session.digest,
            index=place,
            agreement=bytes(32),
            sealed=sealed,
            signature=self.identity.sign(statement),
        )
        return [{"output": output}]

    def on_closing(self, closing: deposit_pb2.Closing) -> Said:
        found = Findings(
            collection=closing.collection,
            count=closing.count,
            deposits=closing.deposits,
            present=tuple(closing.present),
            holder=self.name,
            certificate=self.identity.certificate_pem,
            refused=self.refuses,
        )
        return self.finds(found)

    def finds(self, found: Findings) -> Said:
        signed = found.signed(self.identity.sign)
        findings = deposit_pb2.SignedFindings(
            collection=found.collection, findings=signed.canonical(), signature=signed.signature
        )
        return [{"findings": findings}]

    def on_discard(self, discard: deposit_pb2.Discard) -> Said:
        self.discarded.append(discard.collection)
        return []


ASKS = frozenset({"offer", "collection", "proposal"})
