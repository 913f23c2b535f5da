"""From type hints to JSON Schema and back: what a function takes and gives, as JSON.

msgspec reads the types; pydantic, when it is installed, reads those that msgspec does not know,
such as its own models. Hints that are plain JSON need no conversion, and then there is none.
"""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from . import _core
from ._check import invalid, preview
from ._context import Context
from ._errors import InvalidInput

__all__ = ["Signature", "read_signature", "schema_of"]

Convert = Callable[[Any], Any]
TEMPLATE = "#/$defs/{name}"


class Signature(NamedTuple):
    """A function's inputs and output: schemas, and conversions where JSON is not enough."""

    inputs: dict[str, Any]
    outputs: Any
    decode: Callable[[dict[str, Any]], dict[str, Any]] | None
    encode: Convert | None
    context: str | None


class _Typed(NamedTuple):
    """One type as a backend understands it; a conversion is None where none is needed."""

    schema: dict[str, Any]
    defs: dict[str, Any]
    decode: Convert | None
    encode: Convert | None


def schema_of(hint: Any, path: str = "schema") -> dict[str, Any]:
    """Return the JSON Schema of a type. `InvalidInput` when it has none."""
    read = _read_type(hint, path)
    return _with_defs(dict(read.schema), read.defs)


def read_signature(
    function: Callable[..., Any], local_names: Mapping[str, Any], *, lenient: tuple[str, ...] = ()
) -> Signature:
    """Read a function's parameters and result.

    Args:
        function: It must be callable with keyword arguments alone.
        local_names: What names in textual annotations may mean beside the function's globals.
        lenient: ``"inputs"``, ``"outputs"``: there a type without a schema is taken as any value.

    Raises:
        InvalidInput: A parameter cannot be given by name, a name is unknown, a type has no schema.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise invalid("function", function, "a function whose parameters can be read") from error
    hints = _hints(function, signature, local_names)
    context = _context_parameter(signature, hints)
    inputs, decode = _read_inputs(signature, hints, context, "inputs" in lenient)
    result = _Typed({}, {}, None, None)
    if "return" in hints:
        result = _read_type(hints["return"], "return", "outputs" in lenient, output=True)
    outputs = _with_defs(dict(result.schema), result.defs)
    return Signature(inputs, outputs or True, decode, result.encode, context)


# --- parameters ---------------------------------------------------------------------------------


def _hints(
    function: Callable[..., Any], signature: inspect.Signature, local_names: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the annotations with names looked up; what stays away has none."""
    found = {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if parameter.annotation is not parameter.empty
    }
    if signature.return_annotation is not signature.empty:
        found["return"] = signature.return_annotation
    global_names = getattr(inspect.unwrap(function), "__globals__", {})
    return {name: _looked_up(name, hint, global_names, local_names) for name, hint in found.items()}


def _looked_up(
    name: str, hint: Any, global_names: dict[str, Any], local_names: Mapping[str, Any]
) -> Any:
    if isinstance(hint, str) and hint in ("Context", "clew.Context") and name != "return":
        return Context  # imported for type checkers only, perhaps

    class Holder:
        pass

    Holder.__annotations__ = {name: hint}
    try:
        return typing.get_type_hints(
            Holder, globalns=global_names, localns=dict(local_names), include_extras=True
        )[name]
    except Exception as error:
        raise invalid(
            name, hint, "an annotation whose names are known", reason=str(error)
        ) from error


def _context_parameter(signature: inspect.Signature, hints: dict[str, Any]) -> str | None:
    found: list[str] = []
    for name in signature.parameters:
        hint = hints.get(name)
        if hint is Context or Context in typing.get_args(hint):
            found.append(name)
    if len(found) > 1:
        raise invalid(found[1], "clew.Context", "at most one parameter that takes the context")
    return found[0] if found else None


def _read_inputs(
    signature: inspect.Signature, hints: dict[str, Any], context: str | None, lenient: bool
) -> tuple[dict[str, Any], Callable[[dict[str, Any]], dict[str, Any]] | None]:
    properties: dict[str, Any] = {}
    required: list[str] = []
    defs: dict[str, Any] = {}
    decoders: dict[str, Convert] = {}
    others: Any = False
    other_decoder: Convert | None = None
    for name, parameter in signature.parameters.items():
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL):
            raise invalid(name, str(parameter), "a parameter that can be given by name")
        if name == context:
            continue
        read = _Typed({}, {}, None, None)
        if name in hints:
            read = _read_type(hints[name], name, lenient)
        _merge(defs, read.defs, name)
        if parameter.kind is parameter.VAR_KEYWORD:
            others, other_decoder = read.schema or True, read.decode
            continue
        properties[name] = dict(read.schema)
        if parameter.default is parameter.empty:
            required.append(name)
        else:
            _note_default(properties[name], parameter.default, read.encode)
        if read.decode is not None:
            decoders[name] = read.decode
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        schema["required"] = required
    if others is not True:
        schema["additionalProperties"] = others
    return _with_defs(schema, defs), _decoder(decoders, other_decoder, frozenset(properties))


