"""Every ``--help``, word for word; write anew with ``UPDATE_GOLDEN=1 pytest tests/cli``."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from upcare_mpc.cli.main import upcare as root

GOLDEN = Path(__file__).parent / "golden"


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command, groups included."""
    yield path
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


COMMANDS = list(commands(root))


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(("upcare", *words)))
def test_help_is_what_it_was(upcare: Callable[..., Any], words: tuple[str, ...]) -> None:
    golden = GOLDEN / f"{'-'.join(('upcare', *words))}.txt"

    ran = upcare(*words, "--help")

    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        golden.write_text(ran.out, "utf-8")
    assert ran.status == 0
    assert ran.err == ""
    assert ran.out == golden.read_text("utf-8")


def test_no_golden_text_is_left_behind() -> None:
    wanted = {f"{'-'.join(('upcare', *words))}.txt" for words in COMMANDS}

    assert {path.name for path in GOLDEN.iterdir()} == wanted


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(("upcare", *words)))
def test_the_help_of_every_command_has_an_example(words: tuple[str, ...]) -> None:
    command: Any = root
    for word in words:
        command = command.get_command(click.Context(command), word)

    if not isinstance(command, click.Group) or not words:
        assert "Example: upcare" in (command.help or "")
