"""The include arrows point down: a lower layer never includes a higher one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from codebase import sources

# layer -> the layers that it stands on directly. What those stand on may be included too.
ARROWS: dict[str, set[str]] = {
    "base": set(),
    "expr": {"base"},
    "exec": {"base"},
    "store": {"base"},
    "capability": {"exec", "store", "expr"},
    "lang": {"capability"},
    "wasm": {"capability"},
    "effect": {"capability"},
    "session": {"capability"},
    "actor": {"capability"},
    "process": {"capability", "lang"},
    "mailbox": {"capability", "session"},
    "workflow": {"capability", "process", "effect"},
    "runtime": {"workflow", "wasm", "mailbox", "process", "session", "actor"},
    "testkit": {"runtime"},
}
BINDINGS = {"runtime", "testkit"}
# Headers of others that only some folders may include.
RESERVED = {
    r"pybind11/|Python\.h": ("bindings/",),
    r"sqlite3\.h|libpq-fe\.h": ("cpp/clew/store/", "cpp/clew/testkit/", "tests_cpp/"),
    r"yaml-cpp/": ("cpp/clew/base/",),
    r"nlohmann/json\.hpp": ("cpp/clew/base/",),
    r"sodium": ("cpp/clew/base/",),
}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*[<"]([^>"]+)[>"]', re.MULTILINE)
LAYER_CALL = re.compile(r"^\s*clew_layer\((\w+)([^)]*)\)", re.MULTILINE)


def reach(direct: set[str]) -> set[str]:
    """Return `direct` and all that it stands on."""
    found: set[str] = set()
    waiting = set(direct)
    while waiting:
        layer = waiting.pop()
        found.add(layer)
        waiting |= ARROWS[layer] - found
    return found


def allowed_for(file: str) -> set[str]:
    """Return the layers that the file of this name, relative to the root, may include."""
    folders = file.split("/")
    if file.startswith("cpp/clew/") and folders[2] in ARROWS:
        return reach({folders[2]})
    if file.startswith("tests_cpp/") and folders[1] in ARROWS:
        return reach({folders[1]})
    if file.startswith(("bindings/", "tests_cpp/", "benchmarks/", "examples/")):
        return reach(BINDINGS)
    return set()


def problems(file: str, text: str) -> list[str]:
    """Return what is wrong with the includes of one file, given by its name and content."""
    found = []
    allowed = allowed_for(file)
    for included in INCLUDE.findall(sources.cpp_code(text, keep_strings=True)):
        parts = included.split("/")
        if parts[0] == "clew":
            layer = parts[1]
            if layer not in allowed:
                found.append(f"{file} includes {included}: {layer} is not below it")
            inside = file.startswith((f"cpp/clew/{layer}/", f"tests_cpp/{layer}/"))
            if "detail" in parts and not inside:
                found.append(f"{file} includes {included}: private to {layer}")
        for pattern, folders in RESERVED.items():
            if re.match(pattern, included) and not file.startswith(folders):
                found.append(f"{file} includes {included}: only {', '.join(folders)} may")
        if included == "nlohmann/json.hpp" and file.endswith(".hpp"):
            found.append(f"{file} includes {included}: only .cpp files may")
    return found


def cmake_problems(text: str) -> list[str]:
    """Return where CMakeLists.txt links a layer that is not below."""
    found = []
    for layer, arguments in LAYER_CALL.findall(text):
        if layer not in ARROWS:
            found.append(f"unknown layer {layer}")
            continue
        listed = re.search(r"DEPS((?:\s+[a-z_]+)+)", arguments)
        for dep in listed.group(1).split() if listed else []:
            if dep not in reach({layer}) - {layer}:
                found.append(f"{layer} links {dep}")
    return found


def test_includes_point_down() -> None:
    paths = sources.cpp_files()
    assert len(paths) > 20
    found = [p for path in paths for p in problems(sources.name(path), path.read_text())]
    assert found == []


def test_cmake_targets_link_only_lower_layers() -> None:
    text = (sources.ROOT / "CMakeLists.txt").read_text()
    assert len(LAYER_CALL.findall(text)) >= 8
    assert cmake_problems(text) == []


def test_each_folder_of_the_core_is_a_known_layer() -> None:
    folders = {path.name for path in (sources.ROOT / "cpp/clew").iterdir() if path.is_dir()}
    assert folders <= set(ARROWS)


def test_arrows_have_no_cycle() -> None:
    for layer, direct in ARROWS.items():
        assert layer not in reach(direct) if direct else True


@pytest.mark.parametrize(
    ("file", "line", "wrong"),
    [
        ("cpp/clew/base/a.hpp", '#include "clew/store/store.hpp"', True),
        ("cpp/clew/exec/a.cpp", '#include "clew/store/store.hpp"', True),
        ("cpp/clew/mailbox/a.cpp", '# include "clew/workflow/run.hpp"', True),
        ("cpp/clew/workflow/a.cpp", '#include "clew/store/detail/sqlite.hpp"', True),
        ("cpp/clew/base/value.hpp", "#include <nlohmann/json.hpp>", True),
        ("cpp/clew/runtime/a.cpp", "#include <pybind11/pybind11.h>", True),
        ("cpp/clew/runtime/a.cpp", "#include <sqlite3.h>", True),
        ("tests_cpp/base/a_test.cpp", '#include "clew/exec/exec.hpp"', True),
        ("bindings/a.cpp", '#include "clew/runtime/detail/x.hpp"', True),
        ("cpp/clew/base/json.cpp", "#include <nlohmann/json.hpp>", False),
        ("cpp/clew/workflow/a.cpp", '#include "clew/base/value.hpp"', False),
        ("cpp/clew/store/a.cpp", '#include "clew/store/detail/sqlite.hpp"', False),
        ("cpp/clew/base/a.cpp", '// #include "clew/store/store.hpp"', False),
        ("bindings/a.cpp", '#include "clew/runtime/runtime.hpp"', False),
    ],
)
def test_checker_finds_a_planted_include(file: str, line: str, wrong: bool) -> None:
    assert bool(problems(file, f"#pragma once\n{line}\n")) is wrong


def test_checker_finds_a_planted_link() -> None:
    assert cmake_problems("clew_layer(store DEPS base exec LIBS clew_sqlite)") == [
        "store links exec"
    ]
    assert cmake_problems("clew_layer(magic DEPS base)") == ["unknown layer magic"]


def test_checker_sees_the_repository_from_its_root() -> None:
    assert Path(sources.ROOT / "CMakeLists.txt").is_file()
