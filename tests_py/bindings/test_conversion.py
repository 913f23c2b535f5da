"""Python objects to values and back: what is accepted, what is refused and where."""

from __future__ import annotations

import collections
import dataclasses
import decimal
import enum
import json
import math
from typing import Any, ClassVar

import clew
import pytest
from clew import _core
from hypothesis import given
from hypothesis import strategies as st

texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=40
)


class Colour(enum.Enum):
    RED = "red"
    NESTED = (1, 2)


class Number(enum.IntEnum):
    ONE = 1


class Word(str):
    __slots__ = ()


@dataclasses.dataclass
class Point:
    x: int
    y: float = 2.5
    kind: ClassVar[str] = "no field"


@dataclasses.dataclass
class Line:
    ends: list[Point]


class Model:
    """Looks like a pydantic model."""

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        return {"mode": mode}


class Index:
    """Looks like an integer of numpy."""

    def __index__(self) -> int:
        return 7


def same(left: Any, right: Any) -> bool:
    """Equal with the same types throughout, and -0.0 is not 0.0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[k], right[k]) for k in left)
    if isinstance(left, float):
        return left == right and math.copysign(1, left) == math.copysign(1, right)
    return bool(left == right)


@given(values)
def test_json_data_comes_back_the_same(value: Any) -> None:
    assert same(_core.roundtrip(value), value)


@given(values)
def test_text_of_a_value_reads_back_the_same(value: Any) -> None:
    assert same(_core.parse_json(_core.to_json(value)), value)
    # Python's reader agrees on everything but the digits of floats, which it reads exactly.
    assert json.loads(_core.to_json(value)) == value


ACCEPTED = [
    ((1, 2), [1, 2]),
    (Word("w"), "w"),
    (Number.ONE, 1),
    (Colour.RED, "red"),
    (Colour.NESTED, [1, 2]),
    (Point(1), {"x": 1, "y": 2.5}),
    (Line([Point(1, 2.0)]), {"ends": [{"x": 1, "y": 2.0}]}),
    (Model(), {"mode": "json"}),
    (Index(), 7),
    (collections.OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
    ({Word("k"): 1}, {"k": 1}),
    (2**63 - 1, 2**63 - 1),
    (-(2**63), -(2**63)),
    ("", ""),
    ("\x00\x7f\x80é€😀", "\x00\x7f\x80é€😀"),
    ({}, {}),
    ([], []),
    (-0.0, -0.0),
    (5e-324, 5e-324),
]


@pytest.mark.parametrize(("given", "expected"), ACCEPTED, ids=[repr(a)[:30] for a, _ in ACCEPTED])
def test_other_forms_of_data_are_accepted(given: Any, expected: Any) -> None:
    assert same(_core.roundtrip(given), expected)


class Raises:
    def __index__(self) -> int:
        raise ZeroDivisionError("mine")


def cycle() -> list[Any]:
    items: list[Any] = []
    items.append({"again": items})
    return items


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


REFUSED = [
    ({"a": [1, {1, 2}]}, "a[1]", "set"),
    ({"x.y": object()}, '["x.y"]', "object"),
    (b"bytes", "", "bytes"),
    (2**63, "", "int"),
    (-(2**63) - 1, "", "int"),
    ({"n": 10**5000}, "n", "int"),
    ({"f": math.nan}, "f", "float"),
    ([math.inf], "[0]", "float"),
    ([0, -math.inf], "[1]", "float"),
    ({1: "x"}, "", "int"),
    ({"d": {None: "x"}}, "d", "NoneType"),
    ({"t": "\ud800"}, "t", "str"),
    ({"\udfff": 1}, '["\\\\udfff"]', "str"),
    (decimal.Decimal("1.5"), "", "decimal.Decimal"),
    (1j, "", "complex"),
    (Point, "", "type"),
    ({"p": Point(object())}, "p.x", "object"),  # type: ignore[arg-type]  # on purpose
    (bytearray(b"x"), "", "bytearray"),
]


@pytest.mark.parametrize(
    ("value", "path", "kind"), REFUSED, ids=[k + "-" + p for _, p, k in REFUSED]
)
def test_what_is_no_json_is_refused_with_its_path(value: Any, path: str, kind: str) -> None:
    with pytest.raises(clew.InvalidInput) as caught:
        _core.roundtrip(value)
    assert caught.value.code == "invalid_input"
    assert caught.value.context["path"] == path
    assert caught.value.context["type"] == kind
    assert caught.value.context["expected"]
    assert isinstance(caught.value, ValueError)


def test_nesting_is_bounded() -> None:
    assert _core.roundtrip(nested(128)) == nested(128)
    for value in (nested(129), nested(100_000), cycle()):
        with pytest.raises(clew.InvalidInput, match="128 levels"):
            _core.roundtrip(value)


def test_size_is_bounded_before_it_is_built() -> None:
    # 4^20 elements, if anybody counted them.
    value: Any = [0] * 4
    for _ in range(20):
        value = [value] * 4
    with pytest.raises(clew.InvalidInput, match="67108864 bytes"):
        _core.roundtrip(value)
    with pytest.raises(clew.InvalidInput, match="67108864 bytes"):
        _core.roundtrip("x" * (64 << 20))
    assert len(_core.roundtrip("x" * (60 << 20))) == 60 << 20


def test_what_an_object_raises_while_it_is_converted_arrives() -> None:
    with pytest.raises(ZeroDivisionError, match="mine"):
        _core.roundtrip([Raises()])


def test_a_dict_that_changes_meanwhile_is_refused() -> None:
    data: dict[str, Any] = {}

    class Grows:
        def model_dump(self, *, mode: str) -> dict[str, Any]:
            data["more"] = 1
            return {}

    data["first"] = Grows()
    with pytest.raises(clew.InvalidInput, match="does not change"):
        _core.roundtrip(data)


def test_a_list_that_shrinks_meanwhile_is_safe() -> None:
    items: list[Any] = []

    class Empties:
        def model_dump(self, *, mode: str) -> list[Any]:
            items.clear()
            return []

    items.extend([Empties(), 1, 2])
    assert _core.roundtrip(items) == [[]]


def test_a_conversion_inside_a_conversion_is_independent() -> None:
    class Converts:
        def model_dump(self, *, mode: str) -> Any:
            with pytest.raises(clew.InvalidInput):
                _core.roundtrip([1, 2, object()])
            return _core.roundtrip({"inner": [1, 2, 3]})

    assert _core.roundtrip([0, Converts(), 4]) == [0, {"inner": [1, 2, 3]}, 4]


def test_keys_of_equal_text_are_refused() -> None:
    class Odd(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            return self is other

        def __hash__(self) -> int:
            return id(self)

    with pytest.raises(clew.InvalidInput, match="different texts"):
        _core.roundtrip({Odd("k"): 1, Odd("k"): 2})


def test_an_enumeration_that_gives_itself_comes_to_an_end() -> None:
    class Endless:
        def model_dump(self, *, mode: str) -> Any:
            return self

    with pytest.raises(clew.InvalidInput, match="128 levels"):
        _core.roundtrip(Endless())


def test_canonical_text_and_digest() -> None:
    assert _core.canonical_json({"b": 1.0, "a": -0.0}) == '{"a":0,"b":1}'
    assert _core.digest({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


def test_many_keys_do_not_confuse_the_shared_strings() -> None:
    value = {f"key{i}": i for i in range(5000)}
    assert _core.roundtrip(value) == value
    assert _core.roundtrip({"é" * 15: 1, "": 2}) == {"é" * 15: 1, "": 2}
