"""Clew: a durable, concurrent runtime for capabilities, workflows and agents.

    import clew

    @clew.capability("text.words", version="1.2.0")
    def words(doc: str) -> int:
        return len(doc.split())

    with clew.Runtime("work.db") as rt:
        rt.register(words)
        rt.execute("text.words@^1", {"doc": "a b c"})  # 3

Importing it loads the extension module and nothing else; each name is fetched at its first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

# In this order: the first refuses where the second would hang.
from . import _alone as _alone
from . import _core as _core
from ._core import ManualClock, __version__
from ._errors import (
    Ambiguous,
    Cancelled,
    ClewError,
    Closed,
    Conflict,
    Corrupt,
    ExecutionFailed,
    Internal,
    InvalidInput,
    NoEligibleTarget,
    NotFound,
    Rejected,
    ResourceExhausted,
    StaleLease,
    Timeout,
    Unavailable,
    UnknownOutcome,
    Unsupported,
)

if TYPE_CHECKING:
    from ._call import Call
    from ._capability import capability
    from ._context import Context
    from ._events import Event, Subscription
    from ._records import (
        Candidate,
        CapabilityInfo,
        Descriptor,
        EventType,
        Hop,
        Page,
        Placement,
        PlacementCandidate,
        Problem,
        Registration,
        Retry,
        RunEvent,
        RunInfo,
        Step,
        Trace,
    )
    from ._run import Run
    from ._runtime import Runtime
    from ._workflow import Workflow, load
    from ._workspace import Workspace

__all__ = [
    "Ambiguous",
    "Call",
    "Cancelled",
    "Candidate",
    "CapabilityInfo",
    "ClewError",
    "Closed",
    "Conflict",
    "Context",
    "Corrupt",
    "Descriptor",
    "Event",
    "EventType",
    "ExecutionFailed",
    "Hop",
    "Internal",
    "InvalidInput",
    "ManualClock",
    "NoEligibleTarget",
    "NotFound",
    "Page",
    "Placement",
    "PlacementCandidate",
    "Problem",
    "Registration",
    "Rejected",
    "ResourceExhausted",
    "Retry",
    "Run",
    "RunEvent",
    "RunInfo",
    "Runtime",
    "StaleLease",
    "Step",
    "Subscription",
    "Timeout",
    "Trace",
    "Unavailable",
    "UnknownOutcome",
    "Unsupported",
    "Workflow",
    "Workspace",
    "__version__",
    "capability",
    "load",
]

# Where each name that is fetched at its first use lives.
_HOMES = {
    "Call": "_call",
    "Candidate": "_records",
    "CapabilityInfo": "_records",
    "Context": "_context",
    "Descriptor": "_records",
    "Event": "_events",
    "EventType": "_records",
    "Hop": "_records",
    "Page": "_records",
    "Placement": "_records",
    "PlacementCandidate": "_records",
    "Problem": "_records",
    "Registration": "_records",
    "Retry": "_records",
    "Run": "_run",
    "RunEvent": "_records",
    "RunInfo": "_records",
    "Runtime": "_runtime",
    "Step": "_records",
    "Subscription": "_events",
    "Trace": "_records",
    "Workflow": "_workflow",
    "Workspace": "_workspace",
    "capability": "_capability",
    "load": "_workflow",
}
_SUBMODULES = ("aio", "stores", "testing")


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None and name not in _SUBMODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module = import_module(f"{__name__}.{home or name}")
    found = getattr(module, name) if home else module
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_SUBMODULES})
