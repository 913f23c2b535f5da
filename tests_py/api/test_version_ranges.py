"""A range means what Cargo makes of it.

The model is written apart from the core and in another way: a comparator is an interval of
releases, where the core compares number by number.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import clew
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

Release = tuple[int, ...]
FOREVER: Release = (10**9, 0, 0)
PRE = ("", "2", "alpha", "alpha.1", "beta.2", "beta.11")
VERSIONS = [
    ".".join(map(str, release)) + (f"-{pre}" if pre else "")
    for release in itertools.product(range(3), repeat=3)
    for pre in PRE
]


class Comparator(NamedTuple):
    """One to three numbers behind an operator, a pre-release or wildcards behind the numbers."""

    operator: str
    numbers: Release
    pre: str
    wildcards: tuple[str, ...]

    def __str__(self) -> str:
        parts = [*map(str, self.numbers), *self.wildcards]
        return self.operator + ".".join(parts) + (f"-{self.pre}" if self.pre else "")


def precedence(release: Release, pre: str) -> tuple[Release, bool, list[tuple[bool, int, str]]]:
    """Return a key that sorts as section 11 of SemVer 2.0.0 says."""
    words = pre.split(".") if pre else []
    parts = [(False, int(w), "") if w.isdigit() else (True, 0, w) for w in words]
    return release, not pre, parts


def filled(numbers: Release) -> Release:
    return (*numbers, 0, 0, 0)[:3]


def behind(numbers: Release) -> Release:
    """Return the first release behind all that begin with these numbers."""
    return filled((*numbers[:-1], numbers[-1] + 1))


def interval(operator: str, numbers: Release) -> tuple[Release, Release]:
    """Return the first release and the first beyond."""
    start, end = filled(numbers), behind(numbers)
    leading = next((at for at, number in enumerate(numbers) if number), len(numbers) - 1)
    return {
        "=": (start, end),
        ">": (end, FOREVER),
        ">=": (start, FOREVER),
        "<": ((0, 0, 0), start),
        "<=": ((0, 0, 0), end),
        "~": (start, behind(numbers[:2])),
        "^": (start, behind(numbers[: leading + 1])),
    }[operator]


def contains(one: Comparator, release: Release, pre: str) -> bool:
    """Whether a version lies within a comparator, were its pre-release asked for."""
    operator = one.operator.strip() or ("=" if one.wildcards else "^")
    start, end = interval(operator, one.numbers)
    if pre and len(one.numbers) < 3:
        # It is none of the releases that a partial comparator names, but lies below or above them.
        if operator in ("=", "~"):
            return False
        if operator in ("<=", ">="):
            start, end = interval(operator[0], one.numbers)
    if len(one.numbers) < 3:
        return start <= release < end
    key, bound = precedence(release, pre), precedence(one.numbers, one.pre)
    if operator in ("^", "~"):
        return key >= bound and release < end
    return ("<" in operator and key < bound) or (">" in operator and key > bound) or (
        "=" in operator and key == bound
    )  # fmt: skip


def split(version: str) -> tuple[Release, str]:
    core, _, pre = version.partition("-")
    return tuple(map(int, core.split("."))), pre


def matches(comparators: list[Comparator], version: str) -> bool:
    release, pre = split(version)
    asked_for = not pre or any(one.pre and one.numbers == release for one in comparators)
    return asked_for and all(contains(one, release, pre) for one in comparators)


@st.composite
def comparators(draw: st.DrawFn) -> Comparator:
    operator = draw(st.sampled_from(["", "=", ">", ">=", "<", "<=", "~", "^", "^ ", ">= "]))
    numbers = tuple(draw(st.lists(st.integers(0, 3), min_size=1, max_size=3)))
    pre = draw(st.sampled_from((*PRE, "rc"))) if len(numbers) == 3 else ""
    wild = draw(st.lists(st.sampled_from("*xX"), max_size=3 - len(numbers)))
    return Comparator(operator, numbers, pre, tuple(wild))


def is_range(parts: list[Comparator]) -> bool:
    """A lone version is no range: ``a.b@1.2.0`` is exact, ``a.b@1`` is refused."""
    return len(parts) > 1 or bool(parts[0].operator or parts[0].wildcards)


def named(version: str) -> Callable[[], str]:
    return lambda: version


@pytest.fixture(scope="module")
def versions() -> Iterator[clew.Runtime]:
    with clew.Runtime() as rt:
        for version in VERSIONS:
            rt.register_contract({"id": "a.b", "version": version}, named(version))
        yield rt


def satisfied(rt: clew.Runtime, wanted: str) -> list[str]:
    """Return the versions that a range takes, the one that it resolves to first."""
    try:
        found = rt.resolve(f"a.b@{wanted}")
    except clew.NotFound as error:
        if error.context["reason"] != "no_version":
            raise
        return []
    taken = [one for one in found.candidates if one.rejected != f"does not satisfy {wanted}"]
    return sorted((one.version for one in taken), key=lambda version: version != found.version)


# Parity: range resolve
@settings(max_examples=500)
@given(
    st.lists(comparators(), min_size=1, max_size=3).filter(is_range),
    st.sampled_from([",", ", ", " , "]),
)
def test_a_range_takes_what_the_model_takes_and_resolves_to_its_highest(
    versions: clew.Runtime, parts: list[Comparator], separator: str
) -> None:
    wanted = separator.join(map(str, parts))
    taken = satisfied(versions, wanted)
    expected = [version for version in VERSIONS if matches(parts, version)]
    assert sorted(taken) == sorted(expected)
    assert all(versions.execute(f"a.b@{wanted}") == version for version in taken[:1])
    assert taken[:1] == sorted(expected, key=lambda version: precedence(*split(version)))[-1:]
