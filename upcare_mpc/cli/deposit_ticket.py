"""`upcare deposit ticket`: a registry vouches for one of its patients."""

import datetime
from pathlib import Path

import click

from upcare_mpc.cli.depositing import client_of_party
from upcare_mpc.cli.node import load_identity, open_database, party_option
from upcare_mpc.client.deposit_files import read_point, write_ticket
from upcare_mpc.client.deposits import OpenCollection
from upcare_mpc.config import load_party
from upcare_mpc.deposits.submission import Ticket
from upcare_mpc.errors import DataError
from upcare_mpc.node.snapshot import snapshots_of
from upcare_mpc.node.tickets import TicketOffice
from upcare_mpc.storage.patients import cases_of
from upcare_mpc.storage.snapshot_rows import pseudonym_of_named

__all__ = ["give_ticket", "ticket"]


@click.command()
@click.argument("collection")
@party_option
@click.option(
    "--patient", required=True, metavar="ID", help="The registry's own id of the patient."
)
@click.option(
    "--key",
    "key_file",
    type=click.Path(path_type=Path),
    required=True,
    help="The line that the patient's `upcare deposit key` has printed.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The ticket.")
def ticket(collection: str, folder: Path, patient: str, key_file: Path, out: Path) -> None:
    """Give a patient a ticket, if what she has said permits the study.

    COLLECTION is its digest, or the beginning of it; ID is the registry's own id of the patient:
    make sure who it is. A patient has one ticket a collection, for one key; the same command again
    gives the same one.

    Example: upcare deposit ticket 3f2a9c01d4e5 --party parties/de-a --patient P-4711
    --key my.pub --out ticket
    """
    point = read_point(key_file)
    with client_of_party(folder) as client:
        found = client.describe(client.find(collection))
    given, certificate = give_ticket(folder, found, patient, point)
    write_ticket(out, given, certificate)
    if not _is_known(folder, patient):
        click.echo("no record of this id is in force here; the ticket works all the same", err=True)
    click.echo(f"{given.registry}: ticket for {found.study.title!r} is in {out.name}", err=True)


def give_ticket(
    folder: Path, found: OpenCollection, patient: str, point: bytes
) -> tuple[Ticket, bytes]:
    """Give a patient a ticket as the registry of a party folder.

    Args:
        folder: The party folder.
        found: The collection.
        patient: The registry's own id of the patient.
        point: Her public key, 65 bytes.

    Returns:
        The ticket and the registry's certificate, PEM.

    Raises:
        RefusedError: See ``TicketOffice.give``.
    """
    party = load_party(folder)
    identity = load_identity(party, now=_now())
    who = pseudonym_of_named(snapshots_of(party.data, party.state_folder).secret(), patient)
    with open_database(party) as database:
        office = TicketOffice(party=party, identity=identity, database=database, clock=_now)
        given = office.give(found.collection, found.question, who, point)
    return Ticket.from_bytes(given.ticket), given.certificate


def _is_known(folder: Path, patient: str) -> bool:
    """Whether there is a record of a patient here; yes if the records cannot be read."""
    party = load_party(folder)
    snapshots = snapshots_of(party.data, party.state_folder)
    try:
        return bool(cases_of(snapshots, pseudonym_of_named(snapshots.secret(), patient)))
    except DataError:
        return True


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
