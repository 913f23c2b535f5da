"""The decorator that makes a capability of a function, and leaves the function as it is."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from types import CodeType
from typing import Any, Literal, ParamSpec, Protocol, TypeVar, cast

from . import _core, _schemas
from ._check import invalid
from ._records import Binding, Descriptor, Retry

__all__ = ["Capability", "capability"]

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


class Capability(Protocol[P, R_co]):
    """A decorated function: still the function, with its contract beside it."""

    descriptor: Descriptor
    __clew_ref__: str
    __clew_binding__: Binding

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...


def capability(
    id: str,  # noqa: A002 - the word of contracts
    *,
    version: str,
    effect: Literal["pure", "idempotent", "once"] = "idempotent",
    timeout: float | timedelta | str | None = None,
    retry: Retry | None = None,
    max_concurrency: int | None = None,
    emits: Sequence[str] = (),
    tags: Sequence[str] = (),
    inputs: Any = None,
    outputs: Any = None,
    executor: str | None = None,
    permitted_targets: Sequence[str] | None = None,
    summary: str | None = None,
    description: str | None = None,
    owner: Mapping[str, str] | None = None,
    lifecycle: Literal["draft", "active", "deprecated", "retired", "archived"] | None = None,
    service_type: Literal["stateless", "subscribable", "stateful"] | None = None,
    event_trigger: str | None = None,
    consumes: Sequence[str] = (),
    permissions: Sequence[str] = (),
    preferred_targets: Sequence[str] = (),
    connectors: Sequence[str | Mapping[str, str]] = (),
    dependencies: Sequence[str] = (),
    constraints: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Callable[[Callable[P, R_co]], Capability[P, R_co]]:
    """Make a capability of a function. Returns the function itself.

    Its parameters become the members of the input object, its hints its schema. A parameter
    annotated with `clew.Context` takes the context instead. Calls bring JSON: what the hints say
    beyond that (dataclasses, enums, datetimes, sets) is converted before the function runs, and its
    result back. An ``int`` given where the hint says ``float`` stays one.

    Args:
        id: Dotted words, such as ``"text.words"``.
        version: A semantic version, such as ``"1.2.0"``.
        effect: ``"pure"`` may be repeated and reused freely, ``"idempotent"`` repeated with the
            same key, ``"once"`` is never repeated by itself.
        timeout: From the call to its outcome, waiting included: a duration above zero.
        retry: What steps of workflows do after a failure. Default: one try.
        max_concurrency: Most calls at one time, 1 to 1_000_000.
        emits: Events that it may emit: ``"text.counted@1.0.0"``, or the type alone.
        tags: Words to find it by.
        inputs: A JSON Schema (or type) of the input object, instead of that of the hints.
        outputs: The same for the output.
        executor: The only executor that may run it.
        permitted_targets: Where it may run. Default: ``("local",)``.
        summary: What it does. Default: the first line of the docstring.
        description: The same at length.
        owner: ``{"team": …, "contact": …}``.
        lifecycle: Default: ``"active"``. Only active and deprecated versions run.
        service_type: Default: ``"stateless"``. A ``"subscribable"`` one names its `event_trigger`,
            a ``"stateful"`` one never runs in a browser.
        event_trigger: The event that a subscribable capability is meant for. A declaration: events
            start no calls by themselves.
        consumes: Events that it reads.
        permissions: Words for what it may do.
        preferred_targets: Hints among the permitted targets, best first.
        connectors: Connectors that it uses: ``"db@^1"``.
        dependencies: Capabilities that it calls: ``"text.words@^1"``. A call is refused unless
            they are there, and what they need in turn.
        constraints: What a sandbox grants and limits.
        provenance: Where it came from.

    Raises:
        InvalidInput: Anything of this is not as it must be; the context names path, value and what
            was expected. Raised where the decorator stands.

    Example:
        >>> @clew.capability("text.shout", version="1.0.0", effect="pure", timeout="5s")
        ... def shout(text: str, times: int = 1) -> str:
        ...     return text.upper() + "!" * times
        >>> shout("hey"), shout.descriptor.inputs["required"]
        ('HEY!', ['text'])
        >>> _ = rt.register(shout)
        >>> rt.execute(shout, {"text": "hey", "times": 3})
        'HEY!!!'
    """
    # A name in a textual annotation may be local to where the decorator stands.
    local_names = dict(sys._getframe(1).f_locals)
    given = {
        "id": id,
        "version": version,
        "effect": effect,
        "summary": summary,
        "timeout": timeout if timeout is None else _core.parse_duration(timeout, "timeout"),
        "retry": _retry_document(retry),
        "max_concurrency": max_concurrency,
        "inputs": _override(inputs, "inputs"),
        "outputs": _override(outputs, "outputs"),
        "emits": _strings("emits", emits),
        "tags": _strings("tags", tags),
        "permitted_targets": _strings("permitted_targets", permitted_targets),
        "executor": executor,
        "description": description,
        "owner": owner,
        "lifecycle": lifecycle,
        "service_type": service_type,
        "event_trigger": event_trigger,
        "consumes": _strings("consumes", consumes),
        "permissions": _strings("permissions", permissions),
        "preferred_targets": _strings("preferred_targets", preferred_targets),
        "connectors": _strings("connectors", connectors),
        "dependencies": _strings("dependencies", dependencies),
        "constraints": constraints,
        "provenance": provenance,
    }
    for path, value in given.items():
        if callable(value):  # such as the function, when the decorator has no parentheses
            raise invalid(path, value, "JSON; write @clew.capability(id, version=…)")
    document = {key: value for key, value in given.items() if value is not None}
    _core.check_contract(document)

    def decorate(function: Callable[P, R_co]) -> Capability[P, R_co]:
        return _decorate(function, document, local_names)

    return decorate


def _retry_document(retry: Any) -> dict[str, Any] | None:
    if retry is None:
        return None
    if not isinstance(retry, Retry):
        raise invalid("retry", retry, "a clew.Retry")
    return retry.to_dict()


def _strings(path: str, given: Any) -> list[Any] | None:
    if given is None:
        return None
    if not isinstance(given, (list, tuple)):
        raise invalid(path, given, "a list of strings")
    return list(given) or None if path != "permitted_targets" else list(given)


def _override(given: Any, path: str) -> Any:
    if given is None or isinstance(given, (dict, bool)):
        return given
    if isinstance(given, (str, bytes, int, float, list, tuple)):
        raise invalid(path, given, "a JSON Schema or a type")
    return _schemas.schema_of(given, path)


def _decorate(
    function: Callable[P, R_co], document: dict[str, Any], local_names: dict[str, Any]
) -> Capability[P, R_co]:
    _check_function(function)
    lenient = tuple(key for key in ("inputs", "outputs") if key in document)
    signature = _schemas.read_signature(function, local_names, lenient=lenient)
    complete = {"inputs": signature.inputs, "outputs": signature.outputs, **document}
    if "summary" not in complete and (doc := inspect.getdoc(function)):
        complete["summary"] = doc.partition("\n")[0].strip()
    normal = _core.check_contract(complete)
    made = cast("Capability[P, R_co]", function)
    descriptor = Descriptor.of(normal)
    try:
        made.descriptor = descriptor
        made.__clew_ref__ = f"{descriptor.id}@{descriptor.version}"
        made.__clew_binding__ = _binding(function, signature)
    except (AttributeError, TypeError) as error:
        raise invalid("function", function, "a function that can carry attributes") from error
    return made


def _binding(function: Callable[..., Any], signature: _schemas.Signature) -> Binding:
    return Binding(
        function,
        "async" if inspect.iscoroutinefunction(inspect.unwrap(function)) else "python",
        signature.context,
        signature.decode,
        signature.encode,
        fingerprint(function),
    )


def bind(function: Any) -> Binding:
    """Return how calls reach a function whose contract stands elsewhere."""
    made = getattr(function, "__clew_binding__", None)
    if isinstance(made, Binding):
        return made
    _check_function(function)
    return _binding(function, _schemas.read_signature(function, {}, lenient=("inputs", "outputs")))


def _check_function(function: Any) -> None:
    if not callable(function) or isinstance(function, type):
        raise invalid("function", function, "a function")
    plain = inspect.unwrap(function)
    if inspect.isgeneratorfunction(plain) or inspect.isasyncgenfunction(plain):
        raise invalid("function", function, "a function that returns, not one that yields")
    if hasattr(function, "__clew_binding__"):
        raise invalid("function", function, f"one that is not {function.__clew_ref__} already")


def fingerprint(function: Callable[..., Any]) -> str:
    """Return by what a changed function is told from an unchanged one.

    Its code, constants and defaults count, and those of what it wraps; where it stands in its file
    and what it closes over do not.
    """
    seen = hashlib.sha256()
    at: Any = function
    while at is not None:
        code = getattr(at, "__code__", None)
        if code is None:
            kind = type(at)
            seen.update(f"{kind.__module__}.{kind.__qualname__}".encode())
        else:
            seen.update(_code_text(code).encode())
        defaults = (getattr(at, "__defaults__", None), getattr(at, "__kwdefaults__", None))
        seen.update(_constant(defaults).encode())
        at = getattr(at, "__wrapped__", None)
    return seen.hexdigest()


def _code_text(code: CodeType) -> str:
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    return f"{code.co_code.hex()}{names}{counts}{_constant(code.co_consts)}"


def _constant(value: Any) -> str:
    """Return text that is the same for the same constant, in every process."""
    if isinstance(value, CodeType):
        return _code_text(value)
    if isinstance(value, (tuple, list)):
        return f"({','.join(map(_constant, value))})"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key!r}:{_constant(one)}' for key, one in value.items())}}}"
    if isinstance(value, frozenset):
        return f"{{{','.join(sorted(map(_constant, value)))}}}"
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        return f"{type(value).__name__}:{value!r}"
    return type(value).__qualname__
