"""What registers capabilities and finds them: in a runtime, and in one of its workspaces."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from . import _check, _options
from . import _core as core
from ._capability import bind
from ._check import invalid
from ._records import Binding, CapabilityInfo, Placement, Registration

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from ._capability import Capability
    from ._workflow import Source, Workflow

__all__ = ["Registering"]

_LIFECYCLES = ("draft", "active", "deprecated", "retired", "archived")
_SCOPES = ("public", "private")


class Registering:
    """Registers capabilities and finds them. None of its methods waits for other work."""

    _core: core.Runtime
    _workspace = ""

    def register(
        self, capability: Capability[..., Any] | Callable[..., Any], *, scope: str = "public"
    ) -> Registration:
        """Register a decorated function. The same one again is fine.

        Its contract is kept in the store: other content under the same version is refused. Except
        in production, a changed function under a registered version takes its place, and so does a
        contract that was changed since an earlier process has registered it: then ``replaced`` is
        True and the logger ``clew`` says so at the level INFO.

        Args:
            capability: What `clew.capability` returned.
            scope: ``"private"`` to shadow, version by version, what is ``"public"``.

        Raises:
            InvalidInput: It is no capability.
            Conflict: Something else has that version, and the first difference is named; or the
                version went up by less than its changes ask for (``context["required"]``); or its
                lifecycle would go backwards.

        Example:
            >>> rt.register(words).already_registered
            True
        """
        self._require_open()
        binding = getattr(capability, "__clew_binding__", None)
        if not isinstance(binding, Binding):
            raise invalid("capability", capability, "a function with @clew.capability(…)")
        return self._register(capability.descriptor.document, binding, scope)  # type: ignore[union-attr]  # it has a binding

    def register_contract(
        self,
        source: str | os.PathLike[str] | Mapping[str, Any],
        handler: Callable[..., Any] | None = None,
        *,
        workflow: Workflow | Source | None = None,
        scope: str = "public",
    ) -> Registration:
        """Register a contract that stands in a document: the path of a YAML or JSON file, or data.

        Args:
            source: The contract. A string is text when it has more than one line or begins with
                ``{``, else a path.
            handler: The function that carries it out. None for a contract alone: calls are refused
                as `Unavailable`, and runs wait, until a handler is registered under it.
            workflow: Instead of a handler, the workflow that carries it out, as for
                `Runtime.start`: a call is a run of it. It is published, and kept with the contract,
                so that the capability is there again after a restart.
            scope: As for `register`.

        Raises:
            InvalidInput: There are problems; the context lists all of them under ``problems``, each
                with code, path and line.
            NotFound: There is no such file, or no such published workflow.
            Conflict: As for `register`; or other content is published under the workflow's version.

        Example:
            >>> contract = {"id": "text.reverse", "version": "1.0.0", "owner": {"team": "text"}}
            >>> _ = rt.register_contract(contract, lambda doc: doc[::-1])
            >>> rt.execute("text.reverse", {"doc": "abc"})
            'cba'
        """
        self._require_open()
        document = read_contract(source)
        if workflow is not None:
            return self._register_workflow(document, handler, workflow, scope)
        if handler is not None:
            return self._register(document, bind(handler), scope)
        _check.word("scope", scope, _SCOPES)
        made = self._core.register_contract(document, scope=scope, workspace=self._workspace)
        return Registration(**made)

    def register_native(
        self, name: str, *, contract: Mapping[str, Any] | None = None, scope: str = "public"
    ) -> Registration:
        """Register a C++ function under a contract.

        Args:
            name: One of the functions of the extension, such as ``"echo"``.
            contract: Its contract document. Default: ``native.<name>@1.0.0``, any input and output.
            scope: As for `register`.
        """
        self._require_open()
        _check.text("name", name)
        _check.word("scope", scope, _SCOPES)
        document = contract or {"id": f"native.{name}", "version": "1.0.0"}
        return Registration(
            **self._core.register_native(document, name, scope=scope, workspace=self._workspace)
        )

    def set_lifecycle(self, ref: core.Reference, lifecycle: str, *, scope: str = "public") -> None:
        """Move one version on: from draft to active, deprecated, retired and archived.

        Durable. What runs goes on; new references skip what is neither active nor deprecated.

        Args:
            ref: An exact version, or a decorated function.
            lifecycle: Where to; never backwards.
            scope: The scope in which it is registered.

        Raises:
            NotFound: There is no such version in that scope.
            Conflict: It would go backwards.
        """
        self._require_open()
        _check.word("lifecycle", lifecycle, _LIFECYCLES)
        _check.word("scope", scope, _SCOPES)
        self._core.set_lifecycle(ref, lifecycle, scope=scope, workspace=self._workspace)

    def capabilities(
        self,
        *,
        id: str | None = None,  # noqa: A002 - the word of contracts
        tag: str | None = None,
        effect: str | None = None,
        owner: str | None = None,
        lifecycle: str | None = None,
        kind: str | None = None,
        composition: str | None = None,
        emits: str | None = None,
        consumes: str | None = None,
        scope: str | None = None,
    ) -> list[CapabilityInfo]:
        """Return what is registered, by id, highest version first; all filters must hold.

        Args:
            id: Only this id; ``"text.*"`` for all below ``text``.
            tag: Only those with this tag.
            effect: Only those of this effect.
            owner: Only those of this team.
            lifecycle: Only those at this point of their life.
            kind: Only those that are carried out so: ``"python"``, ``"async"``, ``"native"``, …,
                ``"unbound"`` for contracts without a handler.
            composition: ``"composite"`` for what a workflow carries out, ``"atomic"`` for the rest.
            emits: Only those that may emit this event, a type with or without its version.
            consumes: The same for what they read.
            scope: ``"public"`` or ``"private"``.

        Example:
            >>> [(one.id, one.version) for one in rt.capabilities(id="text.*", effect="pure")]
            [('text.words', '1.2.0')]
        """
        self._require_open()
        for path, given in (
            ("id", id),
            ("tag", tag),
            ("owner", owner),
            ("kind", kind),
            ("emits", emits),
            ("consumes", consumes),
        ):
            _check.optional_text(path, given)
        for path, given, words in (
            ("effect", effect, ("pure", "idempotent", "once")),
            ("lifecycle", lifecycle, _LIFECYCLES),
            ("composition", composition, ("atomic", "composite")),
            ("scope", scope, _SCOPES),
        ):
            if given is not None:
                _check.word(path, given, words)
        found = map(CapabilityInfo.of, self._core.capabilities(self._workspace))
        return [
            one
            for one in found
            if (id is None or _matches(id, one.id))
            and (tag is None or tag in one.tags)
            and (effect is None or effect == one.effect)
            and (owner is None or owner == one.contract.get("owner", {}).get("team"))
            and (lifecycle is None or lifecycle == one.lifecycle)
            and (kind is None or kind == one.kind)
            and (composition is None or (composition == "composite") == (one.kind == "workflow"))
            and (emits is None or _names(one.contract.get("emits", ()), emits))
            and (consumes is None or _names(one.contract.get("consumes", ()), consumes))
            and (scope is None or scope == one.scope)
        ]

    def resolve(self, ref: core.Reference, *, scope: str | None = None) -> CapabilityInfo:
        """Return what a reference means, and why: each candidate with what speaks against it.

        Args:
            ref: As for `Runtime.execute`.
            scope: ``"public"`` to leave private overlays aside.

        Raises:
            NotFound: Nothing does; ``context["reason"]`` is ``"unknown_id"``, ``"no_version"`` or
                ``"not_runnable"``, and near ids or the versions that exist are named.
            Ambiguous: A bare id of several versions.
            Unavailable: Only the handler is missing.
            InvalidInput: It is no reference.

        Example:
            >>> found = rt.resolve("text.words@^1")
            >>> found.version, [(one.version, one.rejected) for one in found.candidates]
            ('1.2.0', [('1.2.0', None)])
        """
        self._require_open()
        if scope is not None:
            _check.word("scope", scope, _SCOPES)
        found = self._core.resolve(ref, public_only=scope == "public", workspace=self._workspace)
        return CapabilityInfo.of(found)

    def dependencies(self, ref: core.Reference) -> list[CapabilityInfo]:
        """Return what a capability needs, transitively, deepest first: the versions of now.

        Raises:
            NotFound: Something is not there; the message shows the chain that asks for it.
            Conflict: They form a cycle, which ``context["cycle"]`` prints.
            ResourceExhausted: They are nested deeper than 5.
        """
        self._require_open()
        found = self._core.dependencies(ref, workspace=self._workspace)
        return [CapabilityInfo.of(one) for one in found]

    def placement(self, ref: core.Reference, *, target: str | None = None) -> Placement:
        """Return where a call would run now, and what speaks against each other executor.

        Contract, permitted targets and ``target`` are law. Of what is left, whoever is not
        overloaded (above 0.9) goes first, then preferred targets, then the least load, then names.

        Raises:
            NoEligibleTarget: Nobody may run it; ``context["candidates"]`` says why.

        Example:
            >>> rt.placement("text.words").reason
            'only_candidate'
        """
        self._require_open()
        wish = _check.optional_text("target", target) or ""
        return Placement.of(self._core.placement(ref, wish, self._workspace))

    def add_executor(
        self,
        name: str,
        executor: Executor,
        targets: Sequence[str],
        *,
        capacity: int | None = None,
    ) -> None:
        """Let any `concurrent.futures.Executor` serve targets. It stays yours to shut down.

        It runs functions that take no context; a process pool must be able to import them.

        Args:
            name: What ``executor=`` of a capability and traces call it.
            executor: Anything with ``submit``.
            targets: Words that ``permitted_targets`` of a capability may name.
            capacity: Most calls at one time. Default: the executor's own.
        """
        self._require_open()
        _check.text("name", name)
        if not isinstance(targets, (list, tuple)) or not targets:
            raise invalid("targets", targets, "a list of at least one target")
        for index, target in enumerate(targets):
            _check.text(f"targets[{index}]", target)
        if capacity is not None:
            _check.integer("capacity", capacity, 1, _options.INT_MAX)
        if not callable(getattr(executor, "submit", None)):
            raise invalid("executor", executor, "a concurrent.futures.Executor")
        self._core.add_executor(name, executor, list(targets), capacity=capacity)

    def _register(self, document: Mapping[str, Any], binding: Binding, scope: str) -> Registration:
        _check.word("scope", scope, _SCOPES)
        made = self._core.register(
            document,
            binding.function,
            kind=binding.kind,  # type: ignore[arg-type]  # one of the two words
            context=binding.context,
            decode=binding.decode,
            encode=binding.encode,
            fingerprint=binding.fingerprint,
            scope=scope,
            workspace=self._workspace,
        )
        registration = Registration(**made)
        if registration.replaced:
            _notice_of_replacement(registration)
        return registration

    def _register_workflow(
        self,
        document: Mapping[str, Any],
        handler: Callable[..., Any] | None,
        workflow: Workflow | Source,
        scope: str,
    ) -> Registration:
        from ._workflow import definition_of

        if handler is not None:
            raise invalid("workflow", workflow, "None beside a handler: one of them carries it out")
        _check.word("scope", scope, _SCOPES)
        definition = definition_of(workflow)
        if isinstance(definition, str):
            definition = self._core.find_workflow(definition)
        made = self._core.register_contract(
            document, definition, scope=scope, workspace=self._workspace
        )
        return Registration(**made)

    def _require_open(self) -> None:
        _check.require_open(self._core)


def read_contract(source: Any, path: str = "source") -> Mapping[str, Any]:
    """Return a contract given as data, as text, or as a file. `InvalidInput`, `NotFound`."""
    from ._workflow import is_text, read_text

    if isinstance(source, Mapping):
        return core.check_contract(dict(source))
    if isinstance(source, str) and is_text(source):
        return core.load_contract(source)
    if isinstance(source, (str, os.PathLike)):
        return core.load_contract(read_text(source)[1])
    raise invalid(path, source, "a path, the text of a contract, or a dict")


def _notice_of_replacement(registration: Registration) -> None:
    import logging

    logging.getLogger("clew").info(
        "%s@%s: a changed function takes the place of the one that was registered",
        registration.id,
        registration.version,
    )


def _matches(pattern: str, id: str) -> bool:  # noqa: A002 - the word of contracts
    return id.startswith(pattern[:-1]) if pattern.endswith(".*") else id == pattern


def _names(events: Sequence[str], wanted: str) -> bool:
    return any(each == wanted or each.partition("@")[0] == wanted for each in events)
