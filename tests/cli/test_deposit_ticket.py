"""`upcare deposit ticket`: what it writes, and what it says when it does not."""

import datetime
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import Asking

from upcare_mpc.cli import depositing
from upcare_mpc.client.deposit_files import read_point, read_ticket
from upcare_mpc.consent.model import Activity, Answer, Consent
from upcare_mpc.link.certificates import verify_signature
from upcare_mpc.storage.consents import Consents


@pytest.fixture
def asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asking]:
    with Asking(tmp_path) as found:
        monkeypatch.setattr(
            depositing.DepositClient, "of_registry", lambda *_: found.platform.client()
        )
        yield found


def command(asking: Asking, *, patient: str = "P-1", name: str = "ticket") -> tuple[str, ...]:
    """Ask for a ticket; the names of files are relative to the folder."""
    folder = asking.folder
    return (
        *("deposit", "ticket", asking.platform.collection.digest.hex()[:12]),
        *("--party", str(folder), "--patient", patient),
        *("--key", str(folder / "my.pub"), "--out", str(folder / name)),
    )


def made(upcare: Callable[..., Any], asking: Asking, name: str = "my") -> None:
    ran = upcare("deposit", "key", "--out", str(asking.folder / f"{name}.key"))
    (asking.folder / "my.pub").write_text(ran.out)


def test_a_ticket_is_written_and_written_again(upcare: Callable[..., Any], asking: Asking) -> None:
    made(upcare, asking)

    ran = upcare(*command(asking))
    again = upcare(*command(asking, name="again"))

    assert (ran.status, ran.err) == (0, "de-a: ticket for 'Gathered' is in ticket\n")
    assert again.status == 0
    ticket, certificate = read_ticket(asking.folder / "ticket")
    assert ticket.key == read_point(asking.folder / "my.pub")
    _, checked = asking.platform.network.verify(certificate.decode(), now=asking.now)
    verify_signature(checked, ticket.statement(), ticket.signature)
    assert (asking.folder / "again").read_text() == (asking.folder / "ticket").read_text()


def test_an_id_that_has_no_record_is_said(upcare: Callable[..., Any], asking: Asking) -> None:
    """A slip of the pen would be a second ticket for the same person."""
    made(upcare, asking)

    ran = upcare(*command(asking, patient="P-l"))

    assert ran.status == 0
    assert "no record of this id is in force here" in ran.err


def test_another_key_is_refused_in_one_line(upcare: Callable[..., Any], asking: Asking) -> None:
    made(upcare, asking)
    upcare(*command(asking))
    made(upcare, asking, "other")

    ran = upcare(*command(asking, name="other"))

    assert ran.status == 1
    assert ran.err == (
        "upcare: error: this patient has a ticket for this collection, for another key [refused]\n"
    )
    assert not (asking.folder / "other").exists()


def test_who_has_objected_gets_none(upcare: Callable[..., Any], asking: Asking) -> None:
    made(upcare, asking)
    objection = Consent(
        patient=asking.patient(),
        data_set="de-a",
        activity=Activity.STATISTICS,
        version=1,
        answer=Answer.REFUSED,
        given=datetime.date(2026, 1, 1),
        form="urn:oid:1.2.3",
    )
    Consents(asking.database).record([objection], time=asking.now)

    ran = upcare(*command(asking))

    assert ran.err == (
        "upcare: error: what this patient has said does not permit this study [refused]\n"
    )
    assert not (asking.folder / "ticket").exists()


@pytest.mark.parametrize("patient", ["", "x" * 300, "P\n1"])
def test_what_cannot_be_an_id_is_refused(
    upcare: Callable[..., Any], asking: Asking, patient: str
) -> None:
    made(upcare, asking)

    ran = upcare(*command(asking, patient=patient))

    assert ran.status == 1
    assert "a patient id: wanted" in ran.err


def test_a_registry_without_an_identity_gives_none(
    upcare: Callable[..., Any], asking: Asking
) -> None:
    made(upcare, asking)
    shutil.rmtree(asking.folder / "identity")

    ran = upcare(*command(asking))

    assert ran.status == 1
    assert ran.err.count("\n") == 1
