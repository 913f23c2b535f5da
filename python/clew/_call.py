"""A started call as a future: of `concurrent.futures`, and awaitable in asyncio.

The core keeps the state. What the standard library's own waiting needs beyond it (a condition, a
list of waiters) is made when somebody waits that way.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import CancelledError, Future
from datetime import timedelta
from functools import partial
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


class Call(_core.Call, Future[Any]):
    """One started call. Thread-safe.

    It behaves as a `concurrent.futures.Future` wherever one is taken, such as ``futures.wait`` and
    ``asyncio.wrap_future``. Awaiting it gives the output; cancelling that wait stops nothing.
    """

    # Made by the core, without __init__: what few calls need comes into being when it is needed.
    _made: Condition | None = None
    _settled = False

    # --- waiting ---

    if TYPE_CHECKING:  # the core has them, documented as here

        def done(self) -> bool:
            """Return whether it has ended, however."""

        def running(self) -> bool:
            """Return whether its handler runs now, not whether it waits in some queue."""

        def cancelled(self) -> bool:
            """Return whether it ended as cancelled."""

        def result(self, timeout: float | timedelta | str | None = None) -> Any:
            """Wait for the output.

            Raises:
                ClewError: What the call failed with; cancelled, it is a `CancelledError` too.
                Timeout: It has not ended within ``timeout``, which may be 0. The call goes on.
                Conflict: On the event loop that has to run it: await it instead.
            """

        def cancel(self, reason: str = "cancelled by the caller") -> bool:
            """Ask it to stop. True when it has not begun and never will, also the second time.

            One that runs sees ``ctx.cancelled`` and goes on until it heeds it.
            """

    def exception(self, timeout: float | timedelta | str | None = None) -> BaseException | None:
        """Wait for the end; return the error, or None. Cancelled, it raises as `result` does."""
        error = super().exception(timeout)
        if isinstance(error, _errors.Cancelled) and self.cancelled():
            raise joint(error)
        return error

    def add_done_callback(self, fn: Callable[[Future[Any]], object]) -> None:
        """Call ``fn(call)`` once it has ended: at once, or on the thread that ends it."""
        super().add_done_callback(partial(_call_back, fn))

    def __await__(self) -> Generator[Any, None, Any]:
        if not self.done():
            from ._loop import ended

            yield from ended(super().add_done_callback)
        return self.result(0)

    # --- looking ---

    @property
    def trace(self) -> Trace | None:  # type: ignore[override]  # a record instead of a dict
        """Its trace; None while it has not ended."""
        from ._records import Trace

        found = super().trace
        return None if found is None else Trace.of(found)

    def __repr__(self) -> str:
        state = self.outcome or ("running" if self.running() else "pending")
        return f"<Call {self.id} {self.capability or '(unknown capability)'} {state}>"

    # --- what the standard library's own waiting looks at ---

    if not TYPE_CHECKING:  # for type checkers they are what the base says

        @property
        def _condition(self) -> Condition:
            if self._made is None:
                with _making:
                    mine = self._made is None
                    if mine:
                        self._waiters: list[Any] = []
                        self._made = Condition()
                if mine:
                    super().add_done_callback(Call._settle)
            assert self._made is not None
            return self._made

        @property
        def _state(self) -> str:
            if not self.done():
                return "RUNNING" if self.running() else "PENDING"
            # Whoever sees the end now must not be told of it once more.
            if self._made is not None and not self._settled:
                self._settle()
            return "CANCELLED_AND_NOTIFIED" if self.cancelled() else "FINISHED"

    def _settle(self) -> None:
        condition = self._made
        assert condition is not None
        with condition:
            if self._settled:
                return
            self._settled = True
            for waiter in self._waiters:
                if self.cancelled():
                    waiter.add_cancelled(self)
                elif self.outcome == "success":
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


def joint(error: BaseException) -> BaseException:
    """Return the error of a cancelled call as both libraries know it. The core asks for it."""
    if not isinstance(error, _errors.Cancelled):
        return error  # Ctrl-C
    made = CallCancelled(error.message, error.context, error.retryable)
    made.__cause__ = error.__cause__
    return made


def _call_back(fn: Callable[[Future[Any]], object], call: Call) -> None:
    try:
        fn(call)
    except Exception:
        import logging

        logging.getLogger("concurrent.futures").exception("exception calling callback for %r", call)
