"""What people see: one line, small tables, a progress bar only where somebody looks."""

from __future__ import annotations

import io
import threading
from datetime import datetime, timezone
from typing import Any

import clew
import pytest
from clew import _html, _progress

EVIL = "<script>alert('x')</script>"
SECRET = "secret-payload"
AT = datetime(2026, 1, 2, tzinfo=timezone.utc)


def one_step(call: str = "test.keep@^1") -> dict[str, Any]:
    return {
        "workflow": "test.flow",
        "version": "1.0.0",
        "steps": {
            "keep": {"call": call, "with": {"text": SECRET}},
            "next": {"call": call, "with": {"text": "b"}, "after": "keep"},
        },
        "output": "{{ steps.keep.output }}",
    }


@clew.capability("test.keep", version="1.0.0", tags=[EVIL], summary=EVIL)
def keep(text: str) -> str:
    return text


def test_reprs_are_one_line_without_payloads(clew_runtime: clew.Runtime) -> None:
    registration = clew_runtime.register(keep)
    call = clew_runtime.submit("test.keep", {"text": SECRET})
    call.result(30)
    run = clew_runtime.start(one_step(), {})
    run.result(30)
    shown = [
        registration,
        keep.descriptor,
        call,
        run,
        run.info,
        run.steps()[0],
        next(run.events()),
        clew_runtime,
        clew_runtime.traces(),
        clew_runtime.traces()[0],
        clew_runtime.runs(),
        clew.load(one_step()),
        clew.Retry(attempts=2),
    ]
    for one in shown:
        text = repr(one)
        assert "\n" not in text
        assert SECRET not in text
        assert len(text) < 400


def test_html_is_escaped_and_without_payloads(clew_runtime: clew.Runtime) -> None:
    clew_runtime.register(keep)
    run = clew_runtime.start(one_step(), {})
    run.result(30)
    for one in (
        run,
        run.info,
        clew_runtime.traces(),
        clew_runtime.runs(),
        clew_runtime.resolve("test.keep"),
        keep.descriptor,
        clew.load(one_step()),
        clew.load("workflow: <b>\nversion: 1.0.0", strict=False),
    ):
        html = one._repr_html_()
        assert "<script>" not in html
        assert SECRET not in html
        assert "<table" in html or "<svg" in html
    assert run._repr_html_().count("<svg") == 2
    assert "keep: completed" in run._repr_html_()


def test_neither_blocks_nor_raises_after_close(clew_no_leaks: None) -> None:
    rt = clew.Runtime()
    rt.register(keep)
    run = rt.start(one_step(), {})
    call = rt.submit("test.keep", {"text": "a"})
    call.result(30)
    rt.close()
    assert run.id in repr(run)
    assert run.id in run._repr_html_()
    assert call.id in repr(call)


def test_tables_escape_their_cells_and_are_bounded() -> None:
    html = _html.table([{EVIL: EVIL, "at": AT, "none": None, "list": ("a", "b")}] * 300)
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "2026-01-02" in html
    assert "and 100 more" in html
    assert _html.table([]) == "<p>nothing</p>"


def test_the_graph_puts_each_step_right_of_what_it_waits_for() -> None:
    steps = [
        {"name": "d", "after": ["b", "c"]},
        {"name": "b", "after": ["a"]},
        {"name": "c", "after": ["a"]},
        {"name": "a", "after": []},
    ]
    assert _html.columns(steps) == [["a"], ["b", "c"], ["d"]]
    svg = _html.graph(steps, {"a": EVIL})
    assert svg.count("<rect") == 4
    assert svg.count("<path") == 4
    assert "<script>" not in svg


def test_mermaid_names_each_step_and_edge(clew_runtime: clew.Runtime) -> None:
    clew_runtime.register(keep)
    run = clew_runtime.start(one_step(), {})
    run.result(30)
    assert run.graph().splitlines() == [
        "flowchart LR",
        '  s0["keep: completed"]',
        '  s1["next: completed"]',
        "  s0 --> s1",
    ]


def test_pages_are_sequences_with_a_cursor(clew_runtime: clew.Runtime) -> None:
    clew_runtime.register(keep)
    for text in "abc":
        clew_runtime.execute("test.keep", {"text": text})
    page = clew_runtime.traces(limit=2)
    assert (len(page), page.next_cursor is None) == (2, False)
    rest = clew_runtime.traces(limit=2, cursor=page.next_cursor)
    assert (len(rest), rest.next_cursor) == (1, None)
    both = [*page, *rest]
    assert len({trace.id for trace in both}) == 3
    assert both == list(clew_runtime.traces())
    assert page.to_dicts()[0]["capability"] == "test.keep"
    assert page[0] in page
    assert page[:1] == (page[0],)
    assert clew_runtime.trace(page[0].id) == page[0]


# --- progress -----------------------------------------------------------------------------------


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


INFO = {
    "workflow": "test.flow",
    "steps_done": 3,
    "steps_total": 6,
    "status": "running",
    "waiting_for": None,
    "key": None,
}


def test_the_bar_fits_its_line_and_shows_no_control_characters() -> None:
    line = _progress.line_of({**INFO, "waiting_for": "a\x1b[31mb"}, 60, fancy=True)
    assert "3/6 running" in line
    assert "\x1b" not in line
    assert "█" in line
    assert _progress.line_of(INFO, 60, fancy=False).isascii()
    assert len(_progress.line_of(INFO, 20, fancy=True)) < 20
    assert "0/0" in _progress.line_of({**INFO, "steps_done": 0, "steps_total": 0}, 80, fancy=True)


def test_the_bar_comes_late_and_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr("sys.stderr", screen)
    bar = _progress.make_bar()
    assert bar is not None
    for _ in range(3):
        bar.show(INFO)
    assert screen.getvalue() == ""
    bar.show(INFO)
    assert "3/6" in screen.getvalue()
    bar.close()
    assert screen.getvalue().endswith(" \r")


@pytest.mark.parametrize(
    ("stream", "setting"), [(io.StringIO(), "1"), (Terminal(), "0"), (None, "1")]
)
def test_nobody_looks_no_bar(monkeypatch: pytest.MonkeyPatch, stream: Any, setting: str) -> None:
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("CLEW_PROGRESS", setting)
    assert _progress.make_bar() is None


def test_result_draws_on_a_terminal_and_cleans_up(
    clew_runtime: clew.Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()

    @clew.capability("test.keep", version="1.0.0")
    def slow(text: str) -> str:
        assert go.wait(30)
        return text

    class Watched(Terminal):
        def write(self, text: str) -> int:
            go.set()  # something was drawn: let the run end
            return super().write(text)

    screen = Watched()
    monkeypatch.setattr("sys.stderr", screen)
    clew_runtime.register(slow)
    run = clew_runtime.start(one_step(), {})
    assert run.result() == SECRET
    assert "test.flow" in screen.getvalue()
    assert SECRET not in screen.getvalue()
    assert screen.getvalue().endswith("\r")
