"""Stores that misbehave, or look closely, around those of a runtime."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from .. import _check, _core, aio
from .._effects import EffectController
from .._errors import InvalidInput, Unavailable
from .._processes import Duration
from .._sessions import Session

__all__ = ["Checked", "Faulty", "Recorded", "Recording", "Slow"]

_STORES = ("artifacts", "attachments", "effects", "events", "processes", "sessions", "triggers")


@dataclass(frozen=True, slots=True)
class Recorded:
    """One call that has come to its end."""

    name: str
    """Such as ``"processes.append_event"``; of handles too: ``"sessions.load_session"``."""
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    error: BaseException | None
    """What it raised."""


_Around = Callable[[str, tuple[Any, ...], dict[str, Any]], AbstractContextManager[None]]


_HANDLES = (Session, EffectController, aio.Session, aio.EffectController)


class _Wrapper:
    """Passes every call on to a runtime or one of its stores, and does something around it.

    So it does with the handles that a store gives out: on a session, and on the effects of a scope.
    What else is no call comes through as it is. Thread-safe, as that is.
    """

    def __init__(self, target: Any, around: _Around, prefix: str = "") -> None:
        self._target = target
        self._around = around
        self._prefix = prefix

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        if name in _STORES and not callable(value):
            return _Wrapper(value, self._around, f"{name}.")
        if not callable(value) or name.startswith("_"):
            return value
        full = self._prefix + name

        def wrapped(result: Any) -> Any:
            is_handle = isinstance(result, (_Wrapper, *_HANDLES))
            return _Wrapper(result, self._around, self._prefix) if is_handle else result

        def call(*args: Any, **kwargs: Any) -> Any:
            with self._around(full, args, kwargs):
                return wrapped(value(*args, **kwargs))

        # What waits or looks at the store must not hold up the loop.
        async def call_async(*args: Any, **kwargs: Any) -> Any:
            around = self._around(full, args, kwargs)
            await asyncio.to_thread(around.__enter__)
            try:
                result = await value(*args, **kwargs)
            except BaseException as error:
                await asyncio.to_thread(around.__exit__, type(error), error, error.__traceback__)
                raise
            await asyncio.to_thread(around.__exit__, None, None, None)
            return wrapped(result)

        return call_async if inspect.iscoroutinefunction(value) else call


class Faulty(_Wrapper):
    """Fails one call: before its effect, or after it, so that it has happened all the same.

    Args:
        target: A `clew.Runtime` or one of its stores, also those of `clew.aio`.
        at: Which call fails, counted from 1 over all stores of the target; 0: none.
        when: ``"before"`` its effect, or ``"after"``.
        error: What is raised; by default `clew.Unavailable`, which may be tried again.

    Example:
        >>> import clew, clew.testing
        >>> with clew.Runtime() as rt:
        ...     faulty = clew.testing.Faulty(rt, at=1, when="after")
        ...     try:
        ...         faulty.processes.register_process("p")
        ...     except clew.Unavailable:
        ...         print(rt.processes.get_process("p").id)
        p
    """

    def __init__(
        self,
        target: Any,
        *,
        at: int = 1,
        when: Literal["before", "after"] = "before",
        error: BaseException | None = None,
    ) -> None:
        if when not in ("before", "after"):
            message = f'when: expected "before" or "after", got {when!r}'
            raise InvalidInput(message, {"path": "when"})
        _check.integer("at", at, 0, sys.maxsize)
        if error is not None and not isinstance(error, BaseException):
            raise _check.invalid("error", error, "an exception")
        numbers = itertools.count(1)
        self.calls = 0
        """How many calls there were."""

        @contextmanager
        def around(_name: str, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Iterator[None]:
            self.calls = number = next(numbers)
            planned = error or Unavailable("this call fails by plan", retryable=True)
            if number == at and when == "before":
                raise planned
            yield
            if number == at:
                raise planned

        super().__init__(target, around)


class Slow(_Wrapper):
    """Lets every call wait first, for a duration of real time: races have more room."""

    def __init__(self, target: Any, delay: Duration) -> None:
        seconds = _core.parse_duration(delay, "delay")

        @contextmanager
        def around(_name: str, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Iterator[None]:
            time.sleep(seconds)
            yield

        super().__init__(target, around)


class Checked(_Wrapper):
    """Asserts after each call, also one that was refused, that every named invariant holds.

    Args:
        target: A `clew.Runtime` or one of its stores.
        verify: What finds violations; needed when the target is not a `clew.Runtime`, such as
            ``rt.verify``. An `AssertionError` names the call and what is broken.
    """

    def __init__(self, target: Any, verify: Callable[[], Sequence[Any]] | None = None) -> None:
        look = verify or getattr(target, "verify", None)
        if look is None or inspect.iscoroutinefunction(look):
            message = "verify: expected a function that returns violations, such as rt.verify"
            raise InvalidInput(message, {"path": "verify"})

        @contextmanager
        def around(name: str, _args: tuple[Any, ...], _kwargs: dict[str, Any]) -> Iterator[None]:
            try:
                yield
            finally:
                broken = look()
                if broken:
                    raise AssertionError(f"after {name}: {'; '.join(map(str, broken))}")

        super().__init__(target, around)


class Recording(_Wrapper):
    """Keeps what was called, in the order of the calls' ends: `calls`."""

    def __init__(self, target: Any) -> None:
        self.calls: list[Recorded] = []

        @contextmanager
        def around(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[None]:
            try:
                yield
            except BaseException as error:
                self.calls.append(Recorded(name, args, kwargs, error))
                raise
            self.calls.append(Recorded(name, args, kwargs, None))

        super().__init__(target, around)
