"""What a contributor takes for a collection, and what leaves her machine."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from gathering import HOLDERS, Gathering, study_text

from upcare_mpc.client.deposit_files import (
    new_key,
    point_of,
    read_key,
    read_point,
    read_ticket,
    write_ticket,
)
from upcare_mpc.client.deposits import DepositClient, patient_deposit, registry_deposit
from upcare_mpc.deposits.envelopes import check_payload
from upcare_mpc.deposits.receipt import Receipt
from upcare_mpc.deposits.submission import Deposit
from upcare_mpc.errors import InputError, ProtocolError, RefusedError, UpcareError
from upcare_mpc.study.spec import parse


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Gathering:
    return Gathering.of(tmp_path_factory.mktemp("gathering"), study_text())


@pytest.fixture
def gathering(whole: Gathering) -> Gathering:
    """The collection, whole again for every test."""
    whole.study = parse(study_text(), name="study.toml")
    whole.begin()
    whole.deposits.clear()
    whole.answers = True
    return whole


@pytest.fixture
def client(gathering: Gathering) -> DepositClient:
    return gathering.client()


def refused(gathering: Gathering) -> str:
    """What is said about a description that must not be believed."""
    with pytest.raises(UpcareError) as error:
        gathering.client().describe(gathering.collection.digest)
    return str(error.value)


def test_a_collection_that_all_holders_have_signed_is_described(
    gathering: Gathering, client: DepositClient
) -> None:
    found = client.describe(gathering.collection.digest)

    assert found.collection == gathering.collection
    assert found.study == gathering.study
    assert found.question.layout.cells == gathering.collection.cells
    assert found.key.public is not None
    assert len(found.key.sealing) == 3
    assert found.taking


def test_the_platform_cannot_describe_another_collection(gathering: Gathering) -> None:
    asked = gathering.collection.digest
    gathering.begin()  # a new one: another nonce

    with pytest.raises(ProtocolError, match="another collection than it was asked for"):
        gathering.client().describe(asked)


def test_a_key_that_one_holder_has_not_signed_is_not_taken(gathering: Gathering) -> None:
    keys = [gathering.key_of(name) for name in HOLDERS]
    forged = replace(keys[1], signature=keys[0].signature)
    gathering.describe_as(gathering.collection, [keys[0], forged, keys[2]])

    assert "not the named party's" in refused(gathering)


def test_the_platforms_own_key_is_not_taken(gathering: Gathering) -> None:
    # It signs for all holders with its own certificate, which the collection does not name.
    keys = [gathering.key_of(name).signed(gathering.identity("platform").sign) for name in HOLDERS]
    gathering.describe_as(gathering.collection, keys)

    assert "not the named party's" in refused(gathering)


def test_two_keys_under_two_signatures_are_not_taken(gathering: Gathering) -> None:
    keys = [gathering.key_of(name) for name in HOLDERS]
    other = bytearray(keys[0].public)
    other[-22] ^= 1
    keys[2] = gathering.key_of("de-c", public=bytes(other))
    gathering.describe_as(gathering.collection, keys)

    assert "signed different keys" in refused(gathering)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"cells": 9}, "number of cells"),
        ({"threshold": 1, "depositors": ("fr-b",)}, "list of depositors"),
        ({"envelope": "sealed"}, "envelope"),
        ({"network": bytes(32)}, "network"),
        ({"vouchers": ("de-a",)}, "vouch"),
        ({"closes": 1 << 39}, "days at most"),
    ],
)
def test_a_collection_that_its_study_does_not_imply_is_refused(
    gathering: Gathering, changed: dict[str, object], says: str
) -> None:
    gathering.collection = replace(gathering.collection, **changed)  # type: ignore[arg-type]
    gathering.describe_as(gathering.collection, [gathering.key_of(name) for name in HOLDERS])

    assert says in refused(gathering)


def test_another_study_under_the_same_collection_is_refused(gathering: Gathering) -> None:
    other = parse(study_text().replace("Gathered", "Something else"), name="study.toml")
    gathering.description.study = other.canonical()

    assert "another study" in refused(gathering)


def test_a_registry_does_not_stand_for_the_platform(gathering: Gathering) -> None:
    gathering.description.platform = gathering.identity("de-a").certificate_pem.decode()

    assert refused(gathering) == "de-a.registry.upcare is not the platform"


def test_a_collection_is_found_by_the_beginning_of_its_digest(
    gathering: Gathering, client: DepositClient
) -> None:
    digest = gathering.collection.digest

    assert client.find(digest.hex()[:12]) == digest
    assert client.find(digest.hex()) == digest
    with pytest.raises(RefusedError, match="no collection that is open begins with 00000000"):
        client.find("00000000")
    with pytest.raises(InputError, match="8 to 64 hexadecimal digits"):
        client.find("the newest")


def test_a_table_is_deposited_and_holders_can_check_it(
    gathering: Gathering, client: DepositClient
) -> None:
    found = client.describe(gathering.collection.digest)
    vector = np.arange(found.collection.cells, dtype=np.int64)

    encoded = registry_deposit(found, vector, gathering.identity("fr-a"))
    receipt = client.send(found, encoded)

    deposit = client.check(found, encoded)
    check_payload(deposit.payload, found.collection, found.key, context=deposit.context)
    assert (deposit.role, deposit.submitter) == ("registry", b"fr-a")
    assert (receipt.place, receipt.collection) == (0, gathering.collection.digest)
    assert client.send(found, encoded).place == 0  # the same bytes again


def test_a_registry_that_the_study_does_not_name_is_noticed_before_it_sends(
    gathering: Gathering, client: DepositClient
) -> None:
    found = client.describe(gathering.collection.digest)
    vector = np.zeros(found.collection.cells, np.int64)

    with pytest.raises(ProtocolError, match="de-a deposits nothing"):
        client.check(found, registry_deposit(found, vector, gathering.identity("de-a")))


def test_a_receipt_for_another_deposit_or_by_another_is_none(
    gathering: Gathering, client: DepositClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = client.describe(gathering.collection.digest)
    vector = np.zeros(found.collection.cells, np.int64)
    encoded = registry_deposit(found, vector, gathering.identity("fr-a"))
    true = Receipt.from_bytes(gathering.deposit(found.collection.digest, encoded))

    for lie, says in (
        (replace(true, deposit=bytes(32)), "another deposit"),
        (replace(true, collection=bytes(32)), "another deposit"),
        (replace(true, place=7), "not the named party's"),
        (true.signed(gathering.identity("de-a").sign), "not the named party's"),
    ):
        monkeypatch.setattr(gathering, "deposit", lambda *_, lie=lie: lie.to_bytes())
        with pytest.raises(ProtocolError, match=says):
            client.send(found, encoded)


def test_a_sealed_collection_takes_deposits_too(tmp_path: Path) -> None:
    sealed = Gathering.of(tmp_path, study_text(envelope="sealed"))
    client = sealed.client()
    found = client.describe(sealed.collection.digest)

    vector = np.ones(found.collection.cells, np.int64)
    deposit = client.check(found, registry_deposit(found, vector, sealed.identity("fr-a")))

    assert found.key.public is None
    check_payload(deposit.payload, found.collection, found.key, context=deposit.context)


# -- patients --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Gathering:
    folder = tmp_path_factory.mktemp("asking")
    return Gathering.of(folder, study_text(registries=(), patients=True))


def deposited(asking: Gathering, client: DepositClient, **changed: bytes) -> Deposit:
    """A patient's deposit with a ticket of de-b, whose fields may be changed before signing."""
    found = client.describe(asking.collection.digest)
    key = ec.generate_private_key(ec.SECP256R1())
    encoded = patient_deposit(
        found,
        np.zeros(found.collection.cells, np.int64),
        key=key,
        ticket=asking.ticket("de-b", point_of(key), **changed),
        certificate=asking.identity("de-b").certificate_pem,
    )
    return client.check(found, encoded)


