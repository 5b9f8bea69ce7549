"""Collections: their keys, and what the holders find when they are closed.

The platform composes a collection, passes messages, and keeps deposits until they are used. It has
no part of the key. Holders check all that it proposes, contributors take a key only if all holders
have signed it, and the frozen set follows from the holders' signed findings. If the platform is
wrong or hostile it can keep a collection from being opened or used, refuse deposits, and leave out
one for which it gave no receipt; it adds none, changes none, and reads none.
"""

import asyncio
import datetime
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from upcare_mpc._proto.upcare.coordinator.v1 import coordinator_pb2
from upcare_mpc._proto.upcare.deposit.v1 import deposit_pb2
from upcare_mpc._proto.upcare.study.v1 import study_pb2
from upcare_mpc.config import Agreement
from upcare_mpc.coordinator.attendance import REASON_CHARACTERS, Attendance
from upcare_mpc.coordinator.lifecycle import choose_roster, in_words
from upcare_mpc.deposits.collection import Collection, Holder, check_at_once, most_holders
from upcare_mpc.deposits.findings import Findings, FrozenSet, freeze
from upcare_mpc.deposits.key import HolderKey, Verify, agreed_key
from upcare_mpc.deposits.matching import check_collection
from upcare_mpc.errors import ErasedError, ProtocolError, SessionError
from upcare_mpc.he.scheme import blocks_of
from upcare_mpc.kinds.question import Question
from upcare_mpc.link.certificates import Identity
from upcare_mpc.link.roster import check_roster
from upcare_mpc.link.signers import holders_verifier, verifier
from upcare_mpc.storage.deposits import Deposits
from upcare_mpc.storage.studies import Studies

__all__ = ["Collections", "Frozen"]

