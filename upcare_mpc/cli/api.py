"""`upcare api`: the public interface of a network."""

import json
from pathlib import Path

import click

from upcare_mpc.api.app import create_app, openapi
from upcare_mpc.cli.https import Place, serve_app
from upcare_mpc.cli.processes import log_line, run_until_stopped
from upcare_mpc.client.gateway import Gateway
from upcare_mpc.config import load_agreement
from upcare_mpc.errors import ConfigError
from upcare_mpc.link.certificates import Network

__all__ = ["api"]

_CONNECTIONS = 256


@click.group()
def api() -> None:
    """The public interface of a network: HTTPS and JSON; it can read no answer."""


@api.command()
@click.option(
    "--network",
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    required=True,
    help="Folder with the network's ca.pem and network.toml.",
)
@click.option("--platform", required=True, help="Address of the platform, host:port.")
@click.option(
    "--listen",
    default="127.0.0.1:0",
    show_default=True,
    metavar="HOST:PORT",
    help="Where it waits; port 0 is any free one.",
)
@click.option(
    "--certificate",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Certificate chain (PEM); without it the interface listens on loopback.",
)
@click.option(
    "--key",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Its private key (PEM).",
)
@click.option("--with-parent", is_flag=True, hidden=True, help="Stop when standard input ends.")
def serve(
    folder: Path,
    platform: str,
    listen: str,
    certificate: Path | None,
    key: Path | None,
    *,
    with_parent: bool,
) -> None:
    """Serve the public interface, until stopped.

    Without a certificate it is for this machine, or for a web server on it that speaks TLS,
    forwards, and says in X-Forwarded-For for whom.

    Example: upcare api serve --network net --platform localhost:7444 --listen 127.0.0.1:7445
    """
    place = Place.of(listen, certificate, key)
    try:
        network = Network((folder / "ca.pem").read_bytes())
    except FileNotFoundError:
        raise ConfigError("ca.pem of the network is missing in the folder given") from None
    agreement = load_agreement(folder)

    def log(text: str) -> None:
        log_line("api", text)

    async def work() -> None:
        gateway = Gateway(platform, network)
        try:
            with place.listening() as (waiting, url):
                app = create_app(gateway, network, agreement, log=log)
                log(f"the public interface is at {url}/v1")
                await serve_app(app, place, waiting, connections=_CONNECTIONS)
        finally:
            await gateway.close()

    run_until_stopped(work(), with_parent=with_parent)


@api.command("openapi")
def print_openapi() -> None:
    """Print the OpenAPI 3.1 document.

    Example: upcare api openapi
    """
    click.echo(json.dumps(openapi(), indent=2))
