"""`upcare researcher`: make a researcher's keys, and sign with them what is sent by other means."""

import json
import re
import time
from pathlib import Path

import click

from upcare_mpc.cli.study import as_option, read_study
from upcare_mpc.client.researcher import Researcher, new_researcher
from upcare_mpc.client.signed_json import authorization_text, request_json
from upcare_mpc.client.tokens import MAX_HOURS, SCOPES, new_token
from upcare_mpc.link.statements import RequestMethod

__all__ = ["researcher"]


@click.group()
def researcher() -> None:
    """A researcher's identity."""


@researcher.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--network",
    "identity_folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    required=True,
    help="Folder with the network's ca.pem and network.toml.",
)
@click.option("--platform", required=True, help="Address of the platform, host:port.")
@click.option("--api", help="Address of the network's public interface, https://host:port.")
def init(folder: Path, identity_folder: Path, platform: str, api: str | None) -> None:
    """Make signing and sealing keys; print the public key for registries' policies.

    Example: upcare researcher init me --network net --platform platform.example:7443
    """
    public = new_researcher(folder, identity_folder=identity_folder, platform=platform, api=api)
    click.echo(public)
    click.echo("give this key to the registries; researcher.key stays with you", err=True)


@researcher.command()
@as_option
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(SCOPES),
    multiple=True,
    default=SCOPES,
    help="What the token allows, may be given several times; everything unless stated.",
)
@click.option(
    "--hours",
    type=click.IntRange(1, MAX_HOURS),
    default=1,
    show_default=True,
    help="How long it holds.",
)
def token(folder: Path, scopes: tuple[str, ...], hours: int) -> None:
    """Print a token for the network's public interface, signed with your key.

    Example: upcare researcher token --as me --scope catalogue --hours 8
    """
    made = new_token(Researcher.load(folder), scopes, seconds=hours * 3600, now=time.time())
    click.echo(made)


@researcher.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "method",
    type=click.Choice(["preview", "submit", "close"]),
    default="submit",
    show_default=True,
    help="What the network may do with it.",
)
@click.option("--collection", metavar="HEX", default="", help="The collection to close.")
@as_option
def sign(file: Path, method: RequestMethod, collection: str, folder: Path) -> None:
    """Print a study as a signed question, for the public interface; it is valid for a week.

    Nothing is sent.

    Example: upcare researcher sign study.toml --as me > question.json
    """
    if (method == "close") != bool(re.fullmatch("[0-9a-f]{64}", collection)):
        raise click.UsageError("--to close wants the 64 hexadecimal digits of --collection")
    request = Researcher.load(folder).request(
        read_study(file), method, now=time.time(), collection=bytes.fromhex(collection)
    )
    click.echo(json.dumps(request_json(request)))


@researcher.command()
@click.argument("method", type=click.Choice(["list", "watch", "result"]))
@click.argument("file", type=click.Path(path_type=Path), required=False)
@as_option
def authorize(method: str, file: Path | None, folder: Path) -> None:
    """Print the header Upcare-Authorization about one of your studies; it is valid for ten minutes.

    METHOD is watch or result, with the study's file; or list, without. Nothing is sent.

    Example: upcare researcher authorize watch study.toml --as me
    """
    if (method == "list") != (file is None):
        raise click.UsageError("watch and result want a study file, list wants none")
    study = b"" if file is None else read_study(file).digest
    authorization = Researcher.load(folder).authorize(study, method, now=time.time())
    click.echo(authorization_text(authorization))