def _note_default(schema: dict[str, Any], default: Any, encode: Convert | None) -> None:
    """Say the default where JSON can: it explains; the function itself supplies it."""
    try:
        schema["default"] = _core.roundtrip(default if encode is None else encode(default))
    except Exception:  # noqa: BLE001 - a default that is no JSON is the function's own affair
        schema.pop("default", None)


def _decoder(
    decoders: dict[str, Convert], others: Convert | None, named: frozenset[str]
) -> Callable[[dict[str, Any]], dict[str, Any]] | None:
    if not decoders and others is None:
        return None

    def decode(given: dict[str, Any]) -> dict[str, Any]:
        for name in given:
            convert = decoders.get(name) if name in named else others
            if convert is not None:
                try:
                    given[name] = convert(given[name])
                except (ValueError, TypeError) as error:
                    raise _refusal(name, given[name], error) from error
        return given

    return decode


def _refusal(name: str, value: Any, error: Exception) -> InvalidInput:
    """Return the error for a value that its type refused although its schema did not."""
    path = f"input.{name}"
    problems = getattr(error, "errors", None)
    if callable(problems) and (all_problems := problems()):  # pydantic
        path += "".join(
            f"[{part}]" if isinstance(part, int) else f".{part}" for part in all_problems[0]["loc"]
        )
        return _refused(path, value, str(all_problems[0]["msg"]))
    said, _, place = str(error).partition(" - at `$")
    return _refused(path + place.rstrip("`"), value, said or type(error).__name__)


def _refused(path: str, value: Any, reason: str) -> InvalidInput:
    context = {"path": path, "value": preview(value), "expected": "what its type accepts"}
    return InvalidInput(f"{path}: {reason}", context | {"reason": reason})


# --- types --------------------------------------------------------------------------------------


def _read_type(hint: Any, path: str, lenient: bool = False, output: bool = False) -> _Typed:
    if hint is object:
        hint = Any
    try:
        own = _with_own_bounds(hint) if _has_foreign_bounds(hint, set()) else hint
        read = _by_msgspec(own)
    except Exception as first:  # noqa: BLE001 - whatever a type's own hooks raise
        try:
            read = _by_pydantic(hint, output)
        except Exception as second:  # noqa: BLE001 - the same
            if lenient:
                return _Typed({}, {}, None, None)
            reason = str(first) if isinstance(second, ImportError) else str(second)
            raise invalid(
                path, hint, "a type that JSON Schema can describe", reason=reason
            ) from first
    for schema in (read.schema, *read.defs.values()):
        _close(schema)
    try:
        _core.check_schema(_with_defs(dict(read.schema), read.defs), path)
    except Exception:
        if lenient:
            return read._replace(schema={}, defs={})
        raise
    return read


def _by_msgspec(hint: Any) -> _Typed:
    (schema,), defs = msgspec.json.schema_components([hint], ref_template=TEMPLATE)
    info = msgspec.inspect.type_info(hint)

    def decode(value: Any) -> Any:
        return _with_defaults(msgspec.convert(value, hint))

    def encode(value: Any) -> Any:
        return msgspec.to_builtins(_with_defaults(value), str_keys=True)

    return _Typed(
        schema,
        defs,
        None if _is_plain(info, into=True) else decode,
        None if _is_plain(info, into=False) else encode,
    )


def _with_defaults(value: Any) -> Any:
    """Return ``value`` with the defaults of the dataclasses in it kept in the instances too.

    What stands on the class alone msgspec neither sets when it makes an instance nor sees when it
    reads one, be that made by itself or by a constructor that leaves such a field out.
    """
    waiting = [value]
    seen: set[int] = set()  # so that a cycle is left to whoever converts it
    while waiting:
        one = waiting.pop()
        if one is None or isinstance(one, (str, int, float, bytes)) or id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, Mapping):
            waiting += one.values()
        elif isinstance(one, (list, tuple, set, frozenset)):
            waiting += one
        elif isinstance(one, msgspec.Struct):
            waiting += (getattr(one, name, None) for name in one.__struct_fields__)
        elif dataclasses.is_dataclass(one) and not isinstance(one, type):
            waiting += _fields_set(one)
    return value


def _fields_set(instance: Any) -> list[Any]:
    """Set what a dataclass has by default only; return the values of its fields."""
    own = getattr(instance, "__dict__", None)  # None with slots: those hold their defaults
    found = []
    for field in dataclasses.fields(instance):
        if own is not None and field.default is not dataclasses.MISSING:
            own.setdefault(field.name, field.default)
        found.append(getattr(instance, field.name, None))
    return found


