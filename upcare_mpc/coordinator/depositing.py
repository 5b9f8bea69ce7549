"""Deposits over gRPC: contributors bring them, on either port; holders fetch them.

What is checked here keeps collections apart and bounded: who deposits, with whose word, once, and
no more bytes than a deposit has. Payloads are not looked at. Holders rely on none of it: they check
all they take.

Uploads have places. A registry has its own, by its certificate; a patient has one by her ticket,
which stands in the first piece. Until that piece is there, and its ticket is good, an upload has no
place. All uploads that say they are a registry's and come without its certificate share two places.
Adversary: whoever has neither sends as slowly as he likes and keeps nobody waiting.
"""

import asyncio
import datetime
import hashlib
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, Final

import grpc

from upcare_mpc._proto.upcare.deposit.v1 import deposit_pb2, deposit_pb2_grpc
from upcare_mpc.coordinator.callers import answering, heard, registry_in, registry_of, say
from upcare_mpc.deposits.collection import Collection
from upcare_mpc.deposits.envelopes import most_bytes
from upcare_mpc.deposits.receipt import Receipt
from upcare_mpc.deposits.submission import Deposit
from upcare_mpc.errors import DataError, ProtocolError
from upcare_mpc.link.certificates import Identity
from upcare_mpc.link.deposits import PIECE_BYTES, UPLOAD_S
from upcare_mpc.link.signers import certifier
from upcare_mpc.storage.deposits import CollectionRow, Deposits
from upcare_mpc.storage.studies import Studies

__all__ = ["CollectingService", "DepositingService"]

MAX_UPLOADS: Final = 64
"""Patients' deposits that arrive at once."""
MAX_UPLOADS_A_PATIENT: Final = 2  # the second when a line broke and nobody has noticed yet
MAX_UPLOADS_A_REGISTRY: Final = 4

CHECKS_AT_ONCE: Final = 2  # each with the whole deposit in memory


