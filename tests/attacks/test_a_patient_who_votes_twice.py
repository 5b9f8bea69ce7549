"""Story: a patient wants her answers to count twice, or to count where they may not.

She has a good code, a good consent, and a program of her own instead of the page's script. She asks
for a second ticket, under another key, on another day, after a withdrawal; she uses the ticket of
another questionnaire; she finds the ticket of somebody else; she makes one herself. Whatever she
sends, the registry gives one ticket, and the holders take one deposit for it, signed by its key.

First it is shown what each of these would bring if only the submitter's signature were checked.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from asking import Asking
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from upcare_mpc.client.deposit_files import point_of
from upcare_mpc.client.deposits import OpenCollection, patient_deposit
from upcare_mpc.consent.model import Activity, Answer, Consent
from upcare_mpc.deposits.submission import Deposit, Ticket
from upcare_mpc.errors import ProtocolError, RefusedError
from upcare_mpc.link.signers import certifier
from upcare_mpc.storage.tickets import GivenTicket

Key = ec.EllipticCurvePrivateKey


@pytest.fixture
def asking(tmp_path: Path) -> Iterator[Asking]:
    with Asking(tmp_path) as found:
        yield found


def new_key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def found_in(asking: Asking) -> OpenCollection:
    with asking.platform.client() as client:
        return client.describe(asking.platform.collection.digest)


def give(asking: Asking, key: Key, name: str = "P-1") -> GivenTicket:
    collection, question = asking.platform.collection, asking.platform.question
    return asking.office.give(collection, question, asking.patient(name), point_of(key))


def deposited(asking: Asking, key: Key, ticket: Ticket, certificate: bytes) -> Deposit:
    """A deposit with whatever ticket she likes; everything else is as it should be."""
    found = found_in(asking)
    encoded = patient_deposit(
        found, np.zeros(11, np.int64), key=key, ticket=ticket, certificate=certificate
    )
    return Deposit.from_bytes(encoded)


def holders_take(asking: Asking, deposit: Deposit) -> str:
    """What a holder's check says of it; empty if it is taken."""
    try:
        deposit.check(
            asking.platform.collection, certifier(asking.platform.network, now=asking.now)
        )
    except ProtocolError as error:
        return str(error)
    return ""


def signed_by_its_submitter(deposit: Deposit) -> bool:
    """The careless check: somebody with a key has signed it, and nobody asks who."""
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), deposit.submitter)
    key.verify(deposit.signature, deposit.statement(), ec.ECDSA(hashes.SHA256()))
    return True


def test_ten_keys_would_be_ten_patients_without_tickets(asking: Asking) -> None:
    """And they are one with them."""
    keys = [new_key() for _ in range(10)]
    own = give(asking, keys[0])
    given = Ticket.from_bytes(own.ticket)
    deposits = [deposited(asking, key, given, own.certificate) for key in keys]

    assert all(map(signed_by_its_submitter, deposits))  # ten that nobody could tell apart
    assert len({deposit.submitter for deposit in deposits}) == 10

    taken = [holders_take(asking, deposit) for deposit in deposits]
    assert taken[0] == ""
    assert set(taken[1:]) == {"the ticket is of another patient or collection"}
    for key in keys[1:]:
        with pytest.raises(RefusedError, match="for another key"):
            give(asking, key)


def test_waiting_withdrawing_and_consenting_again_bring_no_second_ticket(asking: Asking) -> None:
    give(asking, new_key())
    for version, answer in ((1, Answer.WITHDRAWN), (2, Answer.REFUSED)):
        asking.record(
            Consent(
                patient=asking.patient(),
                data_set="de-a",
                activity=Activity.STATISTICS,
                version=version,
                answer=answer,
                given=date(2026, 1, version),
                form="urn:oid:1.2.3",
            )
        )
        with pytest.raises(RefusedError):
            give(asking, new_key())
    asking.now += timedelta(minutes=30)

    with pytest.raises(RefusedError):
        give(asking, new_key())

    (only,) = asking.questionnaires.tickets.of(asking.patient())
    assert only.key


