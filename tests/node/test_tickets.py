"""Who gets a ticket: by the collection, the policy, the operator, and what the patient has said."""

import os
import re
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from asking import Asking
from cryptography.hazmat.primitives.asymmetric import ec

from upcare_mpc.client.deposit_files import point_of
from upcare_mpc.config import load_party
from upcare_mpc.consent import duo
from upcare_mpc.consent.diseases import categories
from upcare_mpc.consent.model import Activity, Answer, Consent, Terms
from upcare_mpc.deposits.submission import Ticket
from upcare_mpc.errors import InputError, ProtocolError, RefusedError
from upcare_mpc.kinds.question import Question, work_out
from upcare_mpc.link.certificates import Authority, Identity, verify_signature
from upcare_mpc.node.tickets import TicketOffice
from upcare_mpc.storage.holdings import Holdings
from upcare_mpc.storage.tickets import GivenTicket
from upcare_mpc.study.spec import parse

FIRST = date(2026, 1, 1)


@pytest.fixture
def asking(tmp_path: Path) -> Any:
    with Asking(tmp_path) as found:
        yield found


def point() -> bytes:
    return point_of(ec.generate_private_key(ec.SECP256R1()))


def give(asking: Asking, name: str = "P-1", key: bytes | None = None) -> GivenTicket:
    collection, question = asking.platform.collection, asking.platform.question
    return asking.office.give(collection, question, asking.patient(name), key or point())


def said(asking: Asking, *, name: str = "P-1", version: int = 1, **terms: Any) -> Consent:
    """A permission of statistics with these terms, or a withdrawal without any."""
    return Consent(
        patient=asking.patient(name),
        data_set="de-a",
        activity=Activity.STATISTICS,
        version=version,
        answer=Answer.PERMITTED if terms else Answer.WITHDRAWN,
        terms=Terms(**{"first_day": FIRST, **terms}) if terms else None,
        given=FIRST,
        form="urn:oid:1.2.3",
    )


def with_policy(asking: Asking, old: str, new: str) -> TicketOffice:
    """The office after its operator has changed the party file."""
    path = asking.folder / "party.toml"
    text = re.sub(old, new, path.read_text("utf-8"))
    assert text != path.read_text("utf-8")
    path.write_text(text, "utf-8")
    return replace(asking.office, party=load_party(asking.folder))


def test_a_ticket_is_the_registry_s_word_for_one_key(asking: Asking) -> None:
    key = point()

    given = give(asking, key=key)

    ticket = Ticket.from_bytes(given.ticket)
    assert (ticket.collection, ticket.registry, ticket.key) == (
        asking.platform.collection.digest,
        "de-a",
        key,
    )
    _, certificate = asking.platform.network.verify(given.certificate.decode(), now=asking.now)
    verify_signature(certificate, ticket.statement(), ticket.signature)
    assert given.study == asking.platform.study.canonical()
    assert asking.patient().hex().encode() not in given.ticket  # it names no patient
    assert asking.patient() not in given.ticket


def test_the_same_key_again_gets_the_same_ticket_also_after_another_certificate(
    asking: Asking,
) -> None:
    key = point()
    first = give(asking, key=key)
    authority = Authority(
        certificate_pem=(asking.folder / "world" / "net" / "ca.pem").read_bytes(),
        key_pem=(asking.folder / "world" / "net" / "ca.key").read_bytes(),
    )
    pem, private = authority.admit("de-a", "registry", now=asking.now)
    network = asking.office.identity.network
    party, _ = network.verify(pem.decode(), now=asking.now)
    renewed = Identity(party=party, network=network, certificate_pem=pem, key_pem=private)
    collection, question = asking.platform.collection, asking.platform.question

    office = replace(asking.office, identity=renewed)
    again = office.give(collection, question, asking.patient(), key)

    assert again == first
    assert again.certificate != renewed.certificate_pem  # that which has signed it


def test_another_key_is_refused_for_ever(asking: Asking) -> None:
    give(asking)

    for _ in range(2):
        with pytest.raises(RefusedError, match=r"^this patient has a ticket .* for another key$"):
            give(asking)


def test_a_key_of_another_patient_is_refused(asking: Asking) -> None:
    key = point()
    give(asking, "P-1", key)

    with pytest.raises(RefusedError, match="ticket of another patient"):
        give(asking, "P-2", key)


@pytest.mark.parametrize(
    "key",
    [b"", b"\4" + bytes(64), os.urandom(65), point()[:64], b"\2" + point()[1:33], point() + b"\0"],
    ids=["nothing", "no point", "random", "cut", "compressed", "longer"],
)
def test_what_is_no_key_gets_no_ticket(asking: Asking, key: bytes) -> None:
    collection, question = asking.platform.collection, asking.platform.question

    with pytest.raises(InputError, match="wanted an uncompressed point of P-256"):
        asking.office.give(collection, question, asking.patient(), key)


