"""An operator's yes or no to one study on one snapshot: entries of the journal, used up by a run.

The state is a fold over journal entries. A yes is for one study digest and one snapshot, and the
run that follows uses it up; the next run needs a new one.
"""

from collections.abc import Iterable
from enum import Enum

from upcare_mpc.errors import RefusedError
from upcare_mpc.journal import Entry, Event

__all__ = ["Standing", "grant", "refuse", "standing", "use"]

_KINDS = ("approval.grant", "approval.refuse", "approval.use")


class Standing(Enum):
    """What the operator's latest word on a study is."""

    NONE = "none"
    GRANTED = "granted"
    REFUSED = "refused"


def standing(entries: Iterable[Entry], *, study: bytes, snapshot: bytes) -> tuple[Standing, str]:
    """Give the operator's standing word on a study and snapshot, with her reason for a no."""
    result, reason = Standing.NONE, ""
    for entry in entries:
        if entry.kind not in _KINDS:
            continue
        body = entry.fields()
        if body["study"] != study.hex() or body["snapshot"] != snapshot.hex():
            continue
        match entry.kind:
            case "approval.grant":
                result, reason = Standing.GRANTED, ""
            case "approval.refuse":
                result, reason = Standing.REFUSED, str(body["reason"])
            case _:
                result, reason = Standing.NONE, ""
    return result, reason


def grant(*, study: bytes, snapshot: bytes) -> Event:
    """The operator's yes."""
    return Event(kind="approval.grant", body={"study": study.hex(), "snapshot": snapshot.hex()})


def refuse(*, study: bytes, snapshot: bytes, reason: str) -> Event:
    """The operator's no."""
    return Event(
        kind="approval.refuse",
        body={"study": study.hex(), "snapshot": snapshot.hex(), "reason": reason},
    )


def use(entries: Iterable[Entry], *, study: bytes, snapshot: bytes, session: bytes) -> Event:
    """Use up a standing yes for one session.

    Raises:
        RefusedError: There is none.
    """
    if standing(entries, study=study, snapshot=snapshot)[0] is not Standing.GRANTED:
        raise RefusedError("the operator has not approved this study")
    return Event(
        kind="approval.use",
        body={"study": study.hex(), "snapshot": snapshot.hex(), "session": session.hex()},
    )
