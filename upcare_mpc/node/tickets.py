"""Tickets: this registry's word that a key is of one of its patients, who may take part.

The gate decides as it does for her records: by the study's purpose and diseases, and what the
registry certifies of the researcher. What counts is what she has said until today, not a freeze:
it is she who asks, and nobody else sees whether she was refused. That she has a record here is not
asked: the operator, or the code that let her in, stands for who she is.

One patient has one ticket a collection, for one key: so she counts once, whatever she sends.

Who sees what: this registry knows whose key it is, and cannot read what she deposits. The platform
and the holders see the key and which registry vouches for it. Adversary: a patient who wants to
count twice, or where her consent does not reach; whoever finds a ticket, who lacks its key.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric import ec

from upcare_mpc._proto.upcare.study.v1 import study_pb2
from upcare_mpc.config import PartyFile, WarehouseTable
from upcare_mpc.consent.gate import decide
from upcare_mpc.deposits.collection import Collection
from upcare_mpc.deposits.submission import POINT_BYTES, Ticket
from upcare_mpc.errors import InputError, ProtocolError, RefusedError
from upcare_mpc.kinds.question import Question
from upcare_mpc.link.certificates import Identity
from upcare_mpc.node.question import check_policy, use_of
from upcare_mpc.storage.consents import Consents
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.holdings import Holdings
from upcare_mpc.storage.sessions import Sessions
from upcare_mpc.storage.tickets import GivenTicket, Tickets

__all__ = ["TicketOffice"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketOffice:
    """Gives tickets for one registry; safe for several threads.

    Attributes:
        party: The registry.
        identity: Certificate and key.
        database: The node's.
        clock: Says what time it is, UTC.
    """

    party: PartyFile
    identity: Identity
    database: Database
    clock: Callable[[], datetime]

    def check(self, collection: Collection, question: Question) -> None:
        """Check that this registry vouches for patients in a collection now.

        The researcher's signature on the study is not here. The holders have checked it before
        they signed the key, and the collection that they signed names her key.

        Args:
            collection: Checked: it is what the study implies, and all holders have signed its key.
            question: What its study implies.

        Raises:
            RefusedError: It does not; which of its rules it is.
        """
        name = self.party.name
        if (collection.study, collection.network) != (
            question.digest,
            self.identity.network.fingerprint,
        ):
            raise ProtocolError("the collection is of another study or network")
        if name not in collection.vouchers:
            raise RefusedError(f"{name} vouches for nobody in this collection")
        if not collection.opened <= self._now < collection.closes:
            raise RefusedError("the collection takes no deposits now")
        if isinstance(self.party.data.source, WarehouseTable):
            raise RefusedError(f"{name} keeps no consents, by which tickets are given")
        try:
            check_policy(question, _asked(collection), self.party.policy, registry=name)
        except RefusedError as error:
            raise RefusedError(f"{name} {error}") from None

    def agreed(self, collection: Collection) -> bool:
        """Say whether the operator's word is there, so that tickets may be given without her.

        It is if the policy is automatic, or this registry holds a part of the key, or has deposited
        its own table: both she has approved.
        """
        if self.party.policy.automatic:
            return True
        held = Holdings(self.database, self.party.state_folder / "holdings").get(collection.digest)
        if held is not None:
            return held.held
        return Sessions(self.database).get(collection.digest) is not None

    def permits(self, collection: Collection, question: Question, patient: bytes) -> bool:
        """Say whether what a patient has said lets her take part. Secret."""
        use = use_of(question, _asked(collection), self.party.policy, registry=self.party.name)
        said = Consents(self.database).of(patient)
        return decide(said, use, gate=self.party.data.gate, day=self.clock().date()).permitted

    def give(
        self, collection: Collection, question: Question, patient: bytes, point: bytes
    ) -> GivenTicket:
        """Give a patient her ticket, or the one that she has.

        Args:
            collection: As in ``check``.
            question: What its study implies.
            patient: Her pseudonym; the caller has made sure of her.
            point: Her public key for this collection, 65 bytes.

        Raises:
            RefusedError: She may not take part, or has a ticket for another key; or as ``check``.
            InputError: This is no public key.
        """
        self.check(collection, question)
        _check_point(point)
        if not self.permits(collection, question, patient):
            raise RefusedError("what this patient has said does not permit this study")
        ticket = Ticket(collection=collection.digest, registry=self.party.name, key=point)
        given = Tickets(self.database).give(
            GivenTicket(
                collection=collection.digest,
                patient=patient,
                key=point,
                ticket=ticket.signed(self.identity.sign).to_bytes(),
                certificate=self.identity.certificate_pem,
                study=question.study.canonical(),
                given=self.clock(),
            )
        )
        if given.key != point:
            raise RefusedError("this patient has a ticket for this collection, for another key")
        return given

    @property
    def _now(self) -> float:
        return self.clock().timestamp()


def _asked(collection: Collection) -> study_pb2.StudyRequest:
    """Who asks, for the policy."""
    return study_pb2.StudyRequest(signing_key=collection.signing_key)


def _check_point(point: bytes) -> None:
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError:
        point = b""
    if len(point) != POINT_BYTES:
        raise InputError("a patient's key: wanted an uncompressed point of P-256, 65 bytes")
