"""A registry that runs no node deposits its table.

What a node does in a session, this does for one collection, with the same policy, approval, ledger,
gate and count; it then hands out one encrypted vector. The collection's digest stands where a
session's digest does.

    new --agree--> agreed --spend--> spent --store--> stored: the same bytes for ever

The ledger is charged, durably, before the deposit exists, and the deposit is stored before it is
sent: what is sent again is the same bytes at no cost, and there is never another one for the same
collection. A stop in between is taken up by the next call.

How long this takes tells nothing to anyone who is not at the registry: when a deposit is sent is
chosen by its operator.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from upcare_mpc._proto.upcare.study.v1 import study_pb2
from upcare_mpc.config import PartyFile
from upcare_mpc.deposits.collection import Collection
from upcare_mpc.errors import RefusedError
from upcare_mpc.kinds.question import Question
from upcare_mpc.link.statements import question_digest
from upcare_mpc.node.approval import Standing
from upcare_mpc.node.books import Books
from upcare_mpc.node.question import check_policy, use_of
from upcare_mpc.node.snapshot import Snapshot
from upcare_mpc.storage.sessions import SessionState
from upcare_mpc.study.spec import Study

__all__ = ["OfflineRegistry"]

Encrypt = Callable[[npt.NDArray[np.int64]], bytes]
"""Makes the signed deposit of a vector."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OfflineRegistry:
    """A registry whose operator deposits by hand.

    Attributes:
        party: Its party file.
        books: Its journal and sessions.
        load: Opens the data in force; called if there is something to count.
    """

    party: PartyFile
    books: Books
    load: Callable[[], Snapshot]

    def stored(self, collection: Collection) -> bytes | None:
        """The deposit that was made for a collection; None if there is none yet."""
        if self.books.progress(collection.digest) is SessionState.OUTPUT:
            return self.books.output(collection.digest)
        return None

    def deposit(
        self,
        collection: Collection,
        study: Study,
        question: Question,
        encrypt: Encrypt,
        *,
        approve: bool,
    ) -> bytes:
        """Charge the ledger, count, encrypt, and store; or return what was stored before.

        Args:
            collection: Checked: every holder has signed its key.
            study: Its study, as it was asked.
            question: What that implies.
            encrypt: Makes the signed deposit.
            approve: Whether the operator says yes; asked where the policy wants that.

        Raises:
            RefusedError: The policy or the operator does not permit it, population or life table
                are missing, or this collection was given up.
            BudgetExceeded: A cap would be passed.
        """
        found = self.stored(collection)
        if found is not None:
            return found
        digest, name = collection.digest, self.party.name
        if self.books.erased(digest):
            raise RefusedError(f"{name} has given this collection up; nothing leaves for it")
        asked, snapshot = _asked(collection, study), self.load()
        self.books.renew(snapshot.digest)
        self._check(question, asked, snapshot)
        if self.books.progress(digest) is None:
            if not self.party.policy.automatic:
                self._ask_operator(
                    question_digest(question.digest, collection.signing_key), approve
                )
            self.books.agree(question, digest, asked)
        use = use_of(question, asked, self.party.policy, registry=name)
        vector = np.frombuffer(snapshot.tabulate(question.kind, use), np.dtype("<i8"))
        if self.books.progress(digest) is SessionState.AGREED:
            self.books.spend(question, digest)
        encoded = encrypt(vector.astype(np.int64))
        self.books.store_output(question, digest, encoded)
        return encoded

    def give_up(self, collection: Collection, question: Question) -> bool:
        """Give back a charge that was only reserved, of a collection that is over.

        Returns:
            Whether nothing was stored, so that no deposit will ever leave.
        """
        if self.books.progress(collection.digest) is None:
            return True
        return self.books.erase(question.digest, collection.digest)

    def _check(self, question: Question, asked: study_pb2.StudyRequest, snapshot: Snapshot) -> None:
        try:
            check_policy(question, asked, self.party.policy, registry=self.party.name)
            snapshot.check_in_time()
            snapshot.check_reference(question.kind)
        except RefusedError as error:
            raise RefusedError(f"{self.party.name} {error}") from None

    def _ask_operator(self, question: bytes, approve: bool) -> None:
        if approve:
            self.books.grant(question)
        elif self.books.standing(question)[0] is not Standing.GRANTED:
            raise RefusedError(
                f"{self.party.name} waits for its operator: read 'upcare deposit show', "
                "then say --approve"
            )


def _asked(collection: Collection, study: Study) -> study_pb2.StudyRequest:
    """The question and who asks it, for policy and books.

    The researcher's signature is not here: the holders have checked it before they signed the key,
    and the collection that they signed names her key.
    """
    return study_pb2.StudyRequest(
        study=study.canonical(),
        signing_key=collection.signing_key,
        nonce=collection.nonce,
    )
