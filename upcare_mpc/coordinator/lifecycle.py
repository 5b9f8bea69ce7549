"""States of a question at the platform, and the steps between them.

    submitted -> waiting -> running -> done
        │           │        │   └───> failed
        └───────────┴────────┴──> refused

    submitted -> waiting -> collecting <-> running -> done          a study that takes deposits
                                └─────────────┴─────> failed

``waiting`` is for operators; it ends when all have decided. ``collecting`` is for deposits; it
ends when the researcher closes it, and a session that fails goes back to it. ``done``, ``refused``
and ``failed`` are final for one attempt; asking again after ``refused`` or ``failed`` is a new
attempt, after ``done`` the stored answer. Pure: no clock, no storage.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from upcare_mpc.errors import RefusedError

__all__ = ["SOURCES", "Seat", "State", "choose_roster", "in_words"]


class State(StrEnum):
    """How far a question is."""

    SUBMITTED = "submitted"
    WAITING = "waiting"
    COLLECTING = "collecting"
    RUNNING = "running"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"

    @property
    def final(self) -> bool:
        """Whether this attempt is over."""
        return self in {State.DONE, State.REFUSED, State.FAILED}


SOURCES: Mapping[State, frozenset[State]] = {
    State.SUBMITTED: frozenset(),
    State.WAITING: frozenset({State.SUBMITTED, State.WAITING}),
    State.COLLECTING: frozenset({State.SUBMITTED, State.WAITING, State.RUNNING}),
    State.RUNNING: frozenset({State.SUBMITTED, State.WAITING, State.COLLECTING}),
    # Late outputs are still an answer.
    State.DONE: frozenset({State.RUNNING, State.FAILED, State.COLLECTING}),
    State.REFUSED: frozenset({State.SUBMITTED, State.WAITING, State.RUNNING}),
    State.FAILED: frozenset({State.SUBMITTED, State.WAITING, State.RUNNING, State.COLLECTING}),
}
"""From which states each state may be entered."""


Seat = tuple[str, bool]
"""A registry's name, and whether it is willing to compute."""


def choose_roster(seats: Sequence[Seat], committee: int) -> list[str]:
    """Order the registries of a session: the computing ones first.

    Args:
        seats: In the order in which the study names them.
        committee: m; the first m that are willing compute.

    Raises:
        RefusedError: Fewer than m are willing.
    """
    willing = [name for name, computes in seats if computes]
    if len(willing) < committee:
        raise RefusedError(
            f"a study needs {committee} registries that compute, "
            f"{len(willing)} of those named are willing"
        )
    computing = willing[:committee]
    return computing + [name for name, _ in seats if name not in computing]


def in_words(reasons: Sequence[tuple[str, str]]) -> str:
    """Join (registry, reason) pairs to one line; registries with the same reason share it.

    A thousand characters and no more: the line is stored, and sent in the header of an answer.
    """
    grouped: dict[str, list[str]] = {}
    for name, reason in reasons:
        grouped.setdefault(reason, []).append(name)
    line = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in grouped.items())
    return line[:1000]
