"""Random schemas with a known edit deep inside: the gate sees what the edit does, both ways.

Each pair has a witness, a value that the wide schema accepts and the narrow one refuses. So an edit
is breaking or compatible for certain, and the witness shows that the versions mean it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import clew
from hypothesis import given, settings
from hypothesis import strategies as st


class Pair(NamedTuple):
    wide: Any
    narrow: Any
    witness: Any


NAMES = st.sampled_from(["a", "b", "é", "\U0001f600", "$ref"])


@st.composite
def edits(draw: st.DrawFn) -> Pair:
    """Draw a pair whose sides differ by one keyword."""
    n, more = draw(st.integers(0, 5)), draw(st.integers(1, 3))
    name, other = draw(st.lists(NAMES, min_size=2, max_size=2, unique=True))
    integer, string, array = {"type": "integer"}, {"type": "string"}, {"type": "array"}
    obj = {"type": "object", "properties": {name: integer}}
    closed = {"type": "object", "additionalProperties": False}
    pairs = [
        Pair({**integer, "minimum": n}, {**integer, "minimum": n + more}, n),
        Pair({**integer, "minimum": n}, {**integer, "exclusiveMinimum": n}, n),
        Pair({**integer, "maximum": n + more}, {**integer, "maximum": n}, n + more),
        Pair({**integer, "multipleOf": n + 1}, {**integer, "multipleOf": 2 * (n + 1)}, n + 1),
        Pair({"type": "number"}, integer, n + 0.5),
        Pair({**string, "minLength": n}, {**string, "minLength": n + more}, "é" * n),
        Pair({**string, "maxLength": n + more}, {**string, "maxLength": n}, "é" * (n + more)),
        Pair(string, {**string, "pattern": "^a"}, "b"),
        Pair(string, {**string, "format": "date"}, "2024-02-30"),
        Pair({"enum": ["x", n, None]}, {"enum": [None, "x"]}, n),
        Pair({"enum": ["x", n]}, {"const": "x"}, n),
        Pair({"type": ["string", "null"]}, string, None),
        Pair({"anyOf": [string, integer]}, string, n),
        Pair({"oneOf": [string, integer]}, integer, "x"),
        Pair({**array, "minItems": n}, {**array, "minItems": n + more}, [0] * n),
        Pair({**array, "maxItems": n + more}, {**array, "maxItems": n}, [0] * (n + more)),
        Pair(array, {**array, "uniqueItems": True}, [n, n]),
        Pair(obj, {**obj, "required": [name]}, {}),
        Pair(
            {**obj, "additionalProperties": True},
            {**obj, "additionalProperties": False},
            {other: n},
        ),
        Pair(
            {**closed, "properties": {name: {}, other: {}}},
            {**closed, "properties": {name: {}}},
            {other: n},
        ),
        Pair(True, string, n),
    ]
    return draw(st.sampled_from(pairs))


@st.composite
def wrapped(draw: st.DrawFn, pair: Pair) -> Pair:
    """Draw a pair with this one inside, at a place of which the witness makes use."""
    wide, narrow, witness = pair
    name, other = draw(st.lists(NAMES, min_size=2, max_size=2, unique=True))
    required = {"required": [name]} if draw(st.booleans()) else {}
    shapes = [
        (lambda s: {"properties": {name: s, other: {}}, **required}, {name: witness}),
        (lambda s: {"type": "object", "additionalProperties": s}, {name: witness}),
        (lambda s: {"type": "array", "items": s, "minItems": 1}, [witness]),
        (lambda s: {"type": "array", "prefixItems": [True, s], "items": False}, [0, witness]),
        (lambda s: {"anyOf": [s, {"const": "another branch"}]}, witness),
        (lambda s: {"allOf": [s, {"title": "and more"}]}, witness),
        (lambda s: {"title": "a text is no part of it", "anyOf": [s]}, witness),
    ]  # fmt: skip
    shape, value = draw(st.sampled_from(shapes))
    return Pair(shape(wide), shape(narrow), value)


@st.composite
def pairs(draw: st.DrawFn) -> Pair:
    """Draw an edit up to five levels deep."""
    pair = draw(edits())
    for _ in range(draw(st.integers(0, 5))):
        pair = draw(wrapped(pair))
    return pair


def as_member(pair: Pair, by_reference: bool) -> Pair:
    """Return the schemas of an object whose member ``it`` is as the pair says."""

    def schema(inner: Any) -> dict[str, Any]:
        here = {"$ref": "#/$defs/it"} if by_reference else inner
        whole = {"type": "object", "properties": {"it": here}, "required": ["it"]}
        return {**whole, "$defs": {"it": inner}} if by_reference else whole

    return Pair(schema(pair.wide), schema(pair.narrow), {"it": pair.witness})


def least(old: dict[str, Any], new: dict[str, Any]) -> tuple[str, clew.Runtime]:
    """Return the change that the gate asks for, and a runtime with both versions."""
    rt = clew.Runtime()
    contract = {"id": "a.b"}
    rt.register_contract({**contract, "version": "1.0.0", **old}, lambda it: {"it": it})
    for version, word in (("1.0.1", "patch"), ("1.1.0", "minor"), ("2.0.0", "major")):
        try:
            rt.register_contract({**contract, "version": version, **new}, lambda it: {"it": it})
        except clew.Conflict as error:
            required = error.context["required"]
        else:
            assert word in ("patch", required)
            return word, rt
    raise AssertionError(f"a major version was refused: {required}")


def accepts(rt: clew.Runtime, version: str, value: Any) -> bool:
    try:
        return bool(rt.execute(f"a.b@{version}", value) == value)
    except (clew.InvalidInput, clew.ExecutionFailed):
        return False


# Parity: schema evolution
@settings(max_examples=300)
@given(pairs(), st.booleans(), st.sampled_from(["inputs", "outputs"]), st.booleans())
def test_an_edit_asks_for_what_it_does_wherever_it_is(
    pair: Pair, by_reference: bool, field: str, widens: bool
) -> None:
    wide, narrow, witness = as_member(pair, by_reference)
    old, new = (narrow, wide) if widens else (wide, narrow)
    word, rt = least({field: old}, {field: new})
    with rt:
        # Inputs may accept more, outputs may promise more.
        assert word == ("minor" if widens == (field == "inputs") else "major")
        assert accepts(rt, "1.0.0", witness) is not widens
        assert accepts(rt, "1.1.0" if word == "minor" else "2.0.0", witness) is widens
