"""`upcare coordinator`: run the platform."""

import asyncio
import datetime
from pathlib import Path

import click

from upcare_mpc.cli.processes import hold, log_line, run_until_stopped
from upcare_mpc.config import load_agreement, load_platform
from upcare_mpc.coordinator.platform import Platform
from upcare_mpc.coordinator.service import BYTES_PER_GIGABYTE
from upcare_mpc.coordinator.service import serve as start_servers
from upcare_mpc.errors import ConfigError
from upcare_mpc.link.certificates import Identity
from upcare_mpc.storage.board import Board
from upcare_mpc.storage.database import Database
from upcare_mpc.storage.deposits import Deposits
from upcare_mpc.storage.schema import COORDINATOR
from upcare_mpc.storage.studies import Studies

__all__ = ["coordinator"]


@click.group()
def coordinator() -> None:
    """Run the platform that registries attend; it can read nothing."""


@coordinator.command()
@click.option(
    "--folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=".",
    show_default=True,
    help="The platform's folder, with platform.toml and identity/.",
)
@click.option("--with-parent", is_flag=True, hidden=True, help="Stop when standard input ends.")
@click.pass_context
def serve(ctx: click.Context, folder: Path, with_parent: bool) -> None:
    """Serve registries and researchers, until stopped.

    Example: upcare coordinator serve --folder platform
    """
    file = load_platform(folder)
    identity = Identity.load(folder / "identity", now=datetime.datetime.now(datetime.UTC))
    if identity.party.role != "platform":
        raise ConfigError(f"the platform's certificate names {identity.party.host}")
    agreement = load_agreement(folder / "identity")
    state = folder / "state"
    ctx.with_resource(hold(state, "platform"))

    async def work() -> None:
        with Database(f"sqlite:///{state / 'coordinator.db'}", COORDINATOR) as database:
            deposits = Deposits(
                database,
                state / "deposits",
                room=file.deposit_gigabytes * BYTES_PER_GIGABYTE,
            )
            platform = Platform(identity, agreement, Studies(database), deposits)
            servers = await start_servers(platform, Board(database), identity, file)
            log_line("platform", f"registries at {file.registries}")
            log_line("platform", f"researchers at {file.researchers}")
            try:
                await asyncio.Event().wait()
            finally:
                for server in servers:
                    await server.stop(grace=0.5)

    run_until_stopped(work(), with_parent=with_parent)