class DepositingService(deposit_pb2_grpc.DepositingServicer):
    """For whoever deposits.

    The platform learns who deposits where and when, a patient by a key of which it knows only the
    registry that vouches for it.

    Args:
        deposits: Where they are kept.
        studies: Where the holders' certificates and keys are.
        identity: The platform's; signs receipts.
    """

    def __init__(self, deposits: Deposits, studies: Studies, identity: Identity) -> None:
        self._deposits = deposits
        self._studies = studies
        self._identity = identity
        self._uploads: Counter[str | bytes] = Counter()
        self._checks = asyncio.Semaphore(CHECKS_AT_ONCE)

    async def Open(self, _request: Any, context: Any) -> Any:  # noqa: N802
        """List the collections that take deposits."""
        async with answering(context):
            listed = await asyncio.to_thread(self._deposits.listed, now=time.time())
        return deposit_pb2.OpenResponse(
            collections=[deposit_pb2.Listed(collection=c, study=study) for c, study in listed]
        )

    async def Describe(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Give what is needed to deposit."""
        row = await _known(self._deposits, request.collection, context)
        async with answering(context):
            return await asyncio.to_thread(self._described, row)

    async def Deposit(self, _requests: Any, context: Any) -> Any:  # noqa: N802
        """Take a deposit and give the receipt."""
        try:
            async with (
                asyncio.timeout(UPLOAD_S),
                answering(context, {ProtocolError: grpc.StatusCode.INVALID_ARGUMENT}),
            ):
                receipt = await self._taken(context)
        except TimeoutError:
            await context.abort(
                grpc.StatusCode.DEADLINE_EXCEEDED,
                f"a deposit is on its way for {UPLOAD_S:g} s at most",
            )
        return deposit_pb2.DepositResponse(receipt=receipt)

    def _described(self, row: CollectionRow) -> deposit_pb2.Description:
        collection = row.collection
        certificates = self._studies.papers(collection.digest, "certificate")
        keys = self._studies.papers(collection.digest, "key")
        return deposit_pb2.Description(
            collection=collection.canonical(),
            study=self._studies.get(row.question).canonical,
            certificates=[certificates[name].decode() for name in collection.names],
            keys=[keys[name] for name in collection.names],
            platform=self._identity.certificate_pem.decode(),
            open=row.takes_deposits(time.time()),
        )

    async def _taken(self, context: Any) -> bytes:
        message = await heard(context)
        if message is None:
            raise ProtocolError("a deposit comes in pieces, the first with its collection's digest")
        row = await _known(self._deposits, message.collection, context)
        caller: str | bytes | None = registry_in(context)
        if caller is None:
            caller = await asyncio.to_thread(self._patient, row.collection, message.piece)
        with self._one_more(caller) as free:
            if not free:
                await context.abort(
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                    "too many deposits are on their way at once; try again in a minute",
                )
            return await self._received(row, message, context)

    async def _received(self, row: CollectionRow, message: Any, context: Any) -> bytes:
        """Take all pieces, the first of which is here."""
        most, length = most_bytes(row.collection), 0
        with self._deposits.arriving(row.collection.digest) as file:
            while message is not None:
                if not 0 < len(message.piece) <= PIECE_BYTES or (length and message.collection):
                    raise ProtocolError(f"a piece of a deposit has 1 to {PIECE_BYTES} bytes")
                length += len(message.piece)
                if length > most:
                    await context.abort(
                        grpc.StatusCode.RESOURCE_EXHAUSTED,
                        f"a deposit of this collection has {most} bytes at most",
                    )
                await asyncio.to_thread(file.write, message.piece)
                message = await heard(context)
            async with self._checks:
                return await asyncio.to_thread(self._kept, row.collection, file)

    def _kept(self, collection: Collection, file: IO[bytes]) -> bytes:
        """Check who deposits, keep the deposit, and sign.

        Raises:
            ProtocolError: It is not a deposit of somebody who may deposit in this collection.
            RefusedError: As ``storage.deposits`` says.
            DataError: The disk fails.
        """
        try:
            file.seek(0)
            encoded = file.read()
        except OSError:  # its text holds a path
            raise DataError("the platform's disk does not give the deposit back") from None
        now = datetime.datetime.now(datetime.UTC)
        deposit = Deposit.from_bytes(encoded)
        deposit.check(collection, certifier(self._identity.network, now=now))
        digest = hashlib.sha256(encoded).digest()

        def receipt(place: int) -> bytes:
            unsigned = Receipt(
                collection=collection.digest,
                place=place,
                deposit=digest,
                time=int(now.timestamp()),
            )
            return unsigned.signed(self._identity.sign).to_bytes()

        return self._deposits.keep(
            collection.digest,
            file,
            role=deposit.role,
            submitter=deposit.submitter,
            digest=digest,
            now=now.timestamp(),
            receipt=receipt,
        )

    def _patient(self, collection: Collection, piece: bytes) -> bytes:
        """Whose upload it is by its first piece: a patient's key, checked by her ticket.

        A registry that comes without its certificate can show only by its signature, at the end of
        the deposit, who it is: all such uploads count as one caller's.

        Raises:
            ProtocolError: What stands before the payload is not there, or the ticket is not good.
        """
        begun, now = Deposit.begun(piece), datetime.datetime.now(datetime.UTC)
        begun.check_begun(collection, certifier(self._identity.network, now=now))
        return b"" if begun.role == "registry" else collection.digest + begun.submitter

    @contextmanager
    def _one_more(self, caller: str | bytes) -> Iterator[bool]:
        """Count an upload, of a registry by its name or of a patient, while it lasts."""
        if isinstance(caller, str):
            free = self._uploads[caller] < MAX_UPLOADS_A_REGISTRY
        else:
            patients = sum(n for who, n in self._uploads.items() if isinstance(who, bytes))
            free = patients < MAX_UPLOADS and self._uploads[caller] < MAX_UPLOADS_A_PATIENT
        if not free:
            yield False
            return
        self._uploads[caller] += 1
        try:
            yield True
        finally:
            self._uploads[caller] -= 1
            self._uploads += Counter()  # forgets those at zero


class CollectingService(deposit_pb2_grpc.CollectingServicer):
    """For holders of a collection's key, which mutual TLS names."""

    def __init__(self, deposits: Deposits) -> None:
        self._deposits = deposits

    async def Fetch(self, request: Any, context: Any) -> None:  # noqa: N802
        """Hand out the deposits of a closed collection."""
        name = await registry_of(context)
        row = await _known(self._deposits, request.collection, context, holder=name)
        if row.state != "closed":
            await context.abort(
                grpc.StatusCode.FAILED_PRECONDITION, "the collection is not closed yet"
            )
        digest = row.collection.digest
        async with answering(context):
            count, _ = await asyncio.to_thread(self._deposits.listing, digest)
            for place in range(request.first, count):
                content = await asyncio.to_thread(self._deposits.read, digest, place)
                for at in range(0, len(content), PIECE_BYTES):
                    part = deposit_pb2.FetchResponse(
                        place=place,
                        piece=content[at : at + PIECE_BYTES],
                        last=at + PIECE_BYTES >= len(content),
                    )
                    await say(context, part)


async def _known(
    deposits: Deposits, collection: bytes, context: Any, *, holder: str | None = None
) -> CollectionRow:
    """Return a collection that has its key and is not over, or end the call."""
    async with answering(context):
        row = await asyncio.to_thread(deposits.get, collection)
    if (
        row is not None
        and row.state in {"open", "closed"}
        and (holder is None or holder in row.collection.names)
    ):
        return row
    await context.abort(grpc.StatusCode.NOT_FOUND, "there is no such collection here")
    raise AssertionError("abort does not return")
