"""`upcare researcher`: make a researcher's keys."""

from pathlib import Path

import click

from upcare_mpc.client.researcher import new_researcher

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
def init(folder: Path, identity_folder: Path, platform: str) -> None:
    """Make signing and sealing keys; print the public key for registries' policies.

    Example: upcare researcher init me --network net --platform platform.example:7443
    """
    public = new_researcher(folder, identity_folder=identity_folder, platform=platform)
    click.echo(public)
    click.echo("give this key to the registries; researcher.key stays with you", err=True)
