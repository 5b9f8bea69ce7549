"""Tickets: this registry's word that a key is of one of its patients, who may take part.

The gate decides as it does for her records: on the study's purpose and diseases, with what the
registry certifies of the researcher. What decides is what she has said until today, not a freeze:
she is the one who asks, and she is the one who hears why not.

One patient has one ticket a collection, for one key: so she counts once, whatever she sends.

Who sees what: this registry knows whose key it is, and cannot read what she deposits. The platform
and the holders see the key and which registry vouches for it. Adversary: a patient who wants to
count twice; whoever finds a ticket, who lacks its key.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from upcare_mpc._proto.upcare.study.v1 import study_pb2
from upcare_mpc.config import PartyFile
from upcare_mpc.consent.gate import Decision, decide
from upcare_mpc.deposits.collection import Collection
from upcare_mpc.deposits.submission import Ticket
from upcare_mpc.errors import RefusedError
from upcare_mpc.kinds.question import Question
from upcare_mpc.link.certificates import Identity
from upcare_mpc.link.statements import question_digest
from upcare_mpc.node.approval import Standing
from upcare_mpc.node.books import Books
from upcare_mpc.node.question import check_policy, use_of
from upcare_mpc.storage.consents import Consents
from upcare_mpc.storage.tickets import Tickets

__all__ = ["TicketOffice"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketOffice:
    """Gives tickets for one registry.

    Attributes:
        party: The registry.
        identity: Certificate and key.
        books: For its operator's word.
        consents: What its patients have said.
        tickets: What it has given.
        clock: Says what time it is, UTC.
    """

    party: PartyFile
    identity: Identity
    books: Books
    consents: Consents
    tickets: Tickets
    clock: Callable[[], datetime]

    def decide(self, collection: Collection, question: Question, patient: bytes) -> Decision:
        """Say whether a patient may take part, by what she has said.

        Raises:
            RefusedError: This registry vouches for nobody in this collection, or its policy does
                not accept the study.
        """
        name, policy = self.party.name, self.party.policy
        if name not in collection.vouchers:
            raise RefusedError(f"{name} vouches for nobody in this collection")
        request = study_pb2.StudyRequest(signing_key=collection.signing_key)
        check_policy(question, request, policy, registry=name)
        if not policy.automatic:
            asked = question_digest(question.digest, collection.signing_key)
            if self.books.standing(asked)[0] is Standing.REFUSED:
                raise RefusedError("its operator refuses the study")
        use = use_of(question, request, policy, registry=name)
        said = self.consents.of(patient)
        return decide(said, use, gate=self.party.data.gate, day=self.clock().date())

    def give(
        self, collection: Collection, question: Question, patient: bytes, point: bytes
    ) -> Ticket:
        """Give a patient her ticket.

        Args:
            collection: Checked: all holders have signed its key.
            question: What its study implies.
            patient: Her pseudonym; the caller has made sure of her.
            point: Her public key for this collection, 65 bytes.

        Raises:
            RefusedError: She may not take part, or has a ticket for another key, or the collection
                takes no deposits any more; or as ``decide``.
        """
        now = self.clock()
        if now.timestamp() >= collection.closes:
            raise RefusedError("the collection takes no deposits any more")
        decision = self.decide(collection, question, patient)
        if not decision.permitted:
            raise RefusedError("what this patient has said does not permit this study")
        fresh = Ticket(collection=collection.digest, registry=self.party.name, key=point)
        given = Ticket.from_bytes(
            self.tickets.give(
                collection.digest, patient, fresh.signed(self.identity.sign).to_bytes(), time=now
            )
        )
        if given.key != point:
            raise RefusedError("this patient has a ticket for this collection, for another key")
        return given
