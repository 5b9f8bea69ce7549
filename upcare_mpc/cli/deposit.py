"""`upcare deposit`: taking part in one study without being online in it."""

import datetime
import json
import tomllib
from pathlib import Path
from typing import Any

import click

from upcare_mpc.cli.deposit_ticket import ticket
from upcare_mpc.cli.depositing import client_of_party, deposit_answers, deposit_table
from upcare_mpc.client.deposit_files import new_key
from upcare_mpc.client.deposits import DepositClient, OpenCollection
from upcare_mpc.deposits.collection import Collection
from upcare_mpc.errors import ConfigError, InputError
from upcare_mpc.kinds.answers import Answerable
from upcare_mpc.study.spec import Study

__all__ = ["deposit"]

_collection = click.argument("collection")
_party = click.option(
    "--party",
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Party folder of a registry, with party.toml and identity/.",
)
_network = click.option(
    "--network",
    "network",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    envvar="UPCARE_NETWORK",
    help="Folder with the network's ca.pem and network.toml; or UPCARE_NETWORK.",
)
_platform = click.option(
    "--platform",
    envvar="UPCARE_PLATFORM",
    metavar="HOST:PORT",
    help="Address of the platform; or UPCARE_PLATFORM.",
)
_json = click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")


@click.group()
def deposit() -> None:
    """Take part in one study without being online in it: as a registry, or as a patient."""


deposit.add_command(ticket)


@deposit.command("open")
@_party
@_network
@_platform
@_json
def list_open(
    folder: Path | None, network: Path | None, platform: str | None, *, as_json: bool
) -> None:
    """List the collections that take deposits now, the newest first.

    Say who you are with --party, or ask as anybody with --network and --platform.

    Example: upcare deposit open --network net --platform localhost:7444
    """
    with _client(folder, network, platform) as client:
        listed = client.open()
    if as_json:
        click.echo(json.dumps({"collections": [_listed(c, study) for c, study in listed]}))
        return
    for collection, study in listed:
        click.echo(
            f"{collection.digest.hex()[:12]}  {collection.envelope:6}  {_who(collection)}  "
            f"until {_day(collection.closes)}  {study.title}"
        )
    if not listed:
        click.echo("no collection takes deposits now", err=True)


@deposit.command()
@_collection
@_party
@_network
@_platform
@_json
def show(
    collection: str,
    folder: Path | None,
    network: Path | None,
    platform: str | None,
    *,
    as_json: bool,
) -> None:
    """Say what a collection is for, who holds its key, and what it asks; checks all of it.

    COLLECTION is its digest, or the beginning of it.

    Example: upcare deposit show 3f2a9c01d4e5 --network net --platform localhost:7444
    """
    with _client(folder, network, platform) as client:
        found = client.describe(client.find(collection))
    if as_json:
        click.echo(json.dumps(_described(found)))
        return
    click.echo(found.study.title)
    for name, value in _lines(found):
        click.echo(f"  {name:<11} {value}")
    click.echo(json.dumps(json.loads(found.study.canonical()), indent=2))


@deposit.command()
@_collection
@click.option(
    "--party",
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=".",
    show_default=True,
    help="Party folder, with party.toml and identity/.",
)
@click.option("--approve", is_flag=True, help="The operator has read the study, and says yes.")
@_json
def table(collection: str, folder: Path, *, approve: bool, as_json: bool) -> None:
    """Count a study's table and deposit it, encrypted to all holders together; no node runs.

    Policy, ledger and consents hold as in a node: the ledger is charged before anything leaves. The
    same command again sends the same bytes again, at no cost.

    Example: upcare deposit table 3f2a9c01d4e5 --party parties/fr-a --approve
    """
    done = deposit_table(folder, collection, approve=approve)
    if as_json:
        click.echo(json.dumps(done))
        return
    charged = f"charged {done['loss']}" if done["charged_now"] else "charged before"
    click.echo(
        f"{done['registry']}: {charged}; deposited as number {done['place']}, "
        f"the receipt is in {done['receipt']}"
    )


@deposit.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="New file for the private key.",
)
def key(out: Path) -> None:
    """Make a patient's key for one collection, and print what her registry has to see of it.

    Example: upcare deposit key --out my.key > my.pub
    """
    click.echo(new_key(out).hex())
    click.echo(f"give the line above to your registry; {out.name} stays with you", err=True)


