"""The stub says what the module has, name by name."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import clew
import pytest
from clew import _core

STUBS = sorted((Path(clew.__file__).parent / "_core").glob("*.pyi"))
# Of every class, whatever it is.
# copyreg leaves the last one behind when somebody tries to copy an instance.
COMMON = {"__init__", "__module__", "__doc__", "__new__", "__del__", "__slotnames__"}


# What the package adds to the classes of the module (clew._context).
ADDED = {"Context": {"connector", "log"}}


def statements() -> list[ast.stmt]:
    return [node for path in STUBS for node in ast.parse(path.read_text()).body]


def stub_names() -> dict[str, Any]:
    """The names of the stub; for a class, its members."""
    names: dict[str, Any] = {}
    for node in statements():
        if isinstance(node, ast.ClassDef):
            names[node.name] = {n.name for n in node.body if isinstance(n, ast.FunctionDef)}
        elif isinstance(node, ast.FunctionDef):
            names[node.name] = None
        elif isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation) != "TypeAlias":
            names[ast.unparse(node.target)] = None
    return names


def module_names() -> dict[str, Any]:
    names: dict[str, Any] = {}
    for name, value in vars(_core).items():
        if name.startswith("__") and name != "__version__":
            continue
        names[name] = set(vars(value)) if inspect.isclass(value) else None
    return names


def test_the_module_and_its_stub_have_the_same_names() -> None:
    assert set(module_names()) == set(stub_names())


@pytest.mark.parametrize("name", [name for name, members in stub_names().items() if members])
def test_a_class_and_its_stub_have_the_same_members(name: str) -> None:
    stub = stub_names()[name]
    real = {m for m in module_names()[name] if not m.startswith("_pybind11")}
    assert real - COMMON - ADDED.get(name, set()) == stub - COMMON


def parameters(node: ast.FunctionDef) -> list[str]:
    arguments = node.args
    return [a.arg for a in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]]


def documented(function: Any) -> list[str]:
    """The parameter names: pybind11 writes them into the first line of the documentation."""
    if getattr(function, "__text_signature__", None):  # not made by pybind11
        return list(inspect.signature(function).parameters)
    line = (function.__doc__ or "").splitlines()[0]
    tree = ast.parse(f"def {line.replace('/, ', '').replace(' = Ellipsis', ' = ...')}: ...").body[0]
    assert isinstance(tree, ast.FunctionDef)
    return parameters(tree)


def stub_functions() -> list[tuple[str, ast.FunctionDef]]:
    found = []
    for node in statements():
        if isinstance(node, ast.FunctionDef):
            found.append((node.name, node))
        elif isinstance(node, ast.ClassDef):
            for inner in node.body:
                is_plain = isinstance(inner, ast.FunctionDef) and not inner.decorator_list
                if is_plain and not inner.name.startswith("__"):
                    found.append((f"{node.name}.{inner.name}", inner))
    return found


@pytest.mark.parametrize(("name", "node"), stub_functions(), ids=[n for n, _ in stub_functions()])
def test_parameters_have_the_names_of_the_stub(name: str, node: ast.FunctionDef) -> None:
    real: Any = _core
    for part in name.split("."):
        real = getattr(real, part)
    assert documented(real) == parameters(node)
