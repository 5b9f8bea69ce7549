"""The deposits of a session, at one computing registry, in its worker: from files to shares.

Registries' tables are added as ciphertexts (or shares) and converted once. A patient's answers are
converted by themselves, checked, and added only if they are answers: what is not is dropped, and
how many and which is told. All parties hold the same sum before they convert it, and the same
verdicts before they add.

Secret: the key share, what is converted. Opens: uniform masked values; for each patient's deposit
one bit, an answer or not. Cost: a product of polynomials a block and deposit; the rounds of
``mpc.programs.deposit`` and ``answers`` for each batch, two for the digests.

Files are read one at a time, and are what the frozen set says by their digests.
"""

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from upcare_mpc.deposits.envelopes import ciphertext_of, open_share
from upcare_mpc.deposits.submission import Deposit, Ticket
from upcare_mpc.errors import ProtocolError
from upcare_mpc.he import ring
from upcare_mpc.he.scheme import Ciphertext, KeyShare, Sum, lagrange, partial
from upcare_mpc.mpc import field
from upcare_mpc.mpc.field import Words
from upcare_mpc.mpc.programs.inputs import Signatures
from upcare_mpc.node.assignment import Deposited

if TYPE_CHECKING:
    from upcare_mpc.mpc.engine import Engine

__all__ = ["Conversion"]

BATCH_CELLS: Final = 1 << 18  # a batch takes 250 bytes a cell
PAIR: Final = 2  # holders that decrypt where t is 1: mpc.programs.rounding
BATCH_DEPOSITS: Final = 256  # 15 ms each: a peer that waits does not take this one for lost


