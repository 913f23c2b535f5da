"""Every example in a docstring runs, with the names of README's first example at hand.

These are ``clew``, a runtime ``rt`` in memory in which ``text.words`` and ``text.total`` are
registered, the function ``words``, and the workflow ``report``. Each docstring gets them anew.
"""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
from typing import Any

import clew
import pytest

FLAGS = doctest.IGNORE_EXCEPTION_DETAIL | doctest.ELLIPSIS
WITH_EXAMPLE = [
    "Run",
    "Runtime",
    "Runtime.capabilities",
    "Runtime.execute",
    "Runtime.find_workflow",
    "Runtime.map",
    "Runtime.publish",
    "Runtime.register",
    "Runtime.resolve",
    "Runtime.runs",
    "Runtime.sql",
    "Runtime.start",
    "Runtime.submit",
    "Runtime.subscribe",
    "Runtime.traces",
    "Runtime.verify",
    "capability",
    "load",
]


def modules() -> list[Any]:
    names = [one.name for one in pkgutil.iter_modules(clew.__path__) if one.name != "_core"]
    return [clew, *(importlib.import_module(f"clew.{name}") for name in names)]


def examples() -> list[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = [test for module in modules() for test in finder.find(module)]
    return sorted((test for test in found if test.examples), key=lambda test: test.name)


@clew.capability("text.words", version="1.2.0", effect="pure")
def words(doc: str) -> int:
    """Count the words of a text."""
    return len(doc.split())


@clew.capability("text.total", version="1.0.0")
def total(counts: list[int]) -> int:
    return sum(counts)


REPORT = """
workflow: text.report
version: 1.0.0
input: {type: object, required: [docs], properties: {docs: {type: array, items: {type: string}}}}
steps:
  count: {for_each: "{{ input.docs }}", as: doc, call: text.words@^1, with: {doc: "{{ doc }}"}}
  sum:   {call: text.total@^1, with: {counts: "{{ steps.count.output }}"}}
output: {words: "{{ steps.sum.output }}"}
"""


@pytest.mark.parametrize("example", examples(), ids=lambda test: test.name)
def test_an_example_in_a_docstring_runs(
    clew_runtime: clew.Runtime, example: doctest.DocTest
) -> None:
    clew_runtime.register(words)
    clew_runtime.register(total)
    example.globs = {
        "clew": clew,
        "rt": clew_runtime,
        "words": words,
        "report": clew.load(REPORT),
        "__name__": "example",
    }
    said: list[str] = []
    result = doctest.DocTestRunner(optionflags=FLAGS).run(example, out=said.append)
    assert result.attempted > 0
    assert result.failed == 0, "".join(said)


@pytest.mark.parametrize("name", WITH_EXAMPLE)
def test_what_users_meet_first_has_an_example(name: str) -> None:
    found: Any = clew
    for part in name.split("."):
        found = getattr(found, part)
    assert ">>> " in (inspect.getdoc(found) or "")


def test_an_example_that_does_not_hold_is_found() -> None:
    wrong = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    said: list[str] = []
    assert doctest.DocTestRunner(optionflags=FLAGS).run(wrong, out=said.append).failed == 1
    assert "Expected:" in "".join(said)
