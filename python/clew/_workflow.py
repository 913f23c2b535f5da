"""Workflows as data: read, check, and say all that is wrong with them at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from . import _core, _errors
from ._check import invalid
from ._records import Problem

if TYPE_CHECKING:
    from ._runtime import Runtime
    from ._workspace import Workspace

__all__ = ["Workflow", "load"]

_SUFFIXES = (".yaml", ".yml", ".json")

Source = str | os.PathLike[str] | Mapping[str, Any]


class Workflow:
    """A workflow as its author wrote it. Immutable.

    Attributes:
        problems: What is wrong with it by itself; empty unless it was loaded with ``strict=False``.
    """

    __slots__ = ("_definition", "_origin", "problems")

    problems: tuple[Problem, ...]

    def __init__(
        self, definition: _core.Definition | None, problems: tuple[Problem, ...], origin: str
    ) -> None:
        self._definition = definition
        self._origin = origin
        self.problems = problems

    @property
    def definition(self) -> _core.Definition:
        """The checked form that runs are started from. `InvalidInput` when there are problems."""
        if self._definition is None:
            raise self.error()
        return self._definition

    @property
    def name(self) -> str:
        """Its name, such as ``"library.index"``."""
        return self.definition.name

    @property
    def version(self) -> str:
        """Its version."""
        return self.definition.version

    @property
    def description(self) -> str:
        """What it is for; possibly empty."""
        return self.definition.description

    @property
    def digest(self) -> str:
        """The hex SHA-256 of its canonical document."""
        return self.definition.digest

    @property
    def document(self) -> dict[str, Any]:
        """The document it was made from; a fresh copy."""
        return self.definition.document

    def steps(self) -> list[dict[str, Any]]:
        """Return the steps: ``name, call, on_event, after, for_each, line``."""
        return self.definition.steps()

    def check(self, runtime: Runtime | Workspace) -> list[Problem]:
        """Return what would keep it from running there: unknown capabilities and event types.

        Its own problems come first; while there are any, nothing else is looked at.
        """
        if self._definition is None:
            return list(self.problems)
        return runtime._problems_of(self._definition)

    def error(self) -> _errors.InvalidInput:
        """Return the error that says all its problems; its message shows the first."""
        first = self.problems[0]
        others = len(self.problems) - 1
        more = f" (and {others} more)" if others else ""
        where = f"{self._origin}: " if self._origin else ""
        problems = [
            {
                "path": one.path,
                "line": one.line,
                "message": one.message,
                "suggestion": one.suggestion,
            }
            for one in self.problems
        ]
        return _errors.InvalidInput(
            f"{where}{first}{more}", {"path": first.path, "line": first.line, "problems": problems}
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Workflow):
            return NotImplemented
        if self._definition is None or other._definition is None:
            return self is other
        return self.digest == other.digest

    def __hash__(self) -> int:
        return id(self) if self._definition is None else hash(self._definition.digest)

    def __repr__(self) -> str:
        if self._definition is None:
            return f"<Workflow {self._origin or '(no name)'}: {len(self.problems)} problems>"
        return f"<Workflow {self.name}@{self.version} {len(self.steps())} steps>"

    def _repr_html_(self) -> str:
        from ._html import graph, table

        if self._definition is None:
            return table(
                [{"line": one.line, "path": one.path, "problem": str(one)} for one in self.problems]
            )
        return graph(self.steps(), {})


def load(source: Source, *, strict: bool = True) -> Workflow:
    """Read a workflow: the path of a YAML or JSON file, such text itself, or data.

    A string is text when it has more than one line or begins with ``{``, else a path.

    Args:
        source: What to read. A file is read now; later changes to it are not seen.
        strict: False to get a workflow with problems too, and read them from ``problems``.

    Raises:
        InvalidInput: There are problems. The message shows the first with its line, the context
            lists all under ``problems``.
        NotFound: There is no such file.

    Example:
        >>> text = '''
        ... workflow: text.one
        ... version: 1.0.0
        ... steps:
        ...   only: {call: text.words@^1, wiht: {doc: a b}}
        ... '''
        >>> clew.load(text)
        Traceback (most recent call last):
        clew.InvalidInput: line 5: steps.only.wiht: there is no key "wiht"; …
        >>> clew.load(text.replace("wiht", "with"))
        <Workflow text.one@1.0.0 1 steps>
    """
    origin = ""
    if isinstance(source, Mapping):
        definition, found = _load_data(source)
    elif isinstance(source, str) and is_text(source):
        definition, found = _core.load_text(source)
    elif isinstance(source, (str, os.PathLike)):
        origin, text = read_text(source)
        definition, found = _core.load_text(text)
    else:
        raise invalid("source", source, "a path, the text of a workflow, or a dict")
    workflow = Workflow(definition, tuple(Problem(**one) for one in found), origin)
    if strict and workflow.problems:
        raise workflow.error()
    return workflow


def _load_data(source: Mapping[Any, Any]) -> tuple[_core.Definition | None, list[dict[str, Any]]]:
    """Read data; what is no JSON, such as a key that is no string, is a problem like any other."""
    try:
        return _core.load_value(dict(source))
    except _errors.InvalidInput as error:
        if "problems" in error.context:
            raise
        path = error.context.get("path") or "source"
        message = f"expected {error.context['expected']}, got {error.context['value']}"
        return None, [{"path": path, "line": 0, "message": message, "suggestion": ""}]


def is_text(source: str) -> bool:
    """Return whether a string is a document rather than a path."""
    return "\n" in source or source.lstrip().startswith("{")


def looks_like_path(source: str) -> bool:
    """Return whether a string is a path rather than a reference to a published workflow."""
    return source.endswith(_SUFFIXES) or os.sep in source


def read_text(source: str | os.PathLike[str]) -> tuple[str, str]:
    """Return a file's name and text."""
    path: Any = os.fspath(source)
    if not isinstance(path, str) or not path or "\0" in path:
        raise invalid("source", source, "a path, the text of a workflow, or a dict")
    try:
        with open(path, encoding="utf-8") as file:
            return os.path.basename(path), file.read()
    except FileNotFoundError as error:
        raise _errors.NotFound(f"there is no file {path}", {"path": path}) from error
    except UnicodeError as error:  # of the text, or of a path that no file can have
        raise invalid("source", path, "a file of UTF-8 text") from error
    except OSError as error:
        raise invalid("source", path, "a file that can be read", reason=str(error)) from error


def definition_of(workflow: Workflow | _core.Definition | Source) -> _core.Definition | str:
    """Return what the core starts: a definition, or the reference of a published workflow."""
    if isinstance(workflow, _core.Definition):
        return workflow
    if isinstance(workflow, Workflow):
        return workflow.definition
    if isinstance(workflow, str) and not is_text(workflow) and not looks_like_path(workflow):
        if not workflow:
            raise invalid("workflow", workflow, "a workflow, a path, text, a dict or a reference")
        return workflow
    return load(workflow).definition
