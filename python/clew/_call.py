"""A started call as a future: of `concurrent.futures`, and awaitable in asyncio.

The core keeps the state. What the standard library's own waiting needs beyond it (a condition, a
list of waiters) is made when somebody waits that way.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import CancelledError, Future
from datetime import timedelta
from threading import Condition, Lock
from typing import TYPE_CHECKING, Any, NoReturn

from . import _core, _errors

if TYPE_CHECKING:
    from ._records import Trace

__all__ = ["Call", "CallCancelled"]

# Guards the making of conditions; nothing is called while it is held.
_making = Lock()


class CallCancelled(_errors.Cancelled, CancelledError):
    """The call was cancelled: both Clew's error and the standard library's."""


class Call(Future[Any]):
    """One started call. Thread-safe.

    It behaves as a `concurrent.futures.Future` wherever one is taken, such as ``futures.wait`` and
    ``asyncio.wrap_future``. Awaiting it gives the output; cancelling that wait stops nothing.
    """

    __slots__ = ("_core", "_made", "_settled", "_waiters")

    def __init__(self, core: _core.Call) -> None:
        self._core = core
        self._made: Condition | None = None

    # --- waiting ---

    def done(self) -> bool:
        """Return whether it has ended, however."""
        return self._core.done()

    def running(self) -> bool:
        """Return whether its handler runs now."""
        return self._core.running()

    def cancelled(self) -> bool:
        """Return whether it ended as cancelled."""
        return self._core.cancelled()

    def result(self, timeout: float | timedelta | str | None = None) -> Any:
        """Wait for the output.

        Raises:
            ClewError: What the call failed with; cancelled, it is a `CancelledError` too.
            Timeout: It has not ended within ``timeout``. The call goes on.
        """
        try:
            return self._core.result(timeout)
        except _errors.Cancelled as error:
            if self._core.cancelled():
                raise _joint(error) from error.__cause__
            raise

    def exception(self, timeout: float | timedelta | str | None = None) -> BaseException | None:
        """Wait for the end; return the error, or None. Cancelled, it raises as `result` does."""
        error = self._core.exception(timeout)
        if isinstance(error, _errors.Cancelled) and self._core.cancelled():
            raise _joint(error) from error.__cause__
        return error

    def add_done_callback(self, fn: Callable[[Future[Any]], object]) -> None:
        """Call ``fn(call)`` once it has ended: at once, or on the thread that ends it."""
        self._core.add_done_callback(lambda _: _call_back(fn, self))

    def cancel(self, reason: str = "cancelled by the caller") -> bool:
        """Ask it to stop. True when it had not begun, and never will.

        One that runs sees ``ctx.cancelled`` and goes on until it heeds it.
        """
        return self._core.cancel(reason)

    def __await__(self) -> Generator[Any, None, Any]:
        if not self._core.done():
            from ._loop import ended

            yield from ended(self._core.add_done_callback)
        return self.result(0)

    # --- looking ---

    @property
    def id(self) -> str:
        """The id of its trace."""
        return self._core.id

    @property
    def capability(self) -> str | None:
        """``id@version`` of what it calls; None when that was not found."""
        return self._core.capability

    @property
    def outcome(self) -> str | None:
        """``success | failure | timeout | cancelled | rejected``; None while it has not ended."""
        return self._core.outcome

    @property
    def progress(self) -> tuple[int, int]:
        """``(done, total)`` as the handler reported last; ``(0, 0)`` before."""
        return self._core.progress

    @property
    def trace(self) -> Trace | None:
        """Its trace; None while it has not ended."""
        from ._records import Trace

        found = self._core.trace
        return None if found is None else Trace(**found)

    def __repr__(self) -> str:
        core = self._core
        state = core.outcome or ("running" if core.running() else "pending")
        return f"<Call {core.id} {core.capability or '(unknown capability)'} {state}>"

    # --- what the standard library's own waiting looks at ---

    if not TYPE_CHECKING:  # for type checkers they are what the base says

        @property
        def _condition(self) -> Condition:
            if self._made is None:
                with _making:
                    mine = self._made is None
                    if mine:
                        self._waiters: list[Any] = []
                        self._settled = False
                        self._made = Condition()
                if mine:
                    self._core.add_done_callback(self._settle)
            assert self._made is not None
            return self._made

        @property
        def _state(self) -> str:
            # Once there are waiters, the end counts from the moment they are told of it.
            ended = self._core.done() if self._made is None else self._settled
            if not ended:
                return "RUNNING" if self._core.running() else "PENDING"
            return "CANCELLED_AND_NOTIFIED" if self._core.cancelled() else "FINISHED"

    def _settle(self, _: _core.Call) -> None:
        condition = self._made
        assert condition is not None
        with condition:
            self._settled = True
            for waiter in self._waiters:
                if self._core.cancelled():
                    waiter.add_cancelled(self)
                elif self._core.outcome == "success":
                    waiter.add_result(self)
                else:
                    waiter.add_exception(self)
            condition.notify_all()

    def set_running_or_notify_cancel(self) -> NoReturn:
        """Refused: the runtime alone says what becomes of a call."""
        raise _errors.Unsupported("the runtime alone says what becomes of a call")

    def set_result(self, result: Any) -> NoReturn:  # noqa: ARG002 - the base's signature
        """Refused: the runtime alone says what becomes of a call."""
        self.set_running_or_notify_cancel()

    def set_exception(self, exception: BaseException | None) -> NoReturn:  # noqa: ARG002 - the same
        """Refused: the runtime alone says what becomes of a call."""
        self.set_running_or_notify_cancel()


def _joint(error: _errors.Cancelled) -> CallCancelled:
    return CallCancelled(error.message, error.context, error.retryable)


def _call_back(fn: Callable[[Future[Any]], object], call: Call) -> None:
    try:
        fn(call)
    except Exception:
        import logging

        logging.getLogger("concurrent.futures").exception("exception calling callback for %r", call)
