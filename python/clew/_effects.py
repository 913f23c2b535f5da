"""Effects: what code cannot repeat with the same result by itself, and therefore records."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from . import _check, _core
from ._records import _Shown
from ._stores import tier_of

__all__ = ["EffectController", "EffectScope", "Effects", "RuntimeEffectEnvelope"]

Executor: TypeAlias = Callable[["_core.EffectRun"], Any]


@dataclass(frozen=True, repr=False, slots=True)
class EffectScope(_Shown):
    """The identity of one run of effects, chosen before any of them."""

    _facts = ("type", "session_id", "turn_id", "process_id", "drain_id", "operation_id")

    type: Literal["turn", "process", "queue_drain", "session_delete", "runtime_operation"]
    session_id: str | None = None
    turn_id: str | None = None
    process_id: str | None = None
    drain_id: str | None = None
    operation_id: str | None = None

    @classmethod
    def turn(cls, session_id: str, turn_id: str) -> EffectScope:
        """Those of a turn."""
        return cls("turn", session_id, turn_id=turn_id)

    @classmethod
    def process(cls, process_id: str) -> EffectScope:
        """Those of a process."""
        return cls("process", process_id=process_id)

    @classmethod
    def queue_drain(cls, session_id: str, drain_id: str) -> EffectScope:
        """Those of working off a queue."""
        return cls("queue_drain", session_id, drain_id=drain_id)

    @classmethod
    def session_delete(cls, session_id: str) -> EffectScope:
        """Those of deleting a session."""
        return cls("session_delete", session_id)

    @classmethod
    def runtime_operation(cls, operation_id: str) -> EffectScope:
        """Those of anything else."""
        return cls("runtime_operation", operation_id=operation_id)

    @property
    def id(self) -> str:
        """The innermost id."""
        ids = (self.turn_id, self.process_id, self.drain_id, self.operation_id, self.session_id)
        return next(one for one in ids if one is not None)


@dataclass(frozen=True, repr=False, slots=True)
class RuntimeEffectEnvelope(_Shown):
    """One effect that is asked for: who asks, and for what.

    ``invocation`` has ``scope``, ``subject`` (``{"type": "effect", "effect_id": …, "kind": …}``),
    ``caused_by`` and ``replay`` (``{"key": …}``); ``command`` has ``type``, which is the kind:
    ``llm_call``, ``direct``, ``tool_call``, ``process``, ``exec_code``, ``checkpoint``,
    ``sync_execution_surface`` or ``sleep`` (with ``duration_ms``).
    """

    invocation: Mapping[str, Any] = field(hash=False)
    command: Mapping[str, Any] = field(hash=False)

    def stable_hash(self) -> str:
        """Return the SHA-256 over both parts."""
        return _core.effect_hash(self)


class EffectController:
    """Effects of one scope. Thread-safe: many may run at once, on their callers' threads."""

    __slots__ = ("_core", "_runtime", "_scope")

    def __init__(self, core: _core.Runtime, scope: EffectScope) -> None:
        self._runtime = core
        self._core = core.effects_of(_said(scope))
        self._scope = scope

    @property
    def durability_tier(self) -> Literal["inline", "durable"]:
        """That of `Effects`."""
        return tier_of(self._runtime)

    @property
    def effect_scope(self) -> EffectScope:
        """The scope that was given."""
        return self._scope

    @property
    def scope_id(self) -> str:
        """Its innermost id."""
        return self._scope.id

    @property
    def turn_id(self) -> str | None:
        """The id of its turn, if it is one's."""
        return self._scope.turn_id

    def execute_effect(
        self,
        envelope: RuntimeEffectEnvelope | Mapping[str, Any],
        execute: Executor | None = None,
    ) -> Any:
        """Return the outcome: the recorded one, or that of a run which is recorded first. Blocks.

        Args:
            envelope: What is asked for, under which key.
            execute: Carries it out here, on this thread. It gets the run, which knows whether it
                is ``cancelled`` because its lease was lost, and its ``fence``, which rises with
                each run of the effect. A sleep needs none.

        Raises:
            ClewError: What the effect failed with, now or when it was recorded; `ExecutionFailed`
                for other exceptions.
            Conflict: The key was used for another envelope; the first difference is named.
            StaleLease: The lease was lost meanwhile: the outcome is discarded.
            NotFound: Nothing is recorded, after `start_replay`.
            Unsupported: It would have to run, and ``execute`` is None.
        """
        _check.require_open(self._runtime)
        if execute is not None and not callable(execute):
            raise _check.invalid("execute", execute, "a function, or None")
        if inspect.iscoroutinefunction(execute):
            raise _check.invalid("execute", execute, "a function that is not async (clew.aio is)")
        return self._core.execute_effect(envelope, execute)

    def start_replay(self) -> None:
        """Run nothing from now on: what is not recorded is `NotFound`."""
        _check.require_open(self._runtime)
        self._core.start_replay()

    def __repr__(self) -> str:
        return f"<EffectController of {self._scope.type} {self._scope.id}>"


class Effects:
    """The effects of a runtime's store: ``rt.effects``. Thread-safe.

    Example:
        >>> effects = rt.effects.scoped({"type": "turn", "session_id": "demo", "turn_id": "1"})
        >>> envelope = {
        ...     "invocation": {
        ...         "subject": {"type": "effect", "effect_id": "ask", "kind": "tool_call"},
        ...         "replay": {"key": "ask"},
        ...     },
        ...     "command": {"type": "tool_call", "call": {"tool": "clock"}},
        ... }
        >>> effects.execute_effect(envelope, lambda run: "noon")
        'noon'
        >>> effects.execute_effect(envelope, lambda run: "later")
        'noon'
    """

    __slots__ = ("_core",)

    def __init__(self, core: _core.Runtime) -> None:
        self._core = core

    @property
    def durability_tier(self) -> Literal["inline", "durable"]:
        """Whether what it records outlives the process: ``"durable"``, or ``"inline"``."""
        return tier_of(self._core)

    def scoped(self, scope: EffectScope | Mapping[str, Any]) -> EffectController:
        """Return what carries out the effects of a scope.

        Raises:
            InvalidInput: An id is missing or blank (``reason`` is ``missing_effect_scope_id``).
        """
        _check.require_open(self._core)
        if isinstance(scope, Mapping):
            _check.known("scope", scope, EffectScope._facts)
            scope = EffectScope(**{"type": None, **scope})
        elif not isinstance(scope, EffectScope):
            raise _check.invalid("scope", scope, "an EffectScope")
        return EffectController(self._core, scope)

    def __repr__(self) -> str:
        return f"<Effects of {self._core.name}>"


def _said(scope: EffectScope) -> dict[str, Any]:
    return {name: value for name, value in scope.to_dict().items() if value is not None}
