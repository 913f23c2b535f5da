"""A file is at most 700 lines, a function at most 70, in C++ and in Python."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from codebase import sources

FILE_MAX = 700
FUNCTION_MAX = 70
MODULE_MAX = 60  # bindings/module.cpp is a table of contents

CONTAINER = re.compile(r"\b(?:namespace|class|struct|union|enum)\b|^\s*extern\s*0?(?:\"\")?\s*$")
TOKEN = re.compile(r"[{};]|[^{};]+")


class Function(NamedTuple):
    name: str
    line: int  # of its first line, counted from 1
    lines: int


def cpp_functions(text: str) -> list[Function]:
    """Find the functions with a body in C++ text, and lambdas that a variable outside names.

    A brace opens a scope (namespace, class), a function, or an initializer; what stands before it
    since the last `;`, `{` or `}` tells which. A function inside another counts as a part of it.
    """
    code = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", "", sources.cpp_code(text), flags=re.MULTILINE)
    found: list[Function] = []
    head = ""
    head_at = 0
    at = 0
    while at < len(code):
        char = code[at]
        if char == "{":
            if _is_scope(head):
                head = ""
            else:
                end = _matching_brace(code, at)
                if _is_function(head):
                    start = head_at + len(head) - len(head.lstrip())
                    first = code.count("\n", 0, start) + 1
                    last = code.count("\n", 0, end) + 1
                    found.append(Function(_function_name(head), first, last - first + 1))
                    head = ""
                else:  # an initializer: what it belongs to goes on after it
                    head += "{}"
                at = end
        elif char in ";}":
            head = ""
        else:
            if not head:
                head_at = at
            head += char
        at += 1
    return found


def _is_scope(head: str) -> bool:
    before_parameters = head.split("(")[0]
    return bool(CONTAINER.search(re.sub(r"\btemplate\s*<.*?>", "", before_parameters, flags=re.S)))


def _is_function(head: str) -> bool:
    """A parameter list is there, and the brace is no initializer of a member or variable."""
    if ")" not in head and "]" not in head:
        return False
    tail = head.rstrip()
    initializers = re.search(r"\)[^:;]*(?<!:):(?!:)(?P<list>.*)$", tail, flags=re.S)
    if initializers:  # a constructor's: the body follows `)` or `}`, a member's brace a name
        return tail.endswith((")", "}"))
    if re.search(r"=\s*$|\breturn\s*$|,\s*$|\(\s*$", tail):
        return False
    after = tail[tail.rindex(")") + 1 :] if ")" in tail else ""
    if "=" in tail.split("(")[0] and "[" not in tail:
        return False  # auto x = f(){…} and the like
    words = r"(?:const|noexcept|override|final|mutable|try|&&?|volatile|->|requires|CLEW_\w+)"
    return not after.strip() or bool(re.match(rf"\s*{words}", after)) or tail.endswith("]")


def _function_name(head: str) -> str:
    match = re.search(r"([~\w:]+(?:\s*operator\s*\S+)?)\s*\(", head)
    return match.group(1) if match else head.strip()[:40]


def _matching_brace(code: str, opening: int) -> int:
    depth = 0
    for at in range(opening, len(code)):
        if code[at] == "{":
            depth += 1
        elif code[at] == "}":
            depth -= 1
            if depth == 0:
                return at
    raise ValueError(f"the brace of line {code.count(chr(10), 0, opening) + 1} never closes")


def python_functions(text: str) -> Iterator[Function]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            documented = ast.get_docstring(node, clean=False)
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            # A docstring is the contract and not the work.
            yield Function(node.name, node.lineno, lines - len((documented or "").splitlines()))


def too_long(file: str, text: str) -> list[str]:
    count = len(text.splitlines())
    found = [f"{file} has {count} lines"] if count > FILE_MAX else []
    functions = cpp_functions(text) if file.endswith("pp") else python_functions(text)
    for function in functions:
        if function.lines > FUNCTION_MAX:
            found.append(f"{file}:{function.line} {function.name} has {function.lines} lines")
    return found


def test_files_and_functions_stay_small() -> None:
    paths = sources.cpp_files() + sources.python_files()
    assert len(paths) > 20
    assert [p for path in paths for p in too_long(sources.name(path), path.read_text())] == []


def test_the_finder_sees_the_functions_of_the_core() -> None:
    for path in sources.files("cpp", suffixes=(".cpp",)):
        text = path.read_text()
        assert cpp_functions(text), f"no function found in {sources.name(path)}"


def test_module_is_a_table_of_contents() -> None:
    path = sources.ROOT / "bindings/module.cpp"
    assert path.is_file(), "bindings/module.cpp is missing"
    assert len(path.read_text().splitlines()) < MODULE_MAX


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("int f() { return 1; }", ["f"]),
        (
            "namespace a { namespace {\nint f(int x) {\n  if (x) { return 1; }\n  return 0;\n}\n}}",
            ["f"],
        ),
        ("struct A { int x{1}; int y = 2; void g() const noexcept override {} };", ["g"]),
        ("A::A(int x) : a_{x}, b_(x) {\n}\n", ["A::A"]),
        ("A::A(int x) : a_(x), b_{x} {}\n int h() { return 1; }", ["A::A", "h"]),
        ("constexpr int table[] = {\n 1, 2\n};\nint f() {}", ["f"]),
        ("auto f() -> std::vector<int> { return {}; }", ["f"]),
        ("template <class T>\nvoid f(T t) { t(); }", ["f"]),
        ("template <typename T> requires C<T> struct S { void m() {} };", ["m"]),
        ('class CLEW_CAPABILITY("mutex") M { void lock() CLEW_ACQUIRE() { } };', ["lock"]),
        ("const char* s = \"{\";\n// {\nint f() { return '{'; }", ["f"]),
        ('auto s = R"sql(SELECT { FROM)sql";\nint f() {}', ["f"]),
        ("enum class E { a, b };\nint n = 1'000'000;\nint f() {}", ["f"]),
        ("TEST(Suite, does_it) {\n  EXPECT_TRUE(true);\n}", ["TEST"]),
        ("#define M(x) \\\n  void x() {\nint f() {}", ["f"]),
        ("Point p{1, 2};\nint f() {}", ["f"]),
        ('extern "C" { int f() {} }', ["f"]),
        ("bool operator()(int a) const { return a; }", ["operator()"]),
        ("const auto f = [](int x) { return x; };\nint g() {}", ["const auto f", "g"]),
    ],
)
def test_finder_knows_functions_from_other_braces(text: str, names: list[str]) -> None:
    found = [function.name for function in cpp_functions(text)]
    assert len(found) == len(names), found
    for have, want in zip(found, names, strict=True):
        assert want.split()[-1] in have or "[" in have


def test_finder_measures_from_signature_to_brace() -> None:
    body = "int f(int a,\n      int b) {\n" + "  ++a;\n" * 69 + "}\n"
    assert cpp_functions("\n\n" + body) == [Function("f", 3, 72)]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("a.cpp", "int f() {\n" + "  g();\n" * 69 + "}\n"),
        ("a.hpp", "struct A {\n  int f() {\n" + "  g();\n" * 69 + "}\n};\n"),
        ("a.cpp", "int x;\n" * 701),
        ("a.py", "def f():\n" + "    pass\n" * 70),
        ("a.py", "class A:\n    async def f(self):\n" + "        pass\n" * 70),
    ],
)
def test_checker_finds_what_is_planted(file: str, text: str) -> None:
    assert too_long(file, text)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("a.cpp", "int f() {\n" + "  g();\n" * 68 + "}\n"),
        ("a.cpp", "int x;\n" * 700),
        ("a.py", "def f():\n" + "    pass\n" * 69),
    ],
)
def test_checker_lets_pass_what_just_fits(file: str, text: str) -> None:
    assert too_long(file, text) == []
