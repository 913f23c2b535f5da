"""The conformance suites as pytest cases, on the stores at hand."""

from __future__ import annotations

from pathlib import Path

import clew
import pytest
from clew.testing import ConformanceCase, conformance_cases

CASES = conformance_cases()


def test_there_are_suites_for_all_stores() -> None:
    assert {case.suite for case in CASES} == {
        "effects",
        "process_registry",
        "process_rulings",
        "runtime_persistence",
        "queued_work",
        "attachment_store",
        "artifact_store",
        "host_event_store",
    }
    assert len({str(case) for case in CASES}) == len(CASES)


# The C++ tests run all of them everywhere: here it is the way through Python that is tried.
@pytest.mark.parametrize("case", CASES, ids=str)
def test_each_case_holds_in_memory(case: ConformanceCase) -> None:
    if not case.can_run(":memory:"):
        with pytest.raises(clew.Unsupported):
            case.run(":memory:")
        return
    case.run(":memory:")


# Unlike a database in memory, a file is the same one each time that a case opens it.
@pytest.mark.parametrize("case", CASES, ids=str)
def test_each_case_holds_on_a_file(tmp_path: Path, case: ConformanceCase) -> None:
    case.run(str(tmp_path / "work.db"), str(tmp_path / "files"))


def test_a_rule_that_does_not_hold_is_an_assertion_with_its_text(tmp_path: Path) -> None:
    store = str(tmp_path / "work.db")
    with clew.Runtime(store) as rt:
        rt.processes.register_process("proc-2", {"something": "else"})
    case = ConformanceCase(
        "process_registry", "await_reads_terminal_materialized_output", "nothing"
    )
    with pytest.raises(AssertionError, match="does not hold: register"):
        case.run(store)


def test_a_case_that_there_is_not_is_not_found() -> None:
    with pytest.raises(clew.NotFound):
        ConformanceCase("process_registry", "no_such", "nothing").run(":memory:")
