"""Workflows as data, and the runs that are started from them."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import clew
import pytest

TEXT = """\
workflow: text.report
version: 1.0.0
description: Counts words.
input: {type: object, required: [docs], properties: {docs: {type: array}}}
steps:
  count:
    for_each: "{{ input.docs }}"
    call: text.words@^1
    with: {doc: "{{ item }}"}
  total:
    call: text.total@^1
    with: {counts: "{{ steps.count.output }}"}
output: {total: "{{ steps.total.output }}"}
"""
ONE_STEP = """\
workflow: text.one
version: 1.0.0
steps: {only: {call: text.words@^1, with: {doc: a b}}}
output: "{{ steps.only.output }}"
"""
BROKEN = TEXT.replace("call: text.total@^1", "cal: text.total@^1").replace("1.0.0", "v1")


@pytest.fixture
def rt(clew_runtime: clew.Runtime) -> clew.Runtime:
    @clew.capability("text.words", version="1.2.0")
    def words(doc: str) -> int:
        return len(doc.split())

    @clew.capability("text.total", version="1.0.0")
    def total(counts: list[int]) -> int:
        return sum(counts)

    clew_runtime.register(words)
    clew_runtime.register(total)
    return clew_runtime


DOCS = {"docs": ["a b", "c", ""]}


def test_a_workflow_loads_alike_from_file_text_and_data(tmp_path: Path) -> None:
    file = tmp_path / "report.yaml"
    file.write_text(TEXT)
    from_text = clew.load(TEXT)
    assert (from_text.name, from_text.version) == ("text.report", "1.0.0")
    assert from_text.description == "Counts words."
    assert [step["name"] for step in from_text.steps()] == ["count", "total"]
    assert from_text.steps()[1]["after"] == ["count"]
    for other in (clew.load(file), clew.load(str(file)), clew.load(from_text.document)):
        assert other == from_text
        assert hash(other) == hash(from_text)
    assert from_text.problems == ()


# Parity: workflow validate
def test_all_problems_are_listed_with_line_and_suggestion(tmp_path: Path) -> None:
    file = tmp_path / "report.yaml"
    file.write_text(BROKEN)
    with pytest.raises(clew.InvalidInput) as raised:
        clew.load(file)
    error = raised.value
    assert error.message.startswith("report.yaml: line 2: version")
    listed = error.context["problems"]
    assert len(listed) >= 2
    assert all({"path", "line", "message", "suggestion"} == set(one) for one in listed)

    loose = clew.load(BROKEN, strict=False)
    assert [one.line for one in loose.problems] == sorted(one.line for one in loose.problems)
    assert any(one.suggestion == "call" for one in loose.problems)
    assert "problems" in repr(loose)
    with pytest.raises(clew.InvalidInput):
        loose.name  # noqa: B018 - the access is the test


def test_no_file_bad_bytes_and_other_things_are_named(tmp_path: Path) -> None:
    with pytest.raises(clew.NotFound):
        clew.load(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_bytes(b"\xff\xfe\xff")
    for source in (tmp_path / "bad.yaml", tmp_path, 3, b"x", ""):
        with pytest.raises(clew.InvalidInput):
            clew.load(source)  # type: ignore[arg-type]  # that is the point


def test_check_names_capabilities_that_are_not_there(rt: clew.Runtime) -> None:
    assert clew.load(TEXT).check(rt) == []
    (problem,) = clew.load(TEXT.replace("text.words@^1", "text.wrods@^1")).check(rt)
    assert problem.path.startswith("steps.count")
    assert "text.wrods" in problem.message
    assert "text.words" in problem.suggestion + problem.message
    assert clew.load(BROKEN, strict=False).check(rt) != []


def test_a_run_starts_from_anything_and_gives_the_output(rt: clew.Runtime, tmp_path: Path) -> None:
    file = tmp_path / "report.yaml"
    file.write_text(TEXT)
    workflow = clew.load(TEXT)
    assert rt.publish_workflow(workflow) is workflow
    assert rt.find_workflow("text.report") == workflow
    for source in (workflow, file, str(file), TEXT, workflow.document, "text.report@^1"):
        run = rt.start(source, DOCS, tags=["t"])
        assert run.result(30) == {"total": 3}
        assert run.status == "completed"
        assert run.done()
    info = rt.run(run.id).info
    assert (info.workflow, info.version, info.status) == ("text.report", "1.0.0", "completed")
    assert (info.tags, info.input, info.output) == (("t",), DOCS, {"total": 3})
    assert len(rt.runs(tag="t")) == 6
    assert len(rt.runs(status="failed")) == 0


def test_the_same_id_with_the_same_input_is_the_same_run(rt: clew.Runtime) -> None:
    first = rt.start(TEXT, DOCS, id="once")
    assert rt.start(TEXT, DOCS, id="once") == first
    with pytest.raises(clew.Conflict):
        rt.start(TEXT, {"docs": []}, id="once")
    assert first.result(30) == {"total": 3}
    assert len(rt.runs()) == 1


def test_the_same_key_with_the_same_input_is_the_same_run(rt: clew.Runtime) -> None:
    run = rt.start(TEXT, DOCS, key="order-7")
    assert rt.start(TEXT, DOCS, key="order-7").id == run.id
    assert run.info.key == "order-7"
    with pytest.raises(clew.Conflict) as conflict:
        rt.start(TEXT, {"docs": []}, key="order-7")
    assert conflict.value.context["path"] == "input.docs[0]"
    assert rt.start(ONE_STEP, key="order-7").id != run.id  # another workflow's key is another
    run.result(30)
    assert len(rt.runs(workflow="text.report")) == 1


def test_a_budget_is_refused_until_it_is_kept(rt: clew.Runtime) -> None:
    with pytest.raises(clew.Unsupported):
        rt.start(TEXT, DOCS, budget={"calls": 1})  # type: ignore[arg-type]  # that is the test
    assert len(rt.runs()) == 0


def test_steps_and_events_tell_the_history(rt: clew.Runtime) -> None:
    run = rt.start(TEXT, DOCS)
    followed = [(event.seq, event.type) for event in run.events(follow=True)]
    assert [seq for seq, _ in followed] == list(range(1, len(followed) + 1))
    assert followed == [(event.seq, event.type) for event in run.events()]
    assert [event.seq for event in run.events(after=2)] == list(range(3, len(followed) + 1))
    count, total = run.steps()
    assert (count.id, count.status, count.items, count.items_done) == ("count", "completed", 3, 3)
    assert (total.output, total.error) == (3, None)


async def test_events_can_be_followed_asynchronously(rt: clew.Runtime) -> None:
    run = rt.start(TEXT, DOCS)
    seen = [event.seq async for event in run.events(follow=True)]
    assert seen == list(range(1, len(seen) + 1))
    assert await run == {"total": 3}


def test_a_failed_run_raises_its_error(rt: clew.Runtime) -> None:
    @clew.capability("text.total", version="1.5.0")
    def total(counts: list[int]) -> int:
        raise ZeroDivisionError("no total")

    rt.register(total)
    run = rt.start(TEXT, DOCS)
    with pytest.raises(clew.ExecutionFailed, match="no total"):
        run.result(30)
    info = run.info
    assert (info.status, info.failed_step) == ("failed", "total")
    assert info.error is not None
    assert run.steps()[1].error is not None


def test_a_run_can_be_cancelled_once(rt: clew.Runtime) -> None:
    entered = threading.Event()

    @clew.capability("text.total", version="1.5.0")
    def total(counts: list[int], ctx: clew.Context) -> int:
        entered.set()
        wait: Any = threading.Event()
        while True:
            ctx.check_cancelled()
            wait.wait(0.005)

    rt.register(total)
    run = rt.start(TEXT, DOCS)
    assert entered.wait(30)
    with pytest.raises(clew.Timeout):
        run.result(0.01)
    run.cancel("enough")
    with pytest.raises(clew.Cancelled):
        run.result(30)
    assert run.status == "cancelled"
    with pytest.raises(clew.Conflict):
        run.cancel()


def test_a_run_goes_on_in_the_next_runtime_on_the_store(
    clew_no_leaks: None, tmp_path: Path
) -> None:
    store = tmp_path / "work.db"
    entered = threading.Event()

    @clew.capability("text.words", version="1.2.0")
    def endless(doc: str, ctx: clew.Context) -> int:
        entered.set()
        pause = threading.Event()
        while True:
            ctx.check_cancelled()
            pause.wait(0.005)

    @clew.capability("text.words", version="1.2.0")
    def words(doc: str) -> int:
        return len(doc.split())

    one = clew.Runtime(store)
    one.register(endless)
    run_id = one.start(ONE_STEP, {}).id
    assert entered.wait(30)
    one.close(drain=False)

    with clew.Runtime(store) as two:
        two.register(words)
        assert two.run(run_id).result(30) == 2
        assert two.verify() == []
