"""Program modules, named by what they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ._stores import Front, Stored, reads

__all__ = ["Artifacts", "ModuleArtifact", "ProcessRef"]


@dataclass(frozen=True, repr=False, slots=True)
class ProcessRef(Stored):
    """Which part of a module a process is."""

    _facts = ("component", "position")

    component: str
    position: int = 0


def _exports(data: Mapping[str, Any]) -> dict[str, ProcessRef]:
    return {name: ProcessRef._from(one) for name, one in data.items()}


@dataclass(frozen=True, repr=False, slots=True)
class ModuleArtifact(Stored):
    """A module. Its refs are hashes of its content."""

    _facts = ("module_ref", "required_surface_ref")
    _reads = reads(exports=_exports, dependencies=tuple)

    module_ref: str
    required_surface_ref: str
    required_surface: Any = field(default=None, hash=False)
    exports: dict[str, ProcessRef] = field(default_factory=dict, hash=False)
    canonical_ir: Any = field(default=None, hash=False)
    dependencies: tuple[str, ...] = ()


ModuleRefs: TypeAlias = "list[str]"  # within the class, "list" is its method


class Artifacts(Front):
    """The program modules of a runtime's store: ``rt.artifacts``. Thread-safe. Every method blocks.

    Example:
        >>> module = rt.artifacts.seal({"exports": {}, "canonical_ir": {"processes": []}})
        >>> rt.artifacts.put_module_artifact(module) == module.module_ref
        True
    """

    __slots__ = ()

    def seal(self, artifact: Mapping[str, Any]) -> ModuleArtifact:
        """Return a module of this content with the refs that follow from it."""
        return ModuleArtifact._from(self._do("artifact.seal", artifact=artifact))

    def put_module_artifact(self, artifact: ModuleArtifact | Mapping[str, Any]) -> str:
        """Store a module; return its ref. `InvalidInput`: a ref is not that of the content."""
        return str(self._do("artifact.put", artifact=artifact))

    def get_module_artifact(self, module_ref: str) -> ModuleArtifact | None:
        """Return a module, or None. `Corrupt`: it is not what its ref says."""
        found = self._do("artifact.get", module_ref=module_ref)
        return found and ModuleArtifact._from(found)

    def list(self, after: str = "", *, limit: int = 1000) -> ModuleRefs:
        """Return the refs of all modules, sorted, after ``after``."""
        found = self._do("artifact.list", after=after, limit=limit)
        return [*found]

    def remove(self, module_ref: str) -> bool:
        """Say that a module is needed no more; `Sessions.gc_unreachable` removes its bytes."""
        return bool(self._do("artifact.remove", module_ref=module_ref))

    def __repr__(self) -> str:
        return f"<Artifacts of {self._core.name}>"