# --- what she has said ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gate", "terms", "permitted"),
    [
        ("objection", None, True),  # silence
        ("objection", {}, False),  # an objection
        ("objection", {"permission": duo.HMB}, True),
        ("objection", {"permission": duo.POA}, False),
        ("objection", {"permission": duo.HMB, "limits": frozenset({duo.NCU})}, False),
        ("objection", {"permission": duo.DS, "diseases": categories(["C50"])}, False),
        ("consent", None, False),
        ("consent", {}, False),
        ("consent", {"permission": duo.HMB}, True),
        (
            "consent",
            {"permission": duo.HMB, "limits": frozenset({duo.TS}), "last_day": FIRST},
            False,
        ),
    ],
)
def test_the_gate_decides_as_it_does_for_records(
    tmp_path: Path, gate: str, terms: dict[str, Any] | None, permitted: bool
) -> None:
    with Asking(tmp_path, gate=gate) as asking:
        if terms is not None:
            asking.record(said(asking, **terms))

        if permitted:
            assert give(asking).patient == asking.patient()
        else:
            with pytest.raises(RefusedError, match=r"^what this patient has said does not permit"):
                give(asking)
            assert asking.questionnaires.tickets.of(asking.patient()) == ()


def test_a_withdrawal_counts_at_once(asking: Asking) -> None:
    key = point()
    asking.record(said(asking, permission=duo.HMB))
    give(asking, key=key)
    asking.record(said(asking, version=2))

    with pytest.raises(RefusedError, match="does not permit"):
        give(asking, key=key)


def test_what_is_said_of_records_does_not_count(asking: Asking) -> None:
    asking.record(replace(said(asking), activity=Activity.RECORDS))

    assert give(asking)


def test_a_patient_without_a_record_gets_one(asking: Asking) -> None:
    """Who stands for her is the operator, or the code that let her in."""
    assert give(asking, "P-9")


# --- the collection and the policy ----------------------------------------------------------------


def test_only_who_vouches_gives_tickets(asking: Asking) -> None:
    other = replace(asking.platform.collection, vouchers=("de-b",))

    with pytest.raises(RefusedError, match=r"^de-a vouches for nobody in this collection$"):
        asking.office.give(other, asking.platform.question, asking.patient(), point())


@pytest.mark.parametrize("when", [timedelta(seconds=-60), timedelta(hours=1)])
def test_before_and_after_there_are_no_tickets(asking: Asking, when: timedelta) -> None:
    asking.now += when

    with pytest.raises(RefusedError, match=r"^the collection takes no deposits now$"):
        give(asking)


def test_a_collection_of_another_network_or_study_is_refused(asking: Asking) -> None:
    question = asking.platform.question
    for change in ({"network": bytes(32)}, {"study": bytes(32)}):
        other = replace(asking.platform.collection, **change)  # type: ignore[arg-type]
        with pytest.raises(ProtocolError, match="of another study or network"):
            asking.office.give(other, question, asking.patient(), point())


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (r', "questionnaire"', "", "de-a does not accept studies of kind questionnaire"),
        ("DUO:0000007", "DUO:0000004", "de-a does not accept purpose DUO:0000007"),
        ("07" * 32, "08" * 32, "de-a does not know this researcher's key"),
        ("epsilon_per_study = 2.0", "epsilon_per_study = 0.5", "de-a accepts at most epsilon 0.5"),
    ],
)
def test_the_policy_decides(asking: Asking, old: str, new: str, complaint: str) -> None:
    office = with_policy(asking, old, new)
    collection, question = asking.platform.collection, asking.platform.question

    with pytest.raises(RefusedError, match=f"^{re.escape(complaint)}"):
        office.give(collection, question, asking.patient(), point())


def test_without_the_operator_s_word_the_page_gives_none(asking: Asking) -> None:
    """Her word is the policy, a part of the key, or a deposit of her own table."""
    collection = asking.platform.collection
    assert asking.office.agreed(collection)
    office = with_policy(asking, 'approval = "automatic"', 'approval = "manual"')
    assert not office.agreed(collection)

    holdings = Holdings(asking.database, office.party.state_folder / "holdings")
    holdings.add(collection.digest, request=b"r", papers=b"papers", secret=b"secret")
    assert office.agreed(collection)

    holdings.erase(collection.digest)
    assert not office.agreed(collection)


def test_a_question_that_would_be_answered_by_records_is_decided_by_its_cohort(
    asking: Asking,
) -> None:
    """A permission for one disease reaches a study on it, and no other."""
    asking.record(said(asking, permission=duo.DS, diseases=categories(["C50"])))
    question: Question = asking.platform.question
    collection = asking.platform.collection
    assert not asking.office.permits(collection, question, asking.patient())

    text = (
        'version = 1\ntitle = "x"\nkind = "counts"\npurpose = "DUO:0000007"\noverlap = 2\n'
        'registries = ["de-a", "de-b", "de-c"]\n[deposits]\npatients = true\n'
        '[cohort]\nwhere = "site = \'C50\'"\n[privacy]\nepsilon = 1\n[counts]\nby = ["sex"]\n'
    )
    on_breasts = work_out(parse(text, name="study.toml"), network_overlap=1)
    assert asking.office.permits(collection, on_breasts, asking.patient())