def test_a_ticket_of_another_collection_is_none_here(asking: Asking) -> None:
    """The same registry, the same patient, the same key: another questionnaire."""
    key = new_key()
    elsewhere = give(asking, key)
    asking.platform.begin()

    deposit = deposited(asking, key, Ticket.from_bytes(elsewhere.ticket), elsewhere.certificate)

    assert signed_by_its_submitter(deposit)
    assert holders_take(asking, deposit) == "the ticket is of another patient or collection"
    renamed = replace(Ticket.from_bytes(elsewhere.ticket), collection=deposit.collection)
    forged = deposited(asking, key, renamed, elsewhere.certificate)
    assert holders_take(asking, forged) == "a signature is not the named party's"


def test_a_stolen_ticket_is_worth_nothing_without_its_key(asking: Asking) -> None:
    """She has found P-2's ticket; the key that it names she does not have."""
    hers, thief = new_key(), new_key()
    stolen = give(asking, hers, "P-2")
    ticket = Ticket.from_bytes(stolen.ticket)

    as_herself = deposited(asking, thief, ticket, stolen.certificate)
    as_the_other = replace(as_herself, submitter=ticket.key).signed(
        lambda said: thief.sign(said, ec.ECDSA(hashes.SHA256()))
    )
    renamed = deposited(asking, thief, replace(ticket, key=point_of(thief)), stolen.certificate)

    assert holders_take(asking, as_herself) == "the ticket is of another patient or collection"
    assert holders_take(asking, as_the_other) == "the deposit is not signed by its submitter"
    assert holders_take(asking, renamed) == "a signature is not the named party's"
    assert holders_take(asking, deposited(asking, hers, ticket, stolen.certificate)) == ""


def test_the_page_takes_no_deposit_with_the_ticket_of_another(asking: Asking) -> None:
    """She is on the page as P-1, and sends what P-2 has made: it would be P-2's only one."""
    hers = new_key()
    own, others = give(asking, new_key()), give(asking, hers, "P-2")
    deposit = deposited(asking, hers, Ticket.from_bytes(others.ticket), others.certificate)
    offered = asking.questionnaires.find(asking.platform.collection.digest)
    assert offered is not None
    assert holders_take(asking, deposit) == ""

    with pytest.raises(ProtocolError, match="not made with this patient's ticket"):
        asking.questionnaires.keep(offered, own, deposit.to_bytes())

    assert list(asking.questionnaires.tickets.kept()) == []


@pytest.mark.parametrize("signer", ["herself", "another registry", "the platform"])
def test_nobody_but_her_registry_gives_its_tickets(asking: Asking, signer: str) -> None:
    key = new_key()
    ticket = Ticket(
        collection=asking.platform.collection.digest, registry="de-a", key=point_of(key)
    )
    certificate = asking.office.identity.certificate_pem
    if signer == "herself":
        ticket = ticket.signed(lambda said: key.sign(said, ec.ECDSA(hashes.SHA256())))
    else:
        name = "fr-a" if signer == "another registry" else "platform"
        certificate = asking.platform.identity(name).certificate_pem
        ticket = ticket.signed(asking.platform.identity(name).sign)

    complaint = holders_take(asking, deposited(asking, key, ticket, certificate))

    assert complaint in {
        "a signature is not the named party's",
        "the ticket is not of a registry that vouches in this collection",
        "platform.platform.upcare is not a registry",
    }


def test_the_key_of_another_brings_no_ticket_for_two(asking: Asking) -> None:
    """Two patients who share a key would be one submitter: the second is told at once."""
    shared = new_key()
    give(asking, shared, "P-2")

    with pytest.raises(RefusedError, match="ticket of another patient"):
        give(asking, shared, "P-1")
