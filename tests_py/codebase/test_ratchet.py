"""What may only become fewer: calls and words that belong in few places, counted per file.

A rule names a pattern, the files it looks at, and the files where the pattern is at home. What is
found elsewhere must be listed below with its number. A number that fell must be lowered here too.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest
from codebase import sources


class Rule(NamedTuple):
    pattern: str
    looks_at: tuple[str, ...]  # folders
    at_home: tuple[str, ...] = ()  # files and folders where it may stand
    listed: dict[str, int] = {}  # noqa: RUF012 - never changed
    code_only: bool = True  # comments and strings do not count


CORE = ("cpp/clew", "bindings")
RULES = {
    "clocks": Rule(
        r"\b(?:steady_clock|system_clock|high_resolution_clock)::now|\bclock_gettime\s*\(|"
        r"\bgettimeofday\s*\(|\bstd::time\s*\(|\btime\s*\(\s*(?:nullptr|NULL|0)\s*\)",
        CORE,
        ("cpp/clew/base/clock.cpp",),
    ),
    "chance": Rule(
        r"\brandom_device\b|\bgetrandom\s*\(|\bgetentropy\s*\(|\bs?rand\s*\(|\bmt19937",
        CORE,
        ("cpp/clew/base/env.cpp",),
    ),
    "sleeps": Rule(
        r"\bsleep_(?:for|until)\b|\busleep\s*\(|\bnanosleep\s*\(|(?<![\w.>])sleep\s*\(\s*\d",
        (*CORE, "tests_cpp"),
    ),
    "raw locks": Rule(
        r"\bstd::(?:shared_|recursive_|timed_)*mutex\b|\bstd::(?:lock_guard|scoped_lock)\b|"
        r"\bstd::condition_variable",
        CORE,
        ("cpp/clew/base/", "cpp/clew/exec/"),
    ),
    "raw threads": Rule(
        r"\bstd::(?:jthread|thread\s*[({;\s&*>]|async\b)|\bpthread_create\b|\.detach\(\)",
        CORE,
        ("cpp/clew/base/", "cpp/clew/exec/"),
    ),
    "the GIL": Rule(
        r"\bgil_scoped_\w+|\bPyGILState_\w+|\bPyEval_(?:Save|Restore|Acquire|Release)Thread\b|"
        r"\bPy_(?:BEGIN|END)_ALLOW_THREADS\b",
        ("bindings",),
        ("bindings/gil.",),
    ),
    "analysis switched off": Rule(
        r"\bCLEW_NO_ANALYSIS\b",
        CORE,
        ("cpp/clew/base/mutex.hpp",),
        # Conditions, and locks that a caller hands in: the analysis cannot follow either.
        {
            "cpp/clew/base/clock.cpp": 3,
            "cpp/clew/base/time.hpp": 1,
            "cpp/clew/exec/detail/quick_lock.hpp": 1,
        },
    ),
    "suppressions without a reason": Rule(
        r"NOLINT(?:NEXTLINE|BEGIN)?(?:\([^)]*\))?(?!\S*:? \w)|"
        r"#\s*noqa(?!: [A-Z]+[0-9]+(?:, ?[A-Z]+[0-9]+)* - \w)|"
        r"#\s*type:\s*ignore(?!\[[\w, -]+\]\s+# \w)|"
        r"#\s*pragma: no cover(?! - \w)",
        (*CORE, "tests_cpp", "python", "tests_py", "benchmarks", "examples", "cpp/cmake"),
        ("tests_py/codebase/test_ratchet.py",),
        code_only=False,
    ),
    "Python's clocks and chance": Rule(
        r"\btime\.(?:sleep|time|time_ns|monotonic|monotonic_ns|perf_counter)\(|"
        r"\bdatetime\.(?:now|utcnow|today)\(|\brandom\.\w+\(|\buuid\.uuid[14]\(|\bos\.urandom\(",
        ("python",),
        (),
        {
            "python/clew/_remote.py": 2,  # in another process, where no clock of ours is
            "python/clew/connectors.py": 1,  # of sockets and files, which know no other
            "python/clew/testing/_wrappers.py": 1,  # real time is what is asked for
        },
    ),
    "sleeping tests": Rule(r"\btime\.sleep\(", ("tests_py",), ("tests_py/codebase/",)),
    "unfinished work": Rule(
        r"\b(?:TODO|FIXME|XXX|HACK)\b",
        (*CORE, "tests_cpp", "python", "tests_py", "benchmarks", "examples", "cpp/cmake", ".ci"),
        ("tests_py/codebase/test_ratchet.py",),
        code_only=False,
    ),
}

# Folders of one machine, and the hosts of registries, have no place in any file.
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:work|root|home/[a-z]\w*)/[\w.]")
REGISTRIES = "|".join(
    rf"\b{host}\b"
    for host in (r"pypi\.org", r"crates\.io", r"npmjs\.(?:com|org)", r"golang\.org", r"debian\.org",
                 r"pythonhosted\.org", r"maven\.org")
)  # fmt: skip
REGISTRY = re.compile(REGISTRIES)
BINARY = {".png", ".gif", ".ico", ".db", ".wasm", ".gz", ".zip", ".so", ".0", ".whl", ".pyc"}


def count(rule: Rule, file: str, text: str) -> int:
    """Count what the rule finds in one file, given by its name and content."""
    if not file.startswith(tuple(f"{folder}/" for folder in rule.looks_at)):
        return 0
    if rule.at_home and file.startswith(rule.at_home):
        return 0
    if rule.code_only:
        text = sources.cpp_code(text) if file.endswith("pp") else re.sub(r"#[^\n]*", "", text)
    return len(re.findall(rule.pattern, text))


@pytest.mark.parametrize("rule", RULES.values(), ids=list(RULES))
def test_ratchet(rule: Rule) -> None:
    found: Counter[str] = Counter()
    for path in sources.files(*rule.looks_at):
        if path.suffix in (".cpp", ".hpp", ".py", ".pyi") or path.parent.name == ".ci":
            file = sources.name(path)
            found[file] += count(rule, file, path.read_text())
    assert {file: number for file, number in found.items() if number} == rule.listed


def alien_lines(text: str, pattern: re.Pattern[str]) -> list[str]:
    return [line.strip() for line in text.splitlines() if pattern.search(line)]


@pytest.mark.parametrize("pattern", [MACHINE_PATH, REGISTRY], ids=["machine paths", "registries"])
def test_no_file_names_one_machine_or_a_registry_host(pattern: re.Pattern[str]) -> None:
    found: dict[str, list[str]] = {}
    for path in sources.files():
        if path.suffix in BINARY or path == Path(__file__).resolve():
            continue
        lines = alien_lines(path.read_text(errors="replace"), pattern)
        if lines:
            found[sources.name(path)] = lines
    assert found == {}


@pytest.mark.parametrize(
    ("rule", "file", "line", "number"),
    [
        ("clocks", "cpp/clew/store/a.cpp", "auto t = std::chrono::steady_clock::now();", 1),
        ("clocks", "cpp/clew/store/a.cpp", "// steady_clock::now() is forbidden", 0),
        ("clocks", "cpp/clew/base/clock.cpp", "auto t = std::chrono::steady_clock::now();", 0),
        ("chance", "cpp/clew/exec/a.cpp", "std::random_device seed;", 1),
        ("sleeps", "tests_cpp/exec/a_test.cpp", "std::this_thread::sleep_for(1ms);", 1),
        ("sleeps", "cpp/clew/exec/a.cpp", "sleep(1);", 1),
        ("sleeps", "cpp/clew/exec/a.cpp", "sleeper.sleep(1); sleep(env, call);", 0),
        ("raw locks", "cpp/clew/store/a.hpp", "std::mutex m; std::lock_guard l(m);", 2),
        ("raw locks", "cpp/clew/store/a.hpp", "Mutex m; Lock l(m);", 0),
        ("raw locks", "cpp/clew/exec/a.hpp", "std::mutex m;", 0),
        ("raw threads", "cpp/clew/store/a.hpp", "std::thread t(f); t.detach();", 2),
        ("raw threads", "cpp/clew/store/a.hpp", "std::thread::id who;", 0),
        ("the GIL", "bindings/a.cpp", "py::gil_scoped_acquire gil;", 1),
        ("the GIL", "bindings/gil.hpp", "py::gil_scoped_acquire gil;", 0),
        ("suppressions without a reason", "cpp/clew/a.cpp", "f();  // NOLINT", 1),
        ("suppressions without a reason", "cpp/clew/a.cpp", "f();  // NOLINT(x): a reason", 0),
        ("suppressions without a reason", "python/clew/a.py", "f()  # noqa", 1),
        ("suppressions without a reason", "python/clew/a.py", "f()  # noqa: E501", 1),
        ("suppressions without a reason", "python/clew/a.py", "f()  # noqa: E501 - a link", 0),
        ("suppressions without a reason", "python/clew/a.py", "f()  # type: ignore[arg-type]", 1),
        ("suppressions without a reason", "python/clew/a.py", "f()  # type: ignore[x]  # why", 0),
        ("Python's clocks and chance", "python/clew/a.py", "time.sleep(1)", 1),
        ("sleeping tests", "tests_py/a.py", "time.sleep(1)", 1),
        ("unfinished work", "python/clew/a.py", "# TODO: more", 1),
    ],
)
def test_checker_counts_what_is_planted(rule: str, file: str, line: str, number: int) -> None:
    assert count(RULES[rule], file, line + "\n") == number


@pytest.mark.parametrize(
    ("line", "pattern", "found"),
    [
        ("cd /" + "work/main", MACHINE_PATH, True),
        ('path = "/' + 'root/x"', MACHINE_PATH, True),
        ("see ./work/main and docs/root/x", MACHINE_PATH, False),
        ("fetch from crates" + ".io", REGISTRY, True),
        ("the crate libsqlite3-sys", REGISTRY, False),
    ],
)
def test_checker_finds_planted_paths_and_hosts(
    line: str, pattern: re.Pattern[str], found: bool
) -> None:
    assert bool(alien_lines(line, pattern)) is found
