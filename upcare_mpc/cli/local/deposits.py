"""Deposits in a network on this machine, by the same code as `upcare deposit`."""

import csv
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path

from upcare_mpc.cli.deposit_ticket import give_ticket
from upcare_mpc.cli.depositing import deposit_answers, deposit_table
from upcare_mpc.cli.local.network import LocalNetwork
from upcare_mpc.client.deposit_files import new_key, write_ticket
from upcare_mpc.client.deposits import DepositClient, OpenCollection
from upcare_mpc.errors import DataError, SessionError
from upcare_mpc.kinds.answers import Answerable, answer_vector
from upcare_mpc.kinds.question import Question
from upcare_mpc.study.spec import Study

__all__ = ["answer_all", "collecting", "deposit_all", "read_answers"]


def read_answers(path: Path, question: Question) -> list[dict[str, str]]:
    """Read a table of answers: a column a question, a row a patient, an empty field no answer.

    Raises:
        DataError: It is not there, or no such table.
        StudyError: A question or an answer in it is not the study's.
    """
    kind = question.kind
    if not isinstance(kind, Answerable):
        raise DataError(f"{path.name}: a study of {question.study.kind} asks patients nothing")
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise DataError(f"{path.name}: cannot be read: {error.strerror}") from None
    except (ValueError, csv.Error):
        raise DataError(f"{path.name}: wanted a table in UTF-8, a column a question") from None
    answers = []
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values():
            raise DataError(f"{path.name}: line {number} has not as many fields as the first")
        given = {name: value for name, value in row.items() if value}
        answer_vector(kind, given)
        answers.append(given)
    return answers


def collecting(network: LocalNetwork, asked: Study) -> bytes:
    """The digest of the collection that a study of the network's researcher has begun."""
    researcher = network.researcher
    with client_of(network) as client:
        for collection, study in client.open():
            if study.digest == asked.digest and collection.signing_key == researcher.signing_key:
                return collection.digest
    raise SessionError("the study does not collect deposits")


def client_of(network: LocalNetwork) -> DepositClient:
    """A connection for patients."""
    return DepositClient.of_network(network.folder / "researcher", network.researcher.platform)


def deposit_all(network: LocalNetwork, collection: bytes) -> None:
    """Deposit the table of every registry that runs no node."""
    for name in network.offline:
        deposit_table(network.party_folder(name), collection.hex(), approve=True)


def answer_all(
    network: LocalNetwork, collection: bytes, answers: Sequence[Mapping[str, str]]
) -> None:
    """Deposit the answers of patients, with tickets of their registries in turn."""
    folder = network.folder / "patients" / collection.hex()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    with client_of(network) as client:
        found = client.describe(collection)
        vouchers = cycle(found.collection.vouchers)
        for number, (given, registry) in enumerate(zip(answers, vouchers, strict=False)):
            answer_one(client, network, found, registry, folder / f"patient-{number}", given)


def answer_one(
    client: DepositClient,
    network: LocalNetwork,
    found: OpenCollection,
    registry: str,
    place: Path,
    answers: Mapping[str, str],
) -> None:
    """Deposit the answers of one patient; her key, ticket and receipt are named after the place."""
    key_file, ticket_file = place.with_suffix(".key"), place.with_suffix(".ticket")
    point = new_key(key_file)
    write_ticket(
        ticket_file, *give_ticket(network.party_folder(registry), found, place.name, point)
    )
    deposit_answers(
        client, found, ticket_file=ticket_file, key_file=key_file, ask=lambda _: answers
    )