KEY_S: Final = 60.0
FINDINGS_S: Final = 30.0
FINDINGS_A_BLOCK_S: Final = 0.2
_DAY_S: Final = 24 * 3600
_PROPOSED: Final = "proposed"
"""A paper of a collection: the set of its first session, by its digest, and the findings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """The deposits that enter a session, and why.

    Attributes:
        collection: Whose they are.
        present: The holders that have checked them and are there, in the collection's order.
        findings: What each holder found that has checked them, there or not.
        deposits: The set that follows.
    """

    collection: Collection
    present: tuple[str, ...]
    findings: Mapping[str, Findings]
    deposits: FrozenSet

    @property
    def signed(self) -> list[deposit_pb2.SignedFindings]:
        """The findings as they are sent."""
        return [
            deposit_pb2.SignedFindings(
                collection=self.collection.digest,
                findings=findings.canonical(),
                signature=findings.signature,
            )
            for findings in self.findings.values()
        ]

    def in_words(self) -> str:
        """Say how many deposits enter, and why others do not."""
        reasons = sorted(self.deposits.refused.values())
        refused = ", ".join(f"{reasons.count(why)} {why}" for why in dict.fromkeys(reasons))
        text = f"{len(self.deposits.accepted)} deposits enter, {len(reasons)} refused"
        return f"{text} ({refused})" if reasons else text


@dataclass(slots=True)
class _Awaited:
    """What several holders are to say about one collection.

    Attributes:
        names: Who.
        read: Reads and checks what one says: None if it is not about this.
        heard: What was read, by name.
        failed: Why nothing will come, by name.
        erased: Who holds no key, and never will.
    """

    names: tuple[str, ...]
    read: Callable[[str, coordinator_pb2.AttendRequest], Any]
    heard: dict[str, Any] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    erased: set[str] = field(default_factory=set)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, name: str, message: coordinator_pb2.AttendRequest) -> None:
        """Take what one of them says; the first word counts."""
        if name not in self.names or name in self.heard:
            return
        try:
            read = self.read(name, message)
        except ProtocolError as error:
            self.fail(name, str(error))
            return
        if read is not None:
            self.heard[name] = read
            self.changed.set()

    def fail(self, name: str, reason: str) -> None:
        """Nothing will come from one of them."""
        if name in self.names and name not in self.heard:
            self.failed.setdefault(name, reason[:REASON_CHARACTERS])
            self.changed.set()

    async def all(self, timeout_s: float) -> None:
        """Wait until all have spoken, or one has failed, or time is up, which is a failure."""
        try:
            async with asyncio.timeout(timeout_s):
                while len(self.heard) < len(self.names) and not self.failed:
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            for name in self.names:
                self.fail(name, "did not answer in time")


class Collections:
    """All collections of a platform.

    Args:
        identity: The platform's.
        agreement: Of the network.
        attendance: The way to the registries.
        deposits: Where collections and deposits are kept.
        studies: Where papers are kept.
    """

    def __init__(
        self,
        identity: Identity,
        agreement: Agreement,
        attendance: Attendance,
        deposits: Deposits,
        studies: Studies,
    ) -> None:
        self._identity = identity
        self._agreement = agreement
        self._attendance = attendance
        self._deposits = deposits
        self._studies = studies
        self._awaited: dict[bytes, _Awaited] = {}  # by collection

    # -- beginning ------------------------------------------------------------------------------

    async def deal(
        self,
        key: bytes,
        question: Question,
        request: study_pb2.StudyRequest,
        quotes: Sequence[coordinator_pb2.Quote],
    ) -> Collection:
        """Have the holders deal a collection's key, and open it.

        Args:
            key: Of the question, in ``storage.studies``.
            question: What is asked; its study takes deposits.
            request: The researcher's.
            quotes: What every registry of the study says; all are willing.

        Raises:
            RefusedError: Too few registries compute, or one refuses, or the researcher has too many
                collections.
            SessionError: The key was not dealt. Like all errors, nothing is left of it.
            ProtocolError: The holders have not signed one and the same key.
        """
        by_name = {quote.registry: quote for quote in quotes}
        seats = [(name, by_name[name].computes) for name in question.study.registries]
        choose_roster(seats, self._agreement.committee)  # there are enough
        most = most_holders((self._agreement.committee - 1) // 2)
        names = [name for name, computes in seats if computes][:most]
        certificates = [by_name[name].certificate for name in names]
        collection = self._compose(question, request, names, certificates)
        check_collection(
            collection,
            question,
            network=self._identity.network.fingerprint,
            committee=self._agreement.committee,
        )
        check_at_once(collection, (row.collection for row in self._deposits.live()))
        self._deposits.begin(collection, key)
        try:
            check_roster(collection, certificates, self._identity.network)
            for name, pem in zip(names, certificates, strict=True):
                self._studies.put_paper(collection.digest, "certificate", name, pem.encode())
            await self._approved(collection, request, certificates)
            self._deposits.open(collection.digest)
        except BaseException:
            self.discard(collection)
            raise
        return collection

    def _compose(
        self,
        question: Question,
        request: study_pb2.StudyRequest,
        names: Sequence[str],
        certificates: Sequence[str],
    ) -> Collection:
        study = question.study
        asked = study.deposits
        assert asked is not None  # what a study without deposits never comes to
        network, now = self._identity.network, datetime.datetime.now(datetime.UTC)
        return Collection(
            network=network.fingerprint,
            study=question.digest,
            signing_key=request.signing_key,
            cells=question.layout.cells,
            envelope=asked.envelope,
            holders=tuple(
                Holder(name=name, certificate=network.verify(pem, now=now)[0].fingerprint)
                for name, pem in zip(names, certificates, strict=True)
            ),
            threshold=(self._agreement.committee - 1) // 2,
            depositors=asked.registries,
            vouchers=(*study.registries, *asked.registries) if asked.patients else (),
            opened=int(now.timestamp()),
            closes=int(now.timestamp()) + asked.days * _DAY_S,
            nonce=secrets.token_bytes(16),
        )

    async def _approved(
        self, collection: Collection, request: study_pb2.StudyRequest, certificates: list[str]
    ) -> None:
        """Have a collection approved by its holders, and its key dealt, signed and stored."""
        digest, names = collection.digest, collection.names
        proposal = deposit_pb2.CollectionProposal(
            collection=collection.canonical(), request=request, certificates=certificates
        )
        approvals = await self._attendance.all_approve(names, collection=proposal)

        def read(name: str, message: coordinator_pb2.AttendRequest) -> HolderKey | None:
            if message.WhichOneof("message") != "key":
                return None
            signed = HolderKey.from_bytes(message.key.key)
            if signed.holder != name:
                raise ProtocolError("a holder signs the key for itself")
            return signed

        start = coordinator_pb2.Start(session_digest=digest, approvals=approvals)
        awaited = await self._await(collection, names, read, KEY_S, start=start)
        if awaited.failed:
            raise SessionError(f"no key was dealt: {in_words(list(awaited.failed.items()))}")
        keys = [awaited.heard[name] for name in names]
        await asyncio.to_thread(agreed_key, collection, keys, self._verify(collection))
        for signed in keys:
            self._studies.put_paper(digest, "key", signed.holder, signed.to_bytes())

    # -- closing --------------------------------------------------------------------------------

    async def freeze(self, collection: Collection, holders: Sequence[str]) -> Frozen:
        """Have the deposits of a closed collection checked.

        A holder that fails, or is lost, is left out, and the others begin anew. If a session was
        proposed before, on another set, it stays that one: keys are pinned to it. The holders
        that found it are not all there then, but their findings are.

        Args:
            collection: Closed.
            holders: Of its holders those that are to take part.

        Raises:
            SessionError: Fewer than 2t + 1 holders are left.
            ErasedError: Fewer than 2t + 1 holders can have the key.
            ProtocolError: The findings do not make one set.
        """
        count, listed = await asyncio.to_thread(self._deposits.listing, collection.digest)
        time_s = FINDINGS_S + FINDINGS_A_BLOCK_S * count * blocks_of(collection.cells)
        present = tuple(name for name in collection.names if name in holders)
        lost: list[tuple[str, str]] = []
        erased: set[str] = set()
        while True:
            wanted = 2 * collection.threshold + 1
            if collection.parties - len(erased) < wanted:
                raise ErasedError(
                    f"{', '.join(sorted(erased))} hold no key of this collection any more: "
                    "it has to be collected anew"
                )
            if len(present) < wanted:
                reasons = f": {in_words(lost)}" if lost else ""
                raise SessionError(
                    f"{wanted} holders have to check the deposits, {len(present)} are left{reasons}"
                )
            closing = deposit_pb2.Closing(
                collection=collection.digest, count=count, deposits=listed, present=present
            )
            awaited = await self._await(
                collection, present, _findings_among(present), time_s, closing=closing
            )
            if not awaited.failed:
                break
            lost += awaited.failed.items()
            erased |= awaited.erased & set(present)
            present = tuple(name for name in present if name not in awaited.failed)
        said = [awaited.heard[name] for name in present]
        found = await asyncio.to_thread(self._frozen, collection, present, said)
        papers = self._studies.papers(collection.digest, _PROPOSED)
        if not papers or found.deposits.digest.hex() in papers:
            return found
        (content,) = papers.values()
        signed = coordinator_pb2.Proposal.FromString(content).findings
        first = [Findings.from_canonical(one.findings, one.signature) for one in signed]
        return await asyncio.to_thread(self._frozen, collection, present, first)

    def propose(self, frozen: Frozen) -> None:
        """Note that a session is proposed on a set; the first one is that of all to come."""
        digest = frozen.collection.digest
        if not self._studies.papers(digest, _PROPOSED):
            proposed = coordinator_pb2.Proposal(findings=frozen.signed)
            name, content = frozen.deposits.digest.hex(), proposed.SerializeToString()
            self._studies.put_paper(digest, _PROPOSED, name, content)
        self._deposits.count_attempt(digest)

    def discard(self, collection: Collection) -> None:
        """A collection is over: its deposits go, and what the holders have of its key."""
        self._deposits.end(collection.digest)
        self._attendance.tell(
            collection.names, discard=deposit_pb2.Discard(collection=collection.digest)
        )

    # -- registries -----------------------------------------------------------------------------

    def hear(self, name: str, message: coordinator_pb2.AttendRequest) -> None:
        """Take what a holder says about a collection."""
        kind = message.WhichOneof("message")
        if kind == "failure":
            if (awaited := self._awaited.get(message.failure.session_digest)) is not None:
                if message.failure.code == ErasedError.code:
                    awaited.erased.add(name)
                awaited.fail(name, message.failure.text)
        elif (awaited := self._awaited.get(getattr(message, kind).collection)) is not None:
            awaited.hear(name, message)

    def joined(self, name: str) -> None:
        """A registry that was away hears which collections are over."""
        for row in self._deposits.over():
            if name in row.collection.names:
                discard = deposit_pb2.Discard(collection=row.collection.digest)
                self._attendance.tell([name], discard=discard)

    def left(self, name: str) -> None:
        """A registry is gone."""
        for awaited in self._awaited.values():
            awaited.fail(name, "was lost")

    # -- inside ---------------------------------------------------------------------------------

    async def _await(
        self,
        collection: Collection,
        names: tuple[str, ...],
        read: Callable[[str, coordinator_pb2.AttendRequest], Any],
        timeout_s: float,
        **message: Any,
    ) -> _Awaited:
        """Tell holders something, and wait for what all of them say to it."""
        awaited = _Awaited(names=names, read=read)
        self._awaited[collection.digest] = awaited
        try:
            for name in names:
                if name not in self._attendance.attending:
                    awaited.fail(name, "was lost")
            self._attendance.tell(names, **message)
            await awaited.all(timeout_s)
        finally:
            del self._awaited[collection.digest]
        return awaited

    def _frozen(
        self, collection: Collection, present: tuple[str, ...], said: Sequence[Findings]
    ) -> Frozen:
        """Work out the set that follows from some findings, for holders that are there."""
        now = datetime.datetime.now(datetime.UTC)
        verify = holders_verifier(collection, said, self._identity.network, at=now)
        deposits = freeze(collection, said, verify)
        findings = {found.holder: found for found in said}
        there = tuple(name for name in present if name in findings)
        return Frozen(collection=collection, present=there, findings=findings, deposits=deposits)

    def _verify(self, collection: Collection) -> Verify:
        papers = self._studies.papers(collection.digest, "certificate")
        return verifier({name: papers[name].decode() for name in collection.names})


def _findings_among(
    present: tuple[str, ...],
) -> Callable[[str, coordinator_pb2.AttendRequest], Findings | None]:
    def read(name: str, message: coordinator_pb2.AttendRequest) -> Findings | None:
        if message.WhichOneof("message") != "findings":
            return None
        findings = Findings.from_canonical(message.findings.findings, message.findings.signature)
        if findings.present != present:
            return None  # an answer from before a holder was lost
        if findings.holder != name:
            raise ProtocolError("a holder signs what it has found itself")
        return findings

    return read
