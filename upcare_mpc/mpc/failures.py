"""How a failure travels through MPyC's coroutines, from where it happens to whoever awaits it.

MPyC 0.11 stops the event loop when one of its coroutines fails, and never completes a value that
is gathered from several of which one fails: a lost peer would leave a session pending for ever.
Here the placeholders of a failed coroutine fail with it, and so does all that is computed from
them. What MPyC raises of its own on a peer's bytes, an index out of range say, becomes
``ProtocolError`` with the original as its cause.

Three functions of ``mpyc.asyncoro`` are replaced: ``_reconcile``, ``SecureObject.set_share`` and
``_SharesTallier._decrement``. Limits: written for MPyC 0.11, which the package pins.
"""

import asyncio
from typing import Any

from upcare_mpc.errors import ProtocolError, UpcareError

__all__ = ["let_failures_travel"]


def let_failures_travel(asyncoro: Any) -> None:
    """Replace what loses failures in ``mpyc.asyncoro``, which is passed in and not imported."""
    settle = vars(asyncoro)["__reconcile"]

    def reconcile(placeholders: Any, task: "asyncio.Task[Any]") -> None:
        """Give a coroutine's result, or its failure, to the placeholders it was started for."""
        asyncoro.runtime._pc_level -= 1  # noqa: SLF001 - as in MPyC's own
        error = _failure(task)
        if error is not None:
            _fail(placeholders, error)
        elif placeholders is not None:
            settle(placeholders, task.result())

    def set_share(self: Any, value: Any) -> None:
        """Set a share, now or when ``value`` is there; a failure of ``value`` is passed on."""
        if isinstance(value, asyncio.Future):
            value.add_done_callback(lambda done: _follow(self.share, done))
        else:
            self.share.set_result(value)

    def decrement(self: Any, done: "asyncio.Future[Any]") -> None:
        """Count one gathered share; the first failure is the failure of the whole."""
        self.tally -= 1
        error = _failure(done)
        if self.done():
            return
        if error is not None:
            _fail(self, error)
        elif self.tally == 0:
            self.set_result(asyncoro._get_results(self.obj))  # noqa: SLF001 - as in MPyC's own

    asyncoro._reconcile = reconcile  # noqa: SLF001 - see above
    asyncoro.SecureObject.set_share = set_share
    asyncoro._SharesTallier._decrement = decrement  # noqa: SLF001 - see above


def _failure(done: "asyncio.Future[Any]") -> BaseException | None:
    """What a future failed with, in our terms."""
    if done.cancelled():
        return asyncio.CancelledError()
    error = done.exception()
    if error is None or isinstance(error, UpcareError):
        return error
    refused = ProtocolError("an operation on shares failed on what the peers sent")
    refused.__cause__ = error
    return refused


def _follow(share: "asyncio.Future[Any]", done: "asyncio.Future[Any]") -> None:
    error = _failure(done)
    if error is not None:
        _fail(share, error)
    else:
        share.set_result(done.result())


def _fail(placeholder: Any, error: BaseException) -> None:
    """Fail a placeholder, or all of a nest of them."""
    if isinstance(placeholder, asyncio.Future):
        if not placeholder.done():
            placeholder.set_exception(error)
            placeholder.exception()  # whoever awaits it learns of it; nobody may
    elif isinstance(placeholder, list | tuple):
        for part in placeholder:
            _fail(part, error)
    elif placeholder is not None:
        _fail(getattr(placeholder, "share", None), error)
