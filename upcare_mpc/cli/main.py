"""The `upcare` command.

Results go to standard output (one JSON object with ``--json``), everything else to standard error.
Exit status 0 done, 1 refused or failed with one line, 2 wrong usage.
"""

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from upcare_mpc import __version__
from upcare_mpc.errors import UpcareError

__all__ = ["run", "upcare"]

COMMANDS = {  # loaded when asked for: a node need not load what only plots need
    "network": "upcare_mpc.cli.network:network",
    "ingest": "upcare_mpc.cli.ingest:ingest",
    "node": "upcare_mpc.cli.node:node",
    "ledger": "upcare_mpc.cli.ledger:ledger",
    "consent": "upcare_mpc.cli.consent:consent",
    "patient": "upcare_mpc.cli.patient:patient",
    "records": "upcare_mpc.cli.records:records",
    "authority": "upcare_mpc.cli.authority:authority",
    "access": "upcare_mpc.cli.access:access",
    "coordinator": "upcare_mpc.cli.coordinator:coordinator",
    "api": "upcare_mpc.cli.api:api",
    "researcher": "upcare_mpc.cli.researcher:researcher",
    "catalogue": "upcare_mpc.cli.catalogue:catalogue",
    "study": "upcare_mpc.cli.study:study",
    "deposit": "upcare_mpc.cli.deposit:deposit",
    "local": "upcare_mpc.cli.local.command:local",
    "demo": "upcare_mpc.cli.local.demo:demo",
    "breach": "upcare_mpc.cli.local.breach:breach",
    "bench": "upcare_mpc.cli.bench.command:bench",
}


class _Lazy(click.Group):
    """A group whose commands are imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="upcare")
def upcare() -> None:
    """One question to many cancer registries, one private answer.

    Example: upcare local --data de-a=parties/de-a --data de-b=parties/de-b
    --data fr-a=parties/fr-a --study parties/study.toml
    """


def run() -> NoReturn:
    """Run the command and turn every error into one line and a status."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends with all cleaning up
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what it would print, we say in words
    try:
        status: Any = upcare.main(prog_name="upcare", standalone_mode=False)
        sys.exit(status if isinstance(status, int) else 0)
    except click.UsageError as error:
        error.show()
        sys.exit(2)
    except click.exceptions.Abort:
        _complain("interrupted")
    except click.ClickException as error:
        _complain(error.format_message())
    except UpcareError as error:
        first, *place = str(error).splitlines() or [type(error).__name__]
        _complain(f"{first} [{error.code}]", place)
    except KeyboardInterrupt:
        _complain("interrupted")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
    except OSError as error:
        _complain(f"{error.strerror or type(error).__name__} [system]")


def _complain(text: str, place: Sequence[str] = ()) -> NoReturn:
    """Say in one line what went wrong; on a terminal also show the place in what she wrote."""
    lines = [f"upcare: error: {text}", *(place if sys.stderr.isatty() else ())]
    print("\n".join(lines), file=sys.stderr)
    sys.exit(1)