def test_a_patient_deposits_with_the_word_of_her_registry(asking: Gathering) -> None:
    client = asking.client()

    deposit = deposited(asking, client)

    assert deposit.role == "patient"
    assert len(deposit.submitter) == 65


def test_a_ticket_of_another_collection_or_key_is_noticed_before_anything_is_sent(
    asking: Gathering,
) -> None:
    for changed in ({"collection": bytes(32)}, {"key": b"\4" + bytes(64)}):
        with pytest.raises(ProtocolError, match="another patient or collection"):
            deposited(asking, asking.client(), **changed)


def test_key_and_ticket_come_back_from_their_files(asking: Gathering, tmp_path: Path) -> None:
    point = new_key(tmp_path / "my.key")
    (tmp_path / "my.pub").write_text(point.hex() + "\n")
    ticket = asking.ticket("de-a", point)
    write_ticket(tmp_path / "ticket", ticket, asking.identity("de-a").certificate_pem)

    assert (tmp_path / "my.key").stat().st_mode & 0o077 == 0
    assert point_of(read_key(tmp_path / "my.key")) == point == read_point(tmp_path / "my.pub")
    assert read_ticket(tmp_path / "ticket") == (ticket, asking.identity("de-a").certificate_pem)
    with pytest.raises(InputError, match=r"my\.key: there is a key already"):
        new_key(tmp_path / "my.key")


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 10_000, b"\xff\xfe", b'{"ticket": "AA=="}'])
def test_files_of_another_form_are_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    for read in (read_key, read_point, read_ticket):
        with pytest.raises(InputError, match="file: wanted"):
            read(path)
        with pytest.raises(InputError, match="none: cannot be read"):
            read(tmp_path / "none")
