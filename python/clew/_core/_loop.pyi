"""The event loop of async handlers and waiters: for the package alone."""

from asyncio import Future
from collections.abc import Awaitable
from typing import Any, final

@final
class _AsyncJob:
    """One call on its way through the loop."""

    def begin(self) -> Awaitable[Any] | None:
        """Return what to await, or None when there is nothing to do."""

    def finish(self, value: Any) -> None: ...
    def fail(self, exception: BaseException) -> None: ...

@final
class _QueryStop:
    """Told from another thread that nobody waits for a query any more."""

    def __init__(self) -> None: ...
    def set(self) -> None: ...

@final
class _AsyncInbox:
    """What a loop has to look at next."""

    def fileno(self) -> int: ...
    @property
    def closed(self) -> bool: ...
    def take(self) -> tuple[list[_AsyncJob], list[_AsyncJob]]:
        """Return the jobs to run and the jobs to cancel since the last time."""

@final
class _Ring:
    """What one future waits for. Instead of a callback it costs no GIL. Called once."""

    def __call__(self, ended: object) -> None: ...

@final
class _Bell:
    """What a loop sleeps on. Thread-safe."""

    def __init__(self) -> None: ...
    def fileno(self) -> int: ...
    def ring(self, future: Future[None]) -> _Ring: ...
    def take(self) -> list[Future[None]]:
        """Return the futures whose rings were called since the last time."""
