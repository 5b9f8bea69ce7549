"""Depositing, as `upcare deposit` and `upcare local` do it."""

import datetime
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from upcare_mpc.cli.node import freezes_of, load_identity, open_database
from upcare_mpc.cli.processes import hold
from upcare_mpc.cli.show import loss_text
from upcare_mpc.client.deposit_files import read_key, read_ticket
from upcare_mpc.client.deposits import (
    DepositClient,
    OpenCollection,
    patient_deposit,
    registry_deposit,
)
from upcare_mpc.config import load_agreement, load_party
from upcare_mpc.deposits.receipt import Receipt
from upcare_mpc.deposits.submission import Deposit
from upcare_mpc.errors import InputError, RefusedError
from upcare_mpc.kinds.answers import Answerable, answer_vector
from upcare_mpc.node.books import Books
from upcare_mpc.node.offline import OfflineRegistry
from upcare_mpc.node.snapshot import load_snapshot
from upcare_mpc.storage.durable import replace_bytes

__all__ = ["client_of_party", "deposit_answers", "deposit_table"]


def client_of_party(folder: Path) -> DepositClient:
    """A connection to the platform as the registry of a party folder."""
    party = load_party(folder)
    identity = load_identity(party, now=datetime.datetime.now(datetime.UTC))
    return DepositClient.of_registry(
        party.platform, identity, load_agreement(party.identity_folder)
    )


def deposit_table(folder: Path, collection: str, *, approve: bool) -> dict[str, Any]:
    """Deposit the table of a registry that runs no node.

    Args:
        folder: Its party folder.
        collection: Digest of the collection, in hexadecimal, or the beginning of it.
        approve: Whether its operator says yes.

    Returns:
        JSON-ready: registry, collection, place, time, receipt, whether the ledger was charged now.

    Raises:
        UpcareError: It does not deposit; see ``OfflineRegistry.deposit`` and ``DepositClient``.
    """
    party = load_party(folder)
    identity = load_identity(party, now=datetime.datetime.now(datetime.UTC))
    with (
        client_of_party(folder) as client,
        hold(party.state_folder, "node"),
        open_database(party) as database,
    ):
        found = client.describe(client.find(collection))
        if party.name not in found.collection.depositors:
            raise RefusedError(f"{party.name} deposits nothing in this collection")
        freezes = freezes_of(party, database)
        offline = OfflineRegistry(
            party=party,
            books=Books(database, party.policy, b""),
            load=lambda: load_snapshot(party.data, party.state_folder, freezes),
        )
        before = offline.stored(found.collection)
        if before is None and not found.taking:
            offline.give_up(found.collection, found.question)
            raise RefusedError("the collection takes no deposits any more; nothing is charged")
        encoded = before or offline.deposit(
            found.collection,
            found.study,
            found.question,
            lambda vector: registry_deposit(found, vector, identity),
            approve=approve,
        )
        receipt = client.send(found, encoded)
    kept = party.state_folder / "deposited" / f"{found.collection.digest.hex()[:12]}.receipt"
    kept.parent.mkdir(mode=0o700, exist_ok=True)
    return {
        "registry": party.name,
        "charged_now": before is None,
        "loss": loss_text(found.question.guarantee.loss),
        **_keep(receipt, kept),
    }


def deposit_answers(
    client: DepositClient,
    found: OpenCollection,
    *,
    ticket_file: Path,
    key_file: Path,
    ask: Callable[[Answerable], Mapping[str, str]],
) -> dict[str, Any]:
    """Deposit a patient's answers, or what she has deposited before, once more.

    Args:
        client: A connection.
        found: The collection.
        ticket_file: From her registry.
        key_file: Her own; the deposit and its receipt are kept beside it.
        ask: Asks her.

    Returns:
        JSON-ready: collection, place, time, receipt, how many questions were answered.

    Raises:
        UpcareError: The files do not fit the collection, or the platform does not take it.
    """
    kind = found.question.kind
    if not found.collection.vouchers or not isinstance(kind, Answerable):
        raise RefusedError("this collection is not for patients")
    made = key_file.with_suffix(".deposit")
    answered = None
    if made.exists():
        encoded = made.read_bytes()
        if Deposit.from_bytes(encoded).collection != found.collection.digest:
            raise InputError(f"{key_file.name} was used for another collection; make a new key")
    else:
        key, (given, certificate) = read_key(key_file), read_ticket(ticket_file)
        if not found.taking:
            raise RefusedError("the collection takes no deposits any more")
        answers = ask(kind)
        answered = len(answers)
        encoded = patient_deposit(
            found, answer_vector(kind, answers), key=key, ticket=given, certificate=certificate
        )
        client.check(found, encoded)
        replace_bytes(made, encoded)
    receipt = client.send(found, encoded)
    return {
        "answered": answered,
        "questions": len(kind.prompts()),
        **_keep(receipt, key_file.with_suffix(".receipt")),
    }


def _keep(receipt: Receipt, path: Path) -> dict[str, Any]:
    replace_bytes(path, receipt.to_bytes())
    return {
        "collection": receipt.collection.hex(),
        "place": receipt.place,
        "time": receipt.time,
        "deposit": receipt.deposit.hex(),
        "receipt": str(path),
    }
