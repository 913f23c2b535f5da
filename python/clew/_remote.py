"""What an executor of others is given to run, and how its end comes back whole.

An exception or a result that cannot be unpickled breaks a process pool for good. So over there both
are put into bytes, which always arrive, and only here, call by call, somebody looks into them.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from typing import Any, NamedTuple

__all__: list[str] = []


class Carried(NamedTuple):
    """How a call ended in another process."""

    ok: bool
    data: bytes | None  # the result or the exception; None when it cannot be pickled
    type: str
    text: str
    trace: str
    run_us: int


class RemoteTraceback(Exception):
    """The traceback of another process: the cause of what was raised there."""

    def __str__(self) -> str:
        return "\n" + str(self.args[0])


class Job:
    """A function with somebody who wants to know when it begins; he stays in this process."""

    __slots__ = ("_begin", "_function")

    def __init__(
        self, function: Callable[..., Any], begin: Callable[[], bool] | None = None
    ) -> None:
        self._function = function
        self._begin = begin

    def __reduce__(self) -> tuple[Any, ...]:
        return Job, (self._function,)

    def __call__(self, /, **arguments: Any) -> Any:
        if self._begin is None:
            return _run(self._function, arguments)
        # False: the call was cancelled, or its time was up. Nobody looks at the result.
        return self._function(**arguments) if self._begin() else None


def _run(function: Callable[..., Any], arguments: dict[str, Any]) -> Carried:
    began = time.perf_counter()
    try:
        value = function(**arguments)
    except BaseException as error:  # noqa: BLE001 - exits too fail the call, never the worker
        return _failure(error, began)
    try:
        data = pickle.dumps(value)
    except Exception as error:  # noqa: BLE001 - whatever a type's own hooks raise
        return _failure(TypeError(f"the result cannot be pickled: {error}"), began)
    return Carried(True, data, "", "", "", _since(began))


def _failure(error: BaseException, began: float) -> Carried:
    import traceback

    try:
        data = pickle.dumps(error)
    except Exception:  # noqa: BLE001 - as above
        data = None
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - as above
        text = "(its text cannot be had)"
    trace = "".join(traceback.format_exception(error))
    return Carried(False, data, _name(type(error)), text, trace, _since(began))


def _since(began: float) -> int:
    return int((time.perf_counter() - began) * 1e6)


def _name(kind: type) -> str:
    home = kind.__module__
    return kind.__qualname__ if home == "builtins" else f"{home}.{kind.__qualname__}"


def receive(answer: Any) -> tuple[Any, BaseException | None, tuple[str, str] | None, int]:
    """Unpack an answer: value, exception, or type and text of what cannot be had here; duration."""
    if not isinstance(answer, Carried):
        return answer, None, None, 0
    try:
        held = pickle.loads(answer.data) if answer.data is not None else None
    except Exception as error:  # noqa: BLE001 - whatever a type's own hooks raise
        if answer.ok:
            reason = f"the result cannot be unpickled: {error}"
            return None, None, (_name(type(error)), reason), answer.run_us
        held = None
    if answer.ok:
        return held, None, None, answer.run_us
    if not isinstance(held, BaseException):
        return None, None, (answer.type, answer.text), answer.run_us
    held.__cause__ = RemoteTraceback(answer.trace)
    return None, held, None, answer.run_us
