"""Calls that are accepted for good: each is a run of one step."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import Future
from datetime import timedelta
from typing import Any

from . import _check, _core, _errors, _options
from ._records import Trace

__all__ = ["DurableCall", "open_call", "submit"]

Duration = float | timedelta | str

_PREFIX = "call."
# What a durable call cannot heed: it may outlive the process, and with it the caller's clock.
_UNSUPPORTED = ("deadline", "target", "correlation_id", "traceparent", "workspace")


class DurableCall(Future[Any]):
    """A call that will run, whatever becomes of this process. Thread-safe.

    A future of `concurrent.futures` and awaitable, as `Call` is; ``rt.call(id)`` finds it again, in
    any process and also after its end.
    """

    def __init__(self, core: _core.Runtime, run: _core.Run) -> None:
        super().__init__()
        self._core = core
        self._run = run
        run.on_ended(self._settle)

    def _settle(self, run: _core.Run) -> None:
        try:
            result = run.result(0)
        except _errors.Cancelled:
            super().cancel()
            self.set_running_or_notify_cancel()
        except BaseException as error:  # noqa: BLE001 - the future has it
            self.set_exception(error)
        else:
            self.set_result(result)

    @property
    def id(self) -> str:
        """Its id: that of its run."""
        return self._run.id

    @property
    def trace(self) -> Trace | None:
        """The trace of its last attempt; None while there is none."""
        found, _ = self._core.traces(run=self.id, limit=1)
        return Trace.of(found[0]) if found else None

    def result(self, timeout: Duration | None = None) -> Any:
        """Wait for the output; the same errors as those of `Call.result`.

        Raises:
            ClewError: What the call failed with.
            Timeout: It has not ended within ``timeout``. The call goes on.
        """
        return self._run.result(timeout)

    def exception(self, timeout: Duration | None = None) -> BaseException | None:
        """Wait for the end; return the error, or None."""
        if not self._run.wait(timeout):
            raise _errors.Timeout("the call has not ended in time", {"timeout": str(timeout)})
        try:
            self._run.result(0)
        except _errors.ClewError as error:
            return error
        return None

    def done(self) -> bool:
        """Return whether it has ended, however."""
        return self._run.done()

    def running(self) -> bool:
        """Return whether it is under way."""
        return self._run.status == "running"

    def cancelled(self) -> bool:
        """Return whether it ended as cancelled."""
        return self._run.status == "cancelled"

    def cancel(self, reason: str = "cancelled by the caller") -> bool:
        """Stop it, durably. False when it has ended already, unless it was cancelled."""
        try:
            self._run.cancel(_check.text("reason", reason))
        except _errors.Conflict:
            return self.cancelled()
        return True

    def add_done_callback(self, fn: Callable[[Future[Any]], object]) -> None:
        """Call ``fn(call)`` once it has ended: at once, or on another thread."""
        super().add_done_callback(fn)

    def __await__(self) -> Generator[Any, None, Any]:
        return self._run.__await__()

    def __repr__(self) -> str:
        return f"<DurableCall {self.id} {self._run.status}>"


def submit(
    core: _core.Runtime,
    ref: _core.Reference,
    input: Any = ...,  # noqa: A002 - the word of contracts
    *,
    durable: Any,
    timeout: Duration | None = None,
    idempotency_key: str | None = None,
    priority: int = 0,
    **options: Any,
) -> Any:
    """Start a call that was asked for with ``durable=``. The core calls this."""
    if not _check.flag("durable", durable):
        options = {"timeout": timeout, "idempotency_key": idempotency_key, **options}
        return core.submit_future(ref, input, priority=priority, **options)
    for name, value in options.items():
        if name not in _UNSUPPORTED:
            raise TypeError(f"submit() got an unexpected keyword argument {name!r}")
        if value is not None:
            raise _errors.Unsupported(f"a durable call takes no {name}", {"path": name})
    info = core.resolve(ref)
    step: dict[str, Any] = {"call": f"{info['id']}@{info['version']}", "with": "{{ input }}"}
    if timeout is not None:
        step["timeout"] = _core.parse_duration(timeout, "timeout")
    document = {
        "workflow": _PREFIX + info["id"],
        "version": info["version"],
        "steps": {"call": step},
        "output": "{{ steps.call.output }}",
    }
    definition, problems = _core.load_value(document)
    if definition is None:
        raise _errors.Internal("a call makes no workflow", {"problems": problems})
    started = _options.of_start(None, idempotency_key, priority, None, None, None)
    return DurableCall(core, core.start(definition, {} if input is ... else input, **started))


def open_call(core: _core.Runtime, id: str) -> DurableCall:  # noqa: A002 - the word of users
    """Return the durable call of that id. `NotFound`."""
    run = core.run(_check.text("id", id))
    if not run.info()["workflow"].startswith(_PREFIX):
        raise _errors.NotFound(f"{id} is a run, but no call", {"id": id})
    return DurableCall(core, run)