def _by_pydantic(hint: Any, output: bool) -> _Typed:
    """Read a type with pydantic. ImportError without it."""
    import pydantic

    adapter: Any = pydantic.TypeAdapter(hint)
    mode = "serialization" if output else "validation"
    schema = adapter.json_schema(ref_template="#/$defs/{model}", mode=mode)
    defs = schema.pop("$defs", {})

    def encode(value: Any) -> Any:
        return adapter.dump_python(value, mode="json", by_alias=True)

    return _Typed(schema, defs, adapter.validate_python, encode)


def _is_plain(info: Any, *, into: bool) -> bool:
    """Whether values of a type are JSON as they are. A tuple is when it comes out of Python."""
    kinds = msgspec.inspect
    if isinstance(info, kinds.Metadata):
        return _is_plain(info.type, into=into)
    if isinstance(info, kinds.UnionType):
        return all(_is_plain(one, into=into) for one in info.types)
    if isinstance(info, kinds.ListType):
        return _is_plain(info.item_type, into=into)
    if isinstance(info, kinds.VarTupleType):
        return not into and _is_plain(info.item_type, into=into)
    if isinstance(info, kinds.TupleType):
        return not into and all(_is_plain(one, into=into) for one in info.item_types)
    if isinstance(info, kinds.DictType):
        return isinstance(info.key_type, (kinds.StrType, kinds.AnyType)) and _is_plain(
            info.value_type, into=into
        )
    plain = (kinds.IntType, kinds.StrType, kinds.FloatType, kinds.BoolType, kinds.NoneType)
    return isinstance(info, (*plain, kinds.AnyType, kinds.LiteralType))


def _close(schema: Any) -> None:
    """Refuse members that a record does not name: they would be dropped without a word."""
    if isinstance(schema, list):
        for one in schema:
            _close(one)
    elif isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict):
            schema.setdefault("additionalProperties", False)
            for one in schema["properties"].values():
                _close(one)
        for key in ("items", "prefixItems", "anyOf", "oneOf", "allOf", "additionalProperties"):
            _close(schema.get(key))


def _with_defs(schema: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    if defs:
        schema["$defs"] = defs
    return schema


def _merge(defs: dict[str, Any], more: dict[str, Any], path: str) -> None:
    for name, schema in more.items():
        if defs.setdefault(name, schema) != schema:
            raise invalid(path, name, "no two types of one name that differ")


# --- bounds of other libraries --------------------------------------------------------------------

_BOUNDS = ("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "pattern")


def _is_foreign(metadata: Any) -> bool:
    """Whether an annotation promises something that msgspec would not see."""
    home = type(metadata).__module__.partition(".")[0]
    return home in ("annotated_types", "pydantic")


def _has_foreign_bounds(hint: Any, seen: set[int]) -> bool:
    """Look for bounds in a type, also in the fields of records."""
    if id(hint) in seen:
        return False
    seen.add(id(hint))
    if any(map(_is_foreign, getattr(hint, "__metadata__", ()))):
        return True
    inner = list(typing.get_args(hint))
    if hasattr(hint, "__metadata__"):
        inner.append(hint.__origin__)
    if isinstance(hint, type) and "__annotations__" in vars(hint):
        try:
            inner += typing.get_type_hints(hint, include_extras=True).values()
        except NameError:  # the libraries will say it better
            return False
    return any(_has_foreign_bounds(one, seen) for one in inner)


def _with_own_bounds(hint: Any) -> Any:
    """Say bounds of ``annotated_types`` (and pydantic's ``Field``) in msgspec's words.

    TypeError for what it has no words for, such as predicates and the fields of records.
    """
    metadata = getattr(hint, "__metadata__", None)
    if metadata is not None:
        said: dict[str, Any] = {}
        kept = []
        for one in metadata:
            if not _is_foreign(one):
                kept.append(one)
                continue
            for part in getattr(one, "metadata", [one]):
                said.update(_bounds_of(part))
        parts = (_with_own_bounds(hint.__origin__), *kept, msgspec.Meta(**said))
        return typing.Annotated[parts]
    if _has_foreign_bounds(hint, set()):
        arguments = tuple(map(_with_own_bounds, typing.get_args(hint)))
        origin = typing.get_origin(hint)
        if not arguments or origin is None:
            raise TypeError(f"{hint!r} has bounds that only pydantic reads")
        if origin is typing.Union or type(hint).__name__ == "UnionType":
            return typing.Union[arguments]  # noqa: UP007 - there is no other way to make one
        return origin[arguments]
    return hint


def _bounds_of(part: Any) -> dict[str, Any]:
    found = {name: getattr(part, name) for name in _BOUNDS if getattr(part, name, None) is not None}
    if not found:
        raise TypeError(f"{part!r} is a bound that only pydantic reads")
    return found