class Conversion:
    """What one computing registry does with the deposits of a session.

    Args:
        engine: This party's runtime, its keys agreed.
        deposited: The deposits, and this registry's part of the key. Secret.
        signatures: Signing and checking.
        session: Digest of the session descriptor.
    """

    def __init__(
        self, engine: "Engine", deposited: Deposited, signatures: Signatures, *, session: bytes
    ) -> None:
        self._engine = engine
        self._deposited = deposited
        self._signatures = signatures
        self._session = session
        self._collection = deposited.collection
        self._digests = dict(deposited.accepted)
        me, points = engine.index, deposited.points
        self._pair = self._collection.threshold == 1  # then two holders decrypt, and nothing opens
        decrypting = points[:PAIR] if self._pair else points
        self._decrypts = me < len(decrypting)
        if self._collection.envelope == "rlwe" and self._decrypts:
            sigma = ring.from_bytes(deposited.sigma)
            self._share = KeyShare.of(sigma, lagrange(decrypting)[me])
        self._weight = field.lagrange(points)[me]
        self._sealing = X25519PrivateKey.from_private_bytes(deposited.sealing)

    @property
    def patients(self) -> list[int]:
        """Places of the patients' deposits."""
        return [place for place in self._digests if place not in self._deposited.tables]

    async def tables(self) -> Words:
        """Return this party's share of the sum of the registries' tables, ``(n,)``. Secret."""
        if self._collection.envelope == "sealed":
            return await self._sealed_tables()
        total = Sum(self._collection.cells)
        for deposit in self._read(self._deposited.tables):
            total.add(ciphertext_of(deposit.payload, self._collection))
            await asyncio.sleep(0)
        ciphertext = await asyncio.to_thread(total.ciphertext)
        await self._all_hold(hashlib.sha256(ciphertext.to_bytes()).digest())
        addends = await self._addends(ciphertext) if self._decrypts else []
        return await self._converted(addends, cells=self._collection.cells)

    async def answers(self) -> tuple[Words, tuple[int, ...]]:
        """Return the share of the sum of all patients' answers, and the places of the dropped."""
        # It loads MPyC: the module of a program may, this one is read by the server too.
        from upcare_mpc.mpc.programs.answers import agree_on_answers, check_answers  # noqa: PLC0415

        cells, patients = self._collection.cells, self.patients
        total, places, verdicts = np.zeros(cells, np.uint64), list[int](), list[bool]()
        step = max(1, min(BATCH_DEPOSITS, BATCH_CELLS // cells))
        for start in range(0, len(patients), step):
            batch = self._vouched(patients[start : start + step])
            if not batch:
                continue
            shares = (await self._batch(batch)).reshape(len(batch), cells)
            good = await check_answers(self._engine, shares, self._deposited.answers)
            for share in shares[np.array(good, np.bool_)]:
                total = field.add(total, share)
            places += batch
            verdicts += good
        await agree_on_answers(self._engine, verdicts, self._signatures, session=self._session)
        good_places = {place for place, good in zip(places, verdicts, strict=True) if good}
        return total, tuple(place for place in patients if place not in good_places)

    # -- inside ---------------------------------------------------------------------------------

    async def _batch(self, places: Sequence[int]) -> Words:
        """Shares of some deposits, one behind the other."""
        if self._collection.envelope == "sealed":
            shares = [self._own_share(deposit) for deposit in self._read(places)]
            return await self._reshared(np.concatenate(shares))
        addends: list[int] = []
        for deposit in self._read(places):
            if self._decrypts:
                addends += await self._addends(ciphertext_of(deposit.payload, self._collection))
        return await self._converted(addends, cells=len(places) * self._collection.cells)

    def _vouched(self, places: Sequence[int]) -> list[int]:
        """Those patients' deposits whose voucher takes part, and so has charged its ledger."""
        tickets = zip(places, self._read(places), strict=True)
        charged = self._deposited.charged
        return [
            place
            for place, deposit in tickets
            if Ticket.from_bytes(deposit.ticket).registry in charged
        ]

    async def _addends(self, ciphertext: Ciphertext) -> list[int]:
        """This party's addends of the decryption, beside the event loop."""
        first = self._engine.index == 0
        return await asyncio.to_thread(partial, ciphertext, self._share, with_c0=first)

    async def _converted(self, addends: Sequence[int], *, cells: int) -> Words:
        from upcare_mpc.mpc.programs.deposit import convert  # noqa: PLC0415 - loads MPyC
        from upcare_mpc.mpc.programs.rounding import round_shares  # noqa: PLC0415

        if self._pair:
            own = addends if self._decrypts else None
            return await round_shares(self._engine, own, cells=cells)
        return await convert(self._engine, addends)

    async def _sealed_tables(self) -> Words:
        total = np.zeros(self._collection.cells, np.uint64)
        for deposit in self._read(self._deposited.tables):
            total = field.add(total, self._own_share(deposit))
        return await self._reshared(total)

    def _own_share(self, deposit: Deposit) -> Words:
        place = self._deposited.points[self._engine.index] - 1
        return open_share(
            deposit.payload, self._collection, self._sealing, place=place, context=deposit.context
        )

    async def _reshared(self, shares: Words) -> Words:
        from upcare_mpc.mpc.programs.deposit import reshare  # noqa: PLC0415 - loads MPyC

        return await reshare(self._engine, field.multiply(shares, self._weight))

    def _read(self, places: Sequence[int]) -> Iterator[Deposit]:
        """The deposits at some places, one at a time."""
        for place in places:
            encoded = (Path(self._deposited.folder) / str(place)).read_bytes()
            if hashlib.sha256(encoded).hexdigest() != self._digests[place]:
                raise ProtocolError("a deposit is not the one that was frozen")
            yield Deposit.from_bytes(encoded)

    async def _all_hold(self, digest: bytes) -> None:
        """Go on only if every computing registry has the same sum.

        Raises:
            ProtocolError: One has another, or has not signed it.
        """
        statement = b"upcare/v1/agree-deposits|" + self._session + digest
        sent = await self._engine.transfer(digest + self._signatures.sign(statement))
        for peer, payload in enumerate(sent):
            if peer == self._engine.index:
                continue
            if payload[: len(digest)] != digest:
                raise ProtocolError("the computing parties do not hold the same sum of deposits")
            self._signatures.verify(peer, statement, payload[len(digest) :])
