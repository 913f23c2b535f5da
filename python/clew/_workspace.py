"""A workspace: a tenant's own capabilities and runs within a runtime."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from . import _check, _errors, _options
from ._records import Page, Problem, RunInfo
from ._registry import Registering
from ._run import Run
from ._workflow import definition_of

if TYPE_CHECKING:
    from . import _core
    from ._call import Call
    from ._workflow import Source, Workflow

__all__ = ["Workspace"]


class Workspace(Registering):
    """The capabilities and runs of one tenant. Those of others, and the runtime's, are not seen.

    Handlers call within their own workspace, and so do the steps of runs. Everything else
    (threads, store, traces) is the runtime's. What `Runtime.workspace` returns; thread-safe.

    Example:
        >>> acme = rt.workspace("acme")
        >>> _ = acme.register(words)
        >>> acme.execute("text.words", {"doc": "a b"})
        2
    """

    def __init__(self, core: _core.Runtime, name: str) -> None:
        self._core = core
        self._workspace = name

    @property
    def name(self) -> str:
        """Its name."""
        return self._workspace

    def execute(
        self,
        ref: _core.Reference,
        input: Any = ...,  # noqa: A002 - the word of contracts
        **options: Any,
    ) -> Any:
        """Run a call here; the options are those of `Runtime.execute`."""
        return self._core.execute(ref, input, workspace=self._workspace, **options)

    def submit(
        self,
        ref: _core.Reference,
        input: Any = ...,  # noqa: A002 - the word of contracts
        **options: Any,
    ) -> Call:
        """Start a call here; the options are those of `Runtime.submit`."""
        return self._core.submit_future(ref, input, workspace=self._workspace, **options)

    def map(self, ref: _core.Reference, inputs: Iterable[Any], **options: Any) -> _core.Map:
        """Run a call here for each input; the options are those of `Runtime.map`."""
        return self._core.map(ref, inputs, workspace=self._workspace, **options)

    def start(
        self,
        workflow: Workflow | Source,
        input: Any = ...,  # noqa: A002 - the word of contracts
        *,
        id: str | None = None,  # noqa: A002 - the word of users
        key: str | None = None,
        priority: int = 0,
        budget: None = None,
        tags: Sequence[str] | None = None,
        durability: Literal["sync", "relaxed"] | None = None,
    ) -> Run:
        """Start a run whose steps find their capabilities here; else as `Runtime.start`.

        An ``id`` is one run's in the whole store: `Conflict` when another workspace has it.

        Example:
            >>> acme = rt.workspace("acme")
            >>> _ = acme.register(words)
            >>> contract = {"id": "text.total", "version": "1.0.0"}
            >>> _ = acme.register_contract(contract, lambda counts: sum(counts))
            >>> run = acme.start(report, {"docs": ["a b"]}, id="acme-1")
            >>> run.result(), run.info.workspace
            ({'words': 2}, 'acme')
            >>> [info.id for info in acme.runs()]
            ['acme-1']
        """
        self._require_open()
        options = _options.of_start(id, key, priority, budget, tags, durability)
        definition = definition_of(workflow)
        return Run(self._core.start(definition, input, workspace=self._workspace, **options))

    def run(self, id: str) -> Run:  # noqa: A002 - the word of users
        """Return the run of that id. `NotFound` when it is not one of this workspace."""
        self._require_open()
        run = Run(self._core.run(_check.text("id", id)))
        if run.info.workspace != self._workspace:
            raise _errors.NotFound(f'there is no run "{id}"', {"run": id})
        return run

    def runs(
        self,
        *,
        status: str | None = None,
        workflow: str | None = None,
        tag: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> Page[RunInfo]:
        """Return the runs of this workspace; else as `Runtime.runs`."""
        from ._runtime import runs_of

        self._require_open()
        return runs_of(
            self._core,
            status=status,
            workflow=workflow,
            tag=tag,
            workspace=self._workspace,
            limit=limit,
            cursor=cursor,
        )

    def _problems_of(self, definition: _core.Definition) -> list[Problem]:
        return [Problem(**one) for one in self._core.check(definition, self._workspace)]

    def __repr__(self) -> str:
        return f"<Workspace {self._workspace} of {self._core.name}>"
