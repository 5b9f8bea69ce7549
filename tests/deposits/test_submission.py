"""Deposits: who may, and that nothing in them can be changed by whoever carries them."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_papers import Patient, certify, collection, signature, table

from upcare_mpc.deposits.submission import Deposit, Ticket
from upcare_mpc.errors import ProtocolError


def test_a_registrys_table_and_a_patients_answers_are_taken() -> None:
    wanted = collection()
    for deposit in (table(wanted), Patient().deposit(wanted), Patient().deposit(wanted, by="fr-a")):
        read = Deposit.from_bytes(deposit.to_bytes())
        read.check(wanted, certify)
        assert read == deposit


def test_a_registry_that_does_not_deposit_is_refused() -> None:
    with pytest.raises(ProtocolError, match="de-a deposits nothing"):
        table(collection(), by="de-a").check(collection(), certify)


def test_a_registry_cannot_deposit_for_another() -> None:
    posing = table(collection(), certificate=b"de-a").signed(lambda t: signature("de-a", t))
    with pytest.raises(ProtocolError, match="another registry than its certificate"):
        posing.check(collection(), certify)


def test_a_registry_with_a_ticket_is_refused() -> None:
    """Else its table could be counted twice, under two contexts."""
    deposit = table(collection(), ticket=Patient().ticket(collection()).to_bytes())
    with pytest.raises(ProtocolError, match="another registry"):
        deposit.check(collection(), certify)


def test_a_ticket_of_who_does_not_vouch_is_refused() -> None:
    with pytest.raises(ProtocolError, match="not of a registry that vouches"):
        Patient().deposit(collection(), by="de-b").check(collection(), certify)


def test_a_stolen_ticket_is_no_use_without_the_key() -> None:
    wanted, owner, thief = collection(), Patient(), Patient()
    ticket = owner.ticket(wanted).to_bytes()

    with pytest.raises(ProtocolError, match="of another patient"):
        thief.deposit(wanted, ticket=ticket).check(wanted, certify)
    with pytest.raises(ProtocolError, match="not signed by its submitter"):
        thief.deposit(wanted, ticket=ticket, submitter=owner.point).check(wanted, certify)


def test_a_ticket_is_for_one_collection() -> None:
    wanted, other, patient = collection(), collection(nonce=bytes(16)), Patient()
    old = patient.ticket(other).to_bytes()
    with pytest.raises(ProtocolError, match="of another patient or collection"):
        patient.deposit(wanted, ticket=old).check(wanted, certify)


def test_a_deposit_is_for_one_collection() -> None:
    with pytest.raises(ProtocolError, match="another collection"):
        table(collection()).check(collection(nonce=bytes(16)), certify)


@pytest.mark.parametrize("field", ["nonce", "payload", "certificate", "submitter", "ticket"])
def test_whoever_carries_it_can_change_nothing(field: str) -> None:
    wanted = collection()
    other: dict[str, Any] = {field: bytes(16)}
    for deposit in (table(wanted), Patient().deposit(wanted)):
        with pytest.raises(ProtocolError):
            replace(deposit, **other).check(wanted, certify)


@pytest.mark.parametrize("field", ["role", "submitter", "ticket", "nonce", "collection"])
def test_the_context_holds_who_and_where(field: str) -> None:
    deposit = Patient().deposit(collection())
    other: dict[str, Any] = {field: "registry" if field == "role" else bytes(32)}
    assert replace(deposit, **other).context != deposit.context


def test_no_context_is_that_of_another_split_of_the_same_bytes() -> None:
    deposit = table(collection(), submitter=b"ab", ticket=b"c")
    assert replace(deposit, submitter=b"a", ticket=b"bc").context != deposit.context


@pytest.mark.parametrize("key", [bytes(65), b"\4" + bytes(64), b"\4" + b"\1" * 64])
def test_what_is_no_point_signs_nothing(key: bytes) -> None:
    wanted, patient = collection(), Patient()
    ticket = patient.ticket(wanted, key=key).to_bytes()
    deposit = patient.deposit(wanted, submitter=key, ticket=ticket)
    with pytest.raises(ProtocolError, match="not signed by its submitter"):
        deposit.check(wanted, certify)


@given(st.binary(max_size=300))
def test_no_bytes_do_worse_than_to_be_refused(received: bytes) -> None:
    for read in (Deposit.from_bytes, Ticket.from_bytes):
        with pytest.raises(ProtocolError):
            read(received)


def test_what_stands_before_the_payload_is_read_without_it() -> None:
    wanted = collection()
    for deposit in (table(wanted), Patient().deposit(wanted)):
        encoded = deposit.to_bytes()
        payload = encoded.index(deposit.payload) - 4
        wholly = replace(deposit, payload=b"", signature=b"")
        assert Deposit.begun(encoded) == Deposit.begun(encoded[:payload]) == wholly
        for short in range(payload):
            with pytest.raises(ProtocolError):
                Deposit.begun(encoded[:short])


def test_a_ticket_can_be_checked_before_the_rest_is_there() -> None:
    wanted, patient = collection(), Patient()
    for deposit in (table(wanted), patient.deposit(wanted)):
        Deposit.begun(deposit.to_bytes()).check_begun(wanted, certify)
        with pytest.raises(ProtocolError, match="the deposit is for another collection"):
            Deposit.begun(deposit.to_bytes()).check_begun(collection(nonce=bytes(16)), certify)
    elsewhere = patient.ticket(collection(nonce=bytes(16))).to_bytes()
    for ticket in (elsewhere, Patient().ticket(wanted).to_bytes()):
        begun = Deposit.begun(patient.deposit(wanted, ticket=ticket).to_bytes())
        with pytest.raises(ProtocolError, match="the ticket is of another patient or collection"):
            begun.check_begun(wanted, certify)


def test_a_role_that_is_none_is_refused() -> None:
    encoded = table(collection()).to_bytes().replace(b"registry", b"observer", 1)
    with pytest.raises(ProtocolError, match="of a registry or of a patient"):
        Deposit.from_bytes(encoded)
