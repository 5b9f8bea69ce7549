"""`upcare node`: what a registry's operator types."""

import datetime
import json
import os
import shutil
from functools import partial
from pathlib import Path

import click

from upcare_mpc._proto.upcare.node.v1 import node_pb2
from upcare_mpc.cli.processes import hold, log_line, run_until_stopped
from upcare_mpc.config import PartyFile, load_agreement, load_party
from upcare_mpc.errors import ConfigError, InputError
from upcare_mpc.link.certificates import Identity
from upcare_mpc.mpc.programs.fill import LIFE_BYTES
from upcare_mpc.node.bank import NoiseBank
from upcare_mpc.node.books import Books
from upcare_mpc.node.consents import Freezes
from upcare_mpc.node.operator import call_operator, serve_operator
from upcare_mpc.node.server import Node
from upcare_mpc.node.snapshot import load_snapshot, renewed
from upcare_mpc.storage.bank import BankMarks
from upcare_mpc.storage.consents import Consents
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.holdings import Holdings
from upcare_mpc.storage.schema import NODE

__all__ = ["freezes_of", "load_identity", "node", "open_database", "party_option"]

party_option = click.option(
    "--party",
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=".",
    show_default=True,
    help="Party folder, with party.toml and identity/.",
)


@click.group()
def node() -> None:
    """Run a registry's node and decide what it takes part in."""


@node.command()
@party_option
@click.option("--with-parent", is_flag=True, hidden=True, help="Stop when standard input ends.")
@click.pass_context
def serve(ctx: click.Context, folder: Path, with_parent: bool) -> None:
    """Attend the platform and take part in studies, until stopped.

    Example: upcare node serve --party parties/de-a
    """
    party = load_party(folder)
    identity = load_identity(party, now=datetime.datetime.now(datetime.UTC))
    agreement = load_agreement(party.identity_folder)
    ctx.with_resource(hold(party.state_folder, "node"))
    shutil.rmtree(party.state_folder / "spill", ignore_errors=True)  # what a crash has left
    database = ctx.with_resource(open_database(party))
    freezes = freezes_of(party, database)
    snapshot = load_snapshot(party.data, party.state_folder, freezes)
    log_line(party.name, snapshot.origin)

    async def work() -> None:
        running = Node(
            party,
            identity,
            agreement,
            snapshot,
            Books(database, party.policy, snapshot.digest),
            NoiseBank(
                party.state_folder / "bank",
                BankMarks(database),
                cells=party.bank_cells,
                life=os.urandom(LIFE_BYTES),
            ),
            Holdings(database, party.state_folder / "holdings"),
            renew=partial(renewed, party.data, party.state_folder, freezes),
            log=lambda text: log_line(party.name, text),
        )
        server = await serve_operator(running)
        try:
            await running.run()
        finally:
            await server.stop(grace=0.5)

    run_until_stopped(work(), with_parent=with_parent)


@node.command()
@party_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def status(folder: Path, as_json: bool) -> None:
    """Say what the running node is doing and which studies wait for a decision.

    Example: upcare node status --party parties/de-a
    """
    party = load_party(folder)
    answer = call_operator(party.state_folder, "Status", node_pb2.StatusRequest())
    waiting = [
        {
            "question_digest": item.question_digest.hex(),
            "researcher": _researcher(party, item.signing_key),
            "study": json.loads(item.study),
        }
        for item in answer.waiting
    ]
    if as_json:
        report = {
            "registry": answer.registry,
            "attending": answer.attending,
            "snapshot": answer.snapshot.hex(),
            "running": answer.running,
            "waiting": waiting,
        }
        click.echo(json.dumps(report))
        return
    state = "attending the platform" if answer.attending else "not connected to the platform"
    click.echo(f"{answer.registry}: {state}, {answer.running} sessions running")
    for item in waiting:
        click.echo(f"waits for you: {item['question_digest'][:12]} from {item['researcher']}")
        click.echo(json.dumps(item["study"], indent=2))


@node.command()
@party_option
@click.argument("digest")
def approve(folder: Path, digest: str) -> None:
    """Approve one waiting question, once, on the present data.

    Example: upcare node approve 3f2a9c01d4e5 --party parties/de-a
    """
    party = load_party(folder)
    request = node_pb2.ApproveRequest(question_digest=_digest(digest))
    answer = call_operator(party.state_folder, "Approve", request)
    click.echo(f"{party.name} approves {answer.question_digest.hex()[:12]}", err=True)


@node.command()
@party_option
@click.argument("digest")
@click.option("--reason", required=True, help="One sentence for the researcher.")
def refuse(folder: Path, digest: str, reason: str) -> None:
    """Refuse one waiting question.

    Example: upcare node refuse 3f2a9c01d4e5 --reason "too few intervals" --party parties/de-a
    """
    party = load_party(folder)
    request = node_pb2.RefuseRequest(question_digest=_digest(digest), reason=reason)
    answer = call_operator(party.state_folder, "Refuse", request)
    click.echo(f"{party.name} refuses {answer.question_digest.hex()[:12]}", err=True)


@node.command()
@party_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def bank(folder: Path, as_json: bool) -> None:
    """Say how much jointly drawn noise is ready for the next studies.

    Example: upcare node bank --party parties/de-a
    """
    party = load_party(folder)
    answer = call_operator(party.state_folder, "Bank", node_pb2.BankRequest())
    ready = [
        {
            "law": item.law,
            "law_digest": item.law_digest.hex(),
            "registries": list(item.registries),
            "cells": item.cells,
            "filled": item.filled,
        }
        for item in answer.ready
    ]
    if as_json:
        click.echo(json.dumps({"registry": answer.registry, "cells": answer.cells, "ready": ready}))
        return
    if not answer.cells:
        click.echo(f"{answer.registry}: keeps no noise bank; [bank] in party.toml turns it on")
        return
    click.echo(f"{answer.registry}: up to {answer.cells} noise values ready for each law")
    for item in answer.ready:
        amount = f"{item.cells} of {item.filled}" if item.filled else "none"
        click.echo(f"{amount} ready: {item.law}, with {', '.join(item.registries)}")


def load_identity(party: PartyFile, *, now: datetime.datetime) -> Identity:
    """Load the identity in a party folder.

    Raises:
        ConfigError: It is not usable, or that of another registry.
    """
    identity = Identity.load(party.identity_folder, now=now)
    if (identity.party.name, identity.party.role) != (party.name, "registry"):
        raise ConfigError(
            f"party.toml is of {party.name}, the certificate of {identity.party.host}"
        )
    return identity


def open_database(party: PartyFile) -> Database:
    """Open, or make, the database of a party folder."""
    party.state_folder.mkdir(parents=True, exist_ok=True)
    return Database(f"sqlite:///{party.state_folder / 'node.db'}", NODE)


def freezes_of(party: PartyFile, database: Database) -> Freezes:
    """What patients have said, frozen at the fixed points of the registry's calendar."""
    return Freezes(
        folder=party.state_folder / "consents",
        consents=Consents(database),
        data_set=party.name,
        calendar=party.data.consents,
        today=lambda: datetime.datetime.now(datetime.UTC).date(),
    )


def _digest(text: str) -> bytes:
    try:
        return bytes.fromhex(text[: len(text) // 2 * 2])
    except ValueError:
        raise InputError("a question's digest is hexadecimal") from None


def _researcher(party: PartyFile, key: bytes) -> str:
    names = [name for name, known in party.policy.researchers.items() if known == key]
    return names[0] if names else key.hex()[:12]
