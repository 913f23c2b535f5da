"""Canonical JSON is what another implementation of RFC 8785 makes of the same value."""

from __future__ import annotations

import hashlib
import struct
from typing import Any

import clew
import pytest
import rfc8785
from clew import _core
from hypothesis import example, given
from hypothesis import strategies as st

SAFE = 2**53 - 1  # rfc8785 refuses integers beyond it; here they are exact to 64 bits


def double(bits: int) -> float:
    return float(struct.unpack("<d", struct.pack("<Q", bits))[0])


# Every bit pattern of a finite double is as likely as any other; hypothesis adds its favourites.
doubles = st.one_of(
    st.integers(0, 2**64 - 1).map(double).filter(lambda x: abs(x) < float("inf")),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(10**25), 10**25).map(float),
)
# Characters on both sides of the surrogates: by code point they sort otherwise than in UTF-16.
characters = st.one_of(
    st.characters(exclude_categories=["Cs"]),
    st.sampled_from('\x00\x1f"\\/\x7f\x80é€\ud7ff\ue000\ufb33\uffff\U00010000\U0001f600\U0010ffff'),
)
texts = st.text(characters, max_size=6)
scalars = st.none() | st.booleans() | st.integers(-SAFE, SAFE) | doubles | texts
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(texts, inner, min_size=1, max_size=6)
    ),
    max_leaves=30,
)


# Parity: trace tiers
@given(values)
@example({"\U0001f600": 1, "\ufb33": 2, "\U0001f600a": 3, "\ufb33a": 4})
@example([-0.0, 0.0, 0, 1e21, 1e-7, 5e-324, 1.7976931348623157e308, 333333333.33333329])
def test_text_and_digest_equal_those_of_another_implementation(value: Any) -> None:
    expected = rfc8785.dumps(value)
    assert _core.canonical_json(value).encode() == expected
    assert _core.digest(value) == hashlib.sha256(expected).hexdigest()


@pytest.mark.parametrize("container", ["array", "object", "both"])
def test_values_as_deep_as_they_may_be_are_equal_too(container: str) -> None:
    value: Any = -0.0
    for level in range(128):
        is_array = container == "array" or (container == "both" and level % 2 == 0)
        value = [value] if is_array else {"\U0001f600": value, "\ufb33": level}
    assert _core.canonical_json(value).encode() == rfc8785.dumps(value)
    with pytest.raises(clew.InvalidInput):
        _core.canonical_json([value])


@given(st.integers(SAFE + 1, 2**63 - 1) | st.integers(-(2**63), -SAFE - 1))
def test_integers_that_the_other_one_refuses_are_printed_exactly(number: int) -> None:
    with pytest.raises(rfc8785.IntegerDomainError):
        rfc8785.dumps(number)
    assert _core.canonical_json(number) == str(number)


def test_digests_of_contracts_and_traces_are_of_that_text(clew_runtime: clew.Runtime) -> None:
    def echo(**members: Any) -> dict[str, Any]:
        return {"out": members}

    contract = {"id": "a.echo", "version": "1.0.0"}
    registration = clew_runtime.register_contract(contract, echo)
    content = _core.check_contract(contract)  # its normal form
    assert registration.digest == hashlib.sha256(rfc8785.dumps(content)).hexdigest()

    value = {"\U0001f600": [1.5, -0.0], "\ufb33": {"b": None, "a": "é"}}
    output = clew_runtime.execute("a.echo", value)
    (trace,) = clew_runtime.traces("a.echo")
    assert trace.input_sha256 == hashlib.sha256(rfc8785.dumps(value)).hexdigest()
    assert trace.output_sha256 == hashlib.sha256(rfc8785.dumps(output)).hexdigest()
