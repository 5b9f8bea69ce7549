"""An operator's yes or no to one question on one snapshot: in the journal, used up by a run.

A question is a study AND the researcher who asks it (``link.statements.question_digest``): a yes to
one researcher is no yes to another who asks the same. The state is a fold over journal entries. A
yes is for one question and one snapshot, and the run that follows uses it up; the next needs a new
one.
"""

from collections.abc import Iterable
from enum import Enum

from upcare_mpc.errors import RefusedError
from upcare_mpc.journal import Entry, Event

__all__ = ["Standing", "grant", "refuse", "standing", "use"]

_KINDS = ("approval.grant", "approval.refuse", "approval.use")


class Standing(Enum):
    """What the operator's latest word on a question is."""

    NONE = "none"
    GRANTED = "granted"
    REFUSED = "refused"


def standing(entries: Iterable[Entry], *, question: bytes, snapshot: bytes) -> tuple[Standing, str]:
    """Give the operator's standing word on a question and snapshot, with her reason for a no."""
    result, reason = Standing.NONE, ""
    for entry in entries:
        if entry.kind not in _KINDS:
            continue
        body = entry.fields()
        if body["question"] != question.hex() or body["snapshot"] != snapshot.hex():
            continue
        match entry.kind:
            case "approval.grant":
                result, reason = Standing.GRANTED, ""
            case "approval.refuse":
                result, reason = Standing.REFUSED, str(body["reason"])
            case _:
                result, reason = Standing.NONE, ""
    return result, reason


def grant(*, question: bytes, snapshot: bytes) -> Event:
    """The operator's yes."""
    return Event(
        kind="approval.grant", body={"question": question.hex(), "snapshot": snapshot.hex()}
    )


def refuse(*, question: bytes, snapshot: bytes, reason: str) -> Event:
    """The operator's no."""
    return Event(
        kind="approval.refuse",
        body={"question": question.hex(), "snapshot": snapshot.hex(), "reason": reason},
    )


def use(entries: Iterable[Entry], *, question: bytes, snapshot: bytes, session: bytes) -> Event:
    """Use up a standing yes for one session.

    Raises:
        RefusedError: There is none.
    """
    if standing(entries, question=question, snapshot=snapshot)[0] is not Standing.GRANTED:
        raise RefusedError("the operator has not approved this question")
    return Event(
        kind="approval.use",
        body={"question": question.hex(), "snapshot": snapshot.hex(), "session": session.hex()},
    )
