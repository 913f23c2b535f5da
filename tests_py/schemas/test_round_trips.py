"""From type hints to schemas, and values through a whole call and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal, NamedTuple, Optional, TypedDict, Union
from uuid import UUID

import clew
import msgspec
import pytest
from clew import _core, _schemas


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


@dataclass
class Point:
    x: int
    y: float = 0.0


@dataclass
class Line:
    ends: list[Point]
    colour: Colour = Colour.RED
    seen: set[str] = field(default_factory=set)
    next: Optional[Line] = None  # noqa: UP045 - as users write it


class Movie(TypedDict):
    title: str
    year: int


class Pair(NamedTuple):
    left: int
    right: str = "r"


INT = {"type": "integer"}
STR = {"type": "string"}

# A hint, its schema, a value as JSON, and what the function sees.
PLAIN: list[tuple[Any, Any, Any]] = [
    (int, INT, 3),
    (str, STR, "a"),
    (bool, {"type": "boolean"}, True),
    (float, {"type": "number"}, 1.5),
    (None, {"type": "null"}, None),
    (Any, {}, {"a": [1]}),
    (object, {}, [1]),
    (list, {"type": "array"}, [1, "a"]),
    (dict, {"type": "object"}, {"a": 1}),
    (list[int], {"type": "array", "items": INT}, [1, 2]),
    (dict[str, int], {"type": "object", "additionalProperties": INT}, {"a": 1}),
    (Sequence[int], {"type": "array", "items": INT}, [1]),
    (Mapping[str, int], {"type": "object", "additionalProperties": INT}, {"a": 1}),
    (Optional[int], {"anyOf": [INT, {"type": "null"}]}, None),  # noqa: UP045 - as users write it
    (Union[int, str], {"anyOf": [INT, STR]}, "a"),  # noqa: UP007 - as users write it
    (int | str, {"anyOf": [INT, STR]}, 4),
    (Literal["a", "b"], {"enum": ["a", "b"]}, "b"),
    (Annotated[int, msgspec.Meta(ge=1, le=9)], {"type": "integer", "minimum": 1, "maximum": 9}, 9),
    (Annotated[str, "what it is"], STR, "x"),
]
CONVERTED: list[tuple[Any, Any, Any]] = [
    (Colour, "red", Colour.RED),
    (Level, 2, Level.HIGH),
    (Point, {"x": 1, "y": 2.5}, Point(1, 2.5)),
    (
        Line,
        {"ends": [{"x": 1, "y": 0.0}], "colour": "blue", "seen": ["a"], "next": None},
        Line([Point(1)], Colour.BLUE, {"a"}),
    ),
    (Movie, {"title": "Alien", "year": 1979}, {"title": "Alien", "year": 1979}),
    (Pair, [1, "b"], Pair(1, "b")),
    (tuple[int, str], [1, "a"], (1, "a")),
    (tuple[int, ...], [1, 2], (1, 2)),
    (set[int], [7], {7}),
    (frozenset[str], ["a"], frozenset({"a"})),
    (datetime, "2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)),
    (date, "2026-01-02", date(2026, 1, 2)),
    (timedelta, "PT90S", timedelta(seconds=90)),
    (UUID, "12345678-1234-5678-1234-567812345678", UUID("12345678-1234-5678-1234-567812345678")),
    (Decimal, "1.50", Decimal("1.50")),
    (bytes, "aGk=", b"hi"),
    (dict[str, Point], {"a": {"x": 1, "y": 0.0}}, {"a": Point(1)}),
    (Point | None, None, None),
]


def echo(hint: Any, seen: list[Any]) -> Callable[..., Any]:
    def handler(value: Any) -> Any:
        seen.append(value)
        return value

    handler.__annotations__.update({"value": hint, "return": hint})
    return clew.capability("test.echo", version="1.0.0")(handler)


def ids(case: tuple[Any, ...]) -> str:
    return str(case[0])


@pytest.mark.parametrize("case", PLAIN, ids=ids)
def test_plain_hints_have_their_schema_and_no_conversion(
    clew_runtime: clew.Runtime, case: tuple[Any, Any, Any]
) -> None:
    hint, schema, value = case
    seen: list[Any] = []
    function = echo(hint, seen)
    binding = function.__clew_binding__

    assert function.descriptor.inputs["properties"]["value"] == schema
    assert (binding.decode, binding.encode) == (None, None)
    clew_runtime.register(function)
    assert clew_runtime.execute("test.echo", {"value": value}) == value
    assert seen == [value]


@pytest.mark.parametrize("case", CONVERTED, ids=ids)
def test_converted_hints_arrive_as_their_type_and_go_back_as_json(
    clew_runtime: clew.Runtime, case: tuple[Any, Any, Any]
) -> None:
    hint, value, arrives = case
    seen: list[Any] = []
    clew_runtime.register(echo(hint, seen))

    assert clew_runtime.execute("test.echo", {"value": value}) == value
    assert seen == [arrives]
    assert type(seen[0]) is type(arrives)


@pytest.mark.parametrize("case", [*PLAIN, *CONVERTED], ids=ids)
def test_every_schema_passes_the_core(case: tuple[Any, ...]) -> None:
    _core.check_schema(_schemas.schema_of(case[0]))


REFUSED: list[tuple[Any, Any]] = [
    (int, "3"),
    (int, True),
    (bool, 1),
    (str, None),
    (float, "1"),
    (list[int], [1, "a"]),
    (Literal["a"], "b"),
    (Colour, "green"),
    (Point, {"y": 1.0}),
    (Point, {"x": 1, "z": 1}),
    (Line, {"ends": [{"x": "a"}]}),
    (Movie, {"title": "a"}),
    (tuple[int, str], [1]),
    (datetime, "yesterday"),
    (UUID, "1234"),
    (Annotated[int, msgspec.Meta(ge=1)], 0),
    (Annotated[str, msgspec.Meta(min_length=2)], "a"),
]


@dataclass(frozen=True)
class Frozen:
    a: int
    b: str = "b"


@dataclass(slots=True)
class Slotted:
    a: int
    b: str = "b"


@dataclass
class Counted:
    a: int
    b: int = field(default=7, init=False)
    c: list[Point] = field(default_factory=lambda: [Point(1)])


class Plain(msgspec.Struct):
    a: int
    b: Point = msgspec.field(default_factory=lambda: Point(2))


class Sparse(TypedDict, total=False):
    a: int
    b: list[Frozen]


# What is given, and what comes back from a function that returns it.
SPARSE: list[tuple[Any, Any, Any]] = [
    (Point, {"x": 1}, {"x": 1, "y": 0.0}),
    (Frozen, {"a": 1}, {"a": 1, "b": "b"}),
    (Slotted, {"a": 1}, {"a": 1, "b": "b"}),
    (Counted, {"a": 1}, {"a": 1, "b": 7, "c": [{"x": 1, "y": 0.0}]}),
    (Plain, {"a": 1}, {"a": 1, "b": {"x": 2, "y": 0.0}}),
    (Sparse, {"b": [{"a": 1}]}, {"b": [{"a": 1, "b": "b"}]}),
    (Pair, [1], [1, "r"]),
    (
        Line,
        {"ends": [{"x": 1}], "next": {"ends": []}},
        {
            "ends": [{"x": 1, "y": 0.0}],
            "colour": "red",
            "seen": [],
            "next": {"ends": [], "colour": "red", "seen": [], "next": None},
        },
    ),
    (list[Point], [{"x": 1}], [{"x": 1, "y": 0.0}]),
    (dict[str, Point], {"a": {"x": 1}}, {"a": {"x": 1, "y": 0.0}}),
    (Point | None, {"x": 1}, {"x": 1, "y": 0.0}),
    (tuple[Point, int], [{"x": 1}, 2], [{"x": 1, "y": 0.0}, 2]),
]


@pytest.mark.parametrize("case", SPARSE, ids=lambda case: str(case[0]))
def test_a_field_with_a_default_is_never_lost(
    clew_runtime: clew.Runtime, case: tuple[Any, Any, Any]
) -> None:
    hint, given, whole = case
    seen: list[Any] = []
    clew_runtime.register(echo(hint, seen))

    assert clew_runtime.execute("test.echo", {"value": given}) == whole


def test_a_converted_dataclass_is_as_its_constructor_makes_it(clew_runtime: clew.Runtime) -> None:
    seen: list[Any] = []
    clew_runtime.register(echo(Point, seen))
    clew_runtime.execute("test.echo", {"value": {"x": 1}})

    assert vars(seen[0]) == vars(Point(1))


def test_a_dataclass_of_pydantic_keeps_its_defaults(clew_runtime: clew.Runtime) -> None:
    pydantic = pytest.importorskip("pydantic")

    @pydantic.dataclasses.dataclass
    class Made:
        x: int
        y: float = 1.5

    @clew.capability("test.made", version="1.0.0")
    def handler(made: Made) -> Made:
        return made

    clew_runtime.register(handler)
    assert clew_runtime.execute(handler, {"made": {"x": 1}}) == {"x": 1, "y": 1.5}


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_a_value_of_another_type_never_reaches_the_function(
    clew_runtime: clew.Runtime, case: tuple[Any, Any]
) -> None:
    hint, value = case
    seen: list[Any] = []
    clew_runtime.register(echo(hint, seen))

    with pytest.raises(clew.InvalidInput) as raised:
        clew_runtime.execute("test.echo", {"value": value})

    assert raised.value.context["path"].startswith("input.value")
    assert seen == []


def test_defaults_are_the_functions_own(clew_runtime: clew.Runtime) -> None:
    @clew.capability("test.defaults", version="1.0.0")
    def handler(a: int, b: list[int] | None = None, c: Colour = Colour.BLUE, **more: int) -> Any:
        return [a, b, c.value, more]

    clew_runtime.register(handler)
    inputs = handler.descriptor.inputs
    assert inputs["required"] == ["a"]
    assert (inputs["properties"]["b"]["default"], inputs["properties"]["c"]["default"]) == (
        None,
        "blue",
    )
    assert inputs["additionalProperties"] == INT

    assert clew_runtime.execute(handler, {"a": 1}) == [1, None, "blue", {}]
    assert clew_runtime.execute(handler, {"a": 1, "c": "red", "z": 2}) == [1, None, "red", {"z": 2}]
    with pytest.raises(clew.InvalidInput):
        clew_runtime.execute(handler, {"a": 1, "z": "text"})


def test_members_beyond_the_named_are_converted_too(clew_runtime: clew.Runtime) -> None:
    seen: list[Any] = []

    @clew.capability("test.more", version="1.0.0")
    def handler(a: int, **more: Colour) -> None:
        seen.append((a, more))

    clew_runtime.register(handler)
    clew_runtime.execute("test.more", {"a": 1, "b": "red"})
    assert seen == [(1, {"b": Colour.RED})]


def test_an_annotation_beats_nothing_and_an_override_beats_an_annotation() -> None:
    @clew.capability("test.over", version="1.0.0", inputs={"type": "object"}, outputs=Point)
    def handler(a: range, b: Point):  # type: ignore[no-untyped-def]  # that is the point
        return a, b

    assert handler.descriptor.inputs == {"type": "object"}
    assert handler.descriptor.outputs == _schemas.schema_of(Point)
    assert set(handler.__clew_binding__.decode({"a": 1, "b": {"x": 1}})) == {"a", "b"}


def test_a_hint_may_name_what_is_local_to_the_decorator(clew_runtime: clew.Runtime) -> None:
    @dataclass
    class Local:
        a: int

    @clew.capability("test.local", version="1.0.0")
    def handler(one: Local) -> Local:
        return Local(one.a + 1)

    clew_runtime.register(handler)
    assert clew_runtime.execute("test.local", {"one": {"a": 1}}) == {"a": 2}


@pytest.mark.parametrize("hint", ["Context", "clew.Context", clew.Context])
def test_the_context_is_found_by_annotation_and_is_no_input(
    clew_runtime: clew.Runtime, hint: Any
) -> None:
    def handler(a: int, given: Any) -> list[Any]:
        return [a, given.capability, given.attempt]

    handler.__annotations__["given"] = hint
    clew_runtime.register(clew.capability("test.context", version="1.0.0")(handler))

    assert clew_runtime.execute("test.context", {"a": 1}) == [1, "test.context@1.0.0", 1]
    with pytest.raises(clew.InvalidInput):
        clew_runtime.execute("test.context", {"a": 1, "given": 1})


def test_annotated_types_are_bounds_too() -> None:
    bounds = pytest.importorskip("annotated_types")
    hint = Annotated[list[Annotated[int, bounds.Ge(1)]], bounds.MaxLen(3)]
    assert _schemas.schema_of(hint) == {
        "type": "array",
        "items": {"type": "integer", "minimum": 1},
        "maxItems": 3,
    }


def test_pydantic_models_go_both_ways(clew_runtime: clew.Runtime) -> None:
    pydantic = pytest.importorskip("pydantic")

    class User(pydantic.BaseModel):  # type: ignore[misc, name-defined]  # optional at run time
        name: str
        age: int = pydantic.Field(ge=0)
        born: date | None = None

    seen: list[Any] = []

    @clew.capability("test.user", version="1.0.0")
    def handler(user: User) -> User:
        seen.append(user)
        return user.model_copy(update={"age": user.age + 1})

    clew_runtime.register(handler)
    given = {"name": "a", "age": 1, "born": "2001-02-03"}
    assert clew_runtime.execute("test.user", {"user": given}) == {**given, "age": 2}
    assert isinstance(seen[0], User)
    assert seen[0].born == date(2001, 2, 3)
    with pytest.raises(clew.InvalidInput):
        clew_runtime.execute("test.user", {"user": {**given, "age": -1}})
    assert len(seen) == 1


def test_a_result_that_does_not_fit_fails_the_call(clew_runtime: clew.Runtime) -> None:
    @clew.capability("test.wrong", version="1.0.0")
    def handler() -> int:
        return "text"  # type: ignore[return-value]  # that is the point

    clew_runtime.register(handler)
    with pytest.raises(clew.ExecutionFailed):
        clew_runtime.execute("test.wrong")
    assert [trace.code for trace in clew_runtime.traces()] == ["execution_failed"]
