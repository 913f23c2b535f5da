"""The exceptions of Clew: one class per error code, all below ``ClewError``.

The extension module raises these classes and reads them back, so a code has one class here and one
word in the core.
"""

from __future__ import annotations

from typing import Any, ClassVar

__all__ = [
    "Ambiguous",
    "Cancelled",
    "ClewError",
    "Closed",
    "Conflict",
    "Corrupt",
    "ExecutionFailed",
    "Internal",
    "InvalidInput",
    "NoEligibleTarget",
    "NotFound",
    "Rejected",
    "ResourceExhausted",
    "StaleLease",
    "Timeout",
    "Unavailable",
    "UnknownOutcome",
    "Unsupported",
]


class ClewError(Exception):
    """What every error of Clew is. Raised as one of its subclasses, which know their code.

    Attributes:
        code: The word of the error's class, such as ``"invalid_input"``.
        message: What is wrong; also ``str(error)``.
        context: Facts about the error: JSON values under names such as ``"path"``.
        retryable: Whether the same call may succeed later.
    """

    def __init__(
        self,
        code: str,
        message: str = "",
        context: dict[str, Any] | None = None,
        retryable: bool = False,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.context = {} if context is None else dict(context)
        self.retryable = retryable

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        basics = (type(self), self.code, self.message, self.context, self.retryable)
        return _rebuild, basics, self.__dict__


def _rebuild(
    cls: type[ClewError], code: str, message: str, context: dict[str, Any], retryable: bool
) -> ClewError:
    """Make an unpickled error, whatever signature its subclass has."""
    error = cls.__new__(cls)
    ClewError.__init__(error, code, message, context, retryable)
    return error


class _Coded(ClewError):
    """An error whose class is its code."""

    _code: ClassVar[str]

    def __init__(
        self, message: str = "", context: dict[str, Any] | None = None, retryable: bool = False
    ) -> None:
        super().__init__(self._code, message, context, retryable)


class InvalidInput(_Coded, ValueError):
    """Something given is not as it must be; the context names path, value and expectation."""

    _code = "invalid_input"


class NotFound(_Coded, LookupError):
    """Nothing has that name; near names are suggested."""

    _code = "not_found"


class Conflict(_Coded):
    """The change does not fit what stands there; the message names both."""

    _code = "conflict"


class Ambiguous(_Coded):
    """A reference means several things."""

    _code = "ambiguous"


class Rejected(_Coded):
    """Not admitted: a queue is full or a limit is reached."""

    _code = "rejected"


class NoEligibleTarget(_Coded):
    """No executor may run the capability."""

    _code = "no_eligible_target"


class ExecutionFailed(_Coded):
    """The handler raised; ``__cause__`` is its exception when that happened in this process."""

    _code = "execution_failed"


class Timeout(_Coded, TimeoutError):
    """The deadline came first."""

    _code = "timeout"


class Cancelled(_Coded):
    """The work was asked to stop."""

    _code = "cancelled"


class ResourceExhausted(_Coded):
    """A bound on memory, size or steps was reached."""

    _code = "resource_exhausted"


class UnknownOutcome(_Coded):
    """The effect may or may not have happened; someone must look."""

    _code = "unknown_outcome"


class StaleLease(_Coded):
    """Another owner has taken over meanwhile."""

    _code = "stale_lease"


class Corrupt(_Coded):
    """Stored data is damaged; the context names table and key."""

    _code = "corrupt"


class Unavailable(_Coded):
    """Something that is needed cannot be reached now."""

    _code = "unavailable"


class Unsupported(_Coded):
    """This is not offered here."""

    _code = "unsupported"


class Closed(_Coded):
    """The runtime is closed or closing, or belongs to the process that this one was forked from."""

    _code = "closed"


class Internal(_Coded):
    """A bug in Clew."""

    _code = "internal"


BY_CODE: dict[str, type[ClewError]] = {cls._code: cls for cls in _Coded.__subclasses__()}
