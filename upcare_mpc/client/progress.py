"""A study's story, told while it goes on: on a terminal, in a notebook, in a log."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from upcare_mpc.client.platform import Event

__all__ = ["progress"]


@contextmanager
def progress(*, quiet: bool) -> Iterator[Callable[[Event], None]]:
    """Tell events: live on a terminal, line by line elsewhere, not at all if quiet."""
    talk = _console()

    def line(event: Event) -> None:
        if not quiet:
            talk.print(f"  {event.phase:>10}  {event.text}")

    if quiet or not talk.is_terminal:
        yield line
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=talk, transient=True) as bar:
        task = bar.add_task("asking", total=None)

        def live(event: Event) -> None:
            line(event)
            bar.update(task, description=event.phase)

        yield live


def _console() -> Console:
    """Standard error; in a notebook, which shows that as an alarm, standard output."""
    in_notebook = Console().is_jupyter
    return Console(
        file=sys.stdout if in_notebook else sys.stderr,
        force_jupyter=False,
        force_terminal=False if in_notebook else None,
        highlight=False,
        soft_wrap=True,
        markup=False,
    )