@deposit.command()
@_collection
@_network
@_platform
@click.option(
    "--ticket",
    "ticket_file",
    type=click.Path(path_type=Path),
    required=True,
    help="From the registry.",
)
@click.option(
    "--key", "key_file", type=click.Path(path_type=Path), required=True, help="The patient's own."
)
@click.option(
    "--answers",
    type=click.Path(path_type=Path),
    help='File of lines "question" = "answer"; asked on the terminal if missing.',
)
@_json
def answer(
    collection: str,
    network: Path | None,
    platform: str | None,
    ticket_file: Path,
    key_file: Path,
    answers: Path | None,
    *,
    as_json: bool,
) -> None:
    """Answer a questionnaire as a patient; what leaves this machine nobody can read.

    Every question may be left out. What was sent is kept beside the key, and the same command again
    sends the same bytes again.

    Example: upcare deposit answer 3f2a9c01d4e5 --network net --platform localhost:7444
    --ticket ticket --key my.key
    """
    with _client(None, network, platform) as client:
        found = client.describe(client.find(collection))
        done = deposit_answers(
            client,
            found,
            ticket_file=ticket_file,
            key_file=key_file,
            ask=lambda kind: _ask(kind) if answers is None else _read_answers(answers),
        )
    if as_json:
        click.echo(json.dumps(done))
        return
    said = "sent again what was answered before"
    if done["answered"] is not None:
        said = f"answered {done['answered']} of {done['questions']} questions"
    click.echo(f"{said}; deposited as number {done['place']}, the receipt is in {done['receipt']}")


# -- small things ----------------------------------------------------------------------------------


def _client(folder: Path | None, network: Path | None, platform: str | None) -> DepositClient:
    """A connection as a registry, or as anybody."""
    if folder is not None:
        return client_of_party(folder)
    if network is None or not platform:
        raise ConfigError("wanted --network and --platform, or --party of a registry")
    return DepositClient.of_network(network, platform)


def _ask(kind: Answerable) -> dict[str, str]:
    """Ask every question on the terminal; an empty line leaves it out."""
    answers = {}
    for prompt in kind.prompts():
        click.echo(prompt.text, err=True)
        for number, option in enumerate(prompt.options, 1):
            click.echo(f"  {number}  {option}", err=True)
        chosen = click.prompt(
            "number, or nothing",
            default=0,
            show_default=False,
            type=click.IntRange(0, len(prompt.options)),
            err=True,
        )
        if chosen:
            answers[prompt.text] = prompt.options[chosen - 1]
    return answers


def _read_answers(path: Path) -> dict[str, str]:
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"{path.name}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise InputError(f'{path.name}: wanted lines like "question" = "answer"') from None
    if not all(isinstance(value, str) for value in content.values()):
        raise InputError(f'{path.name}: wanted lines like "question" = "answer"')
    return content


def _listed(collection: Collection, study: Study) -> dict[str, Any]:
    return {
        "collection": collection.digest.hex(),
        "study_digest": study.digest.hex(),
        "title": study.title,
        "kind": study.kind,
        "purpose": study.purpose,
        "envelope": collection.envelope,
        "registries": list(collection.depositors),
        "patients_of": list(collection.vouchers),
        "holders": list(collection.names),
        "threshold": collection.threshold,
        "cells": collection.cells,
        "opened": collection.opened,
        "closes": collection.closes,
    }


def _described(found: OpenCollection) -> dict[str, Any]:
    guarantee = found.question.guarantee
    kind = found.question.kind
    prompts = kind.prompts() if isinstance(kind, Answerable) else ()
    return {
        **_listed(found.collection, found.study),
        "taking": found.taking,
        "researcher": found.collection.signing_key.hex(),
        "mechanism": guarantee.mechanism,
        "epsilon": float(guarantee.epsilon),
        "overlap": guarantee.overlap,
        "questions": [{"text": p.text, "options": list(p.options)} for p in prompts],
        "study": json.loads(found.study.canonical()),
    }


def _lines(found: OpenCollection) -> list[tuple[str, str]]:
    collection, guarantee = found.collection, found.question.guarantee
    holders = ", ".join(collection.names)
    together, needed = collection.threshold + 1, 2 * collection.threshold + 1
    kind = found.question.kind
    prompts = kind.prompts() if collection.vouchers and isinstance(kind, Answerable) else ()
    noise = f"{guarantee.mechanism} noise, epsilon {float(guarantee.epsilon):g}"
    taking = "" if found.taking else ", closed"
    powers = f"{needed} of them add up the deposits, {together} who cheat together could open one"
    return [
        ("collection", collection.digest.hex()),
        ("study", found.study.digest.hex()),
        ("asked by", collection.signing_key.hex()),
        ("purpose", found.study.purpose),
        ("result", f"{collection.cells} cells, {noise}, overlap {guarantee.overlap}"),
        ("deposits", f"{_who(collection)}, until {_day(collection.closes)}{taking}"),
        ("key", f"all of {holders} have signed it"),
        ("envelope", f"{collection.envelope}; {powers}"),
        *(("asks", f"{prompt.text} {' / '.join(prompt.options)}") for prompt in prompts),
    ]


def _who(collection: Collection) -> str:
    who = []
    if collection.depositors:
        verb = "deposits" if len(collection.depositors) == 1 else "deposit"
        who.append(f"{', '.join(collection.depositors)} {verb}")
    if collection.vouchers:
        who.append(f"patients of {', '.join(collection.vouchers)}")
    return " and ".join(who)


def _day(seconds: int) -> str:
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.strftime("%Y-%m-%d %H:%M UTC")
