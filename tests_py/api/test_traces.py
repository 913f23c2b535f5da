"""What a trace tells: the way of its call, what was considered, whose it is; and exports."""

from __future__ import annotations

import hashlib
import io
import json
import sys
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import clew
import clew.aio
import pytest

REMOTE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@clew.capability("test.double", version="1.0.0")
def double(n: int) -> int:
    if n < 0:
        raise ValueError("below zero")
    return 2 * n


def way(trace: clew.Trace) -> list[tuple[str, str | None]]:
    return [(hop.stage, hop.reason) for hop in trace.hops]


# --- the way of a call ---


def test_a_trace_tells_each_hop_with_its_reason_and_the_measured_times(
    clew_runtime: clew.Runtime,
) -> None:
    clew_runtime.register(double)
    call = clew_runtime.submit(double, {"n": 2})
    call.result()
    assert call.trace is not None
    assert way(call.trace) == [
        ("received", None),
        ("resolved", "reference_resolved"),
        ("admitted", "request_admitted"),
        ("placed", "only_candidate"),
        ("queued", "handed_over"),
        ("running", "began"),
        ("settling", "handler_returned"),
        ("success", "result_accepted"),
    ]
    assert way(clew_runtime.trace(call.id)) == way(call.trace)
    at = {hop.stage: hop.at for hop in call.trace.hops}
    began = call.trace.started + timedelta(microseconds=call.trace.queue_us)
    assert at["received"] == call.trace.started
    assert at["running"] == began
    assert at["success"] == began + timedelta(microseconds=call.trace.run_us)
    assert at["placed"] is None  # was not measured


@pytest.mark.parametrize(
    ("ref", "given", "options", "last"),
    [
        ("test.absent", {}, {}, ("rejected", "reference_not_resolved")),
        ("test.double", {"n": "two"}, {}, ("rejected", "input_invalid")),
        ("test.double", {"n": 2}, {"target": "moon"}, ("rejected", "no_eligible_target")),
        ("test.double", {"n": -1}, {}, ("failure", "handler_failed")),
    ],
)
def test_the_last_hop_says_why_a_call_ended(
    clew_runtime: clew.Runtime,
    ref: str,
    given: Any,
    options: dict[str, Any],
    last: tuple[str, str],
) -> None:
    clew_runtime.register(double)
    with pytest.raises(clew.ClewError):
        clew_runtime.execute(ref, given, **options)
    (trace,) = clew_runtime.traces()
    assert way(trace)[-1] == last
    assert trace.outcome == last[0]


# --- what was considered ---


def test_a_trace_has_the_versions_and_executors_that_were_rejected(
    clew_runtime: clew.Runtime,
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def made(version: str) -> clew.Registration:
        return clew_runtime.register(clew.capability("test.some", version=version)(lambda: None))

    for version in ("1.0.0", "1.1.0", "2.0.0"):
        made(version)
    clew_runtime.set_lifecycle("test.some@1.1.0", "retired")
    with ThreadPoolExecutor(1) as other:
        clew_runtime.add_executor("other", other, targets=["local"])
        clew_runtime.execute("test.some@^1")
    (trace,) = clew_runtime.traces()
    assert trace.version == "1.0.0"
    assert [(one.version, one.rejected) for one in trace.versions] == [
        ("1.1.0", "is retired"),
        ("1.0.0", None),
    ]
    rejected = {one.executor: one.rejected for one in trace.executors}
    assert rejected[str(trace.executor)] is None
    assert rejected["other" if trace.executor == "python" else "python"] == "comes later by name"
    assert "does not run python handlers" in str(rejected["native"])


def test_without_a_choice_nothing_was_considered(clew_runtime: clew.Runtime) -> None:
    clew_runtime.register(double)
    clew_runtime.execute("test.double", {"n": 1})
    (trace,) = clew_runtime.traces()
    assert (trace.versions, trace.executors) == ((), ())


# --- W3C trace context ---


def test_calls_within_calls_belong_to_the_trace_of_the_outermost(
    clew_runtime: clew.Runtime,
) -> None:
    seen: list[str] = []

    @clew.capability("test.inner", version="1.0.0")
    async def inner(ctx: clew.Context) -> None:
        seen.append(ctx.traceparent)

    @clew.capability("test.outer", version="1.0.0")
    def outer(ctx: clew.Context) -> None:
        seen.append(ctx.traceparent)
        ctx.call("test.inner")

    clew_runtime.register(inner)
    clew_runtime.register(outer)
    clew_runtime.execute(outer, traceparent=REMOTE)
    assert [one.split("-")[1] for one in seen] == [REMOTE.split("-")[1]] * 2
    assert seen[0].split("-")[2] != seen[1].split("-")[2] != REMOTE.split("-")[2]
    below, above = clew_runtime.traces()
    assert [above.traceparent, below.traceparent] == seen
    assert above.remote_parent == REMOTE.split("-")[2]
    assert (below.remote_parent, below.parent) == (None, above.id)
    rows = clew_runtime.sql("SELECT traceparent, remote_parent FROM v_traces ORDER BY id")
    assert [row["traceparent"] for row in rows] == seen
    assert [row["remote_parent"] for row in rows] == [REMOTE.split("-")[2], None]

    clew_runtime.execute(outer)  # nobody's: it begins a trace of its own
    assert seen[2].split("-")[1] == seen[3].split("-")[1] != REMOTE.split("-")[1]


@pytest.mark.parametrize("bad", ["", "00-1", REMOTE.upper(), REMOTE + "-x", 7, b"00"])
def test_what_is_no_traceparent_is_refused_before_there_is_a_call(
    clew_runtime: clew.Runtime, bad: Any
) -> None:
    clew_runtime.register(double)
    for call in (clew_runtime.execute, clew_runtime.submit):
        with pytest.raises(clew.InvalidInput) as caught:
            call(double, {"n": 1}, traceparent=bad)
        assert caught.value.context["path"] == "traceparent"
    assert len(clew_runtime.traces()) == 0


async def test_a_traceparent_given_in_asyncio_arrives() -> None:
    async with clew.aio.Runtime() as rt:
        rt.register(double)
        await rt.execute(double, {"n": 1}, traceparent=REMOTE)
        (trace,) = await rt.traces()
        assert trace.traceparent.startswith(REMOTE[:36])


# --- export ---


@pytest.fixture
def used(clew_runtime: clew.Runtime) -> clew.Runtime:
    """Return a runtime with two successes and a failure."""
    clew_runtime.register(double)
    for n in (1, 2, -1):
        clew_runtime.submit(double, {"n": n}).exception(timeout=30)
    return clew_runtime


# Parity: trace tiers
def test_what_is_public_holds_no_digest_and_nothing_holds_a_payload(
    used: clew.Runtime, tmp_path: Path
) -> None:
    file = tmp_path / "traces.jsonl"
    assert used.export_traces(file) == 3
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row["outcome"] for row in rows] == ["failure", "success", "success"]
    assert not {"input_sha256", "output_sha256"} & set(rows[0])
    assert datetime.fromisoformat(rows[0]["started"]) == used.traces()[0].started
    assert rows[0]["hops"][-1]["reason"] == "handler_failed"

    private = io.StringIO()
    assert used.export_traces(private, tier="private") == 3
    newest = json.loads(private.getvalue().splitlines()[0])
    assert newest["input_sha256"] == hashlib.sha256(b'{"n":-1}').hexdigest()
    assert newest["output_sha256"] is None
    assert "below zero" not in private.getvalue()
    assert list(tmp_path.iterdir()) == [file]  # nothing else was left


def test_an_export_keeps_to_the_filters_and_to_what_had_ended(used: clew.Runtime) -> None:
    lines = io.StringIO()
    assert used.export_traces(lines, capability="test.double", outcome="success") == 2
    assert used.export_traces(lines, since=datetime(2100, 1, 1, tzinfo=timezone.utc)) == 0

    class Calling(io.StringIO):
        def write(self, text: str) -> int:
            used.execute(double, {"n": 5})  # newer than the first page
            return super().write(text)

    assert used.export_traces(Calling()) == 3


def test_an_export_goes_on_over_pages(clew_runtime: clew.Runtime) -> None:
    clew_runtime.register(double)
    count = 10_050  # a page has 10,000
    for _ in clew_runtime.map(double, ({"n": n} for n in range(count))):
        pass
    lines = io.StringIO()
    assert clew_runtime.export_traces(lines) == count
    assert len({json.loads(line)["id"] for line in lines.getvalue().splitlines()}) == count


def test_a_file_that_cannot_be_written_whole_is_left_as_it_was(
    used: clew.Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "traces.jsonl"
    file.write_text("before")

    def fail(*_: Any) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="full"):
        used.export_traces(file)
    assert file.read_text() == "before"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("path", "call"),
    [
        ("tier", lambda rt: rt.export_traces(io.StringIO(), tier="secret")),
        ("to", lambda rt: rt.export_traces(7)),
        ("outcome", lambda rt: rt.export_traces(io.StringIO(), outcome="fine")),
        ("kind", lambda rt: rt.trace_frame("table")),
        ("tier", lambda rt: rt.trace_frame("arrow", tier="secret")),
    ],
)
def test_what_is_wrong_with_an_export_is_named(
    used: clew.Runtime, path: str, call: Callable[[clew.Runtime], Any]
) -> None:
    with pytest.raises(clew.InvalidInput) as caught:
        call(used)
    assert caught.value.context["path"] == path


def test_an_arrow_table_has_types_also_when_it_is_empty(used: clew.Runtime) -> None:
    import pyarrow as pa

    table = used.trace_frame("arrow")
    assert table.column("outcome").to_pylist() == ["failure", "success", "success"]
    assert table.column("started").to_pylist()[0] == used.traces()[0].started
    assert table.schema.field("started").type == pa.timestamp("us", tz="UTC")
    assert table.schema.field("run_us").type == pa.int64()
    assert "input_sha256" not in table.column_names
    assert "input_sha256" in used.trace_frame("arrow", tier="private").column_names
    empty = used.trace_frame("arrow", capability="test.absent")
    assert (empty.num_rows, empty.schema) == (0, table.schema)


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_a_data_frame_has_types_also_when_it_is_empty(used: clew.Runtime, kind: Any) -> None:
    frame = used.trace_frame(kind)
    assert list(frame["outcome"]) == ["failure", "success", "success"]
    started = next(iter(frame["started"]))
    assert started == used.traces()[0].started
    assert json.loads(next(iter(frame["hops"])))[0]["stage"] == "received"
    assert list(frame["run_us"]) == [trace.run_us for trace in used.traces()]
    empty = used.trace_frame(kind, capability="test.absent")
    assert len(empty) == 0
    assert list(empty.dtypes) == list(frame.dtypes)


@pytest.mark.parametrize(
    ("kind", "library"), [("arrow", "pyarrow"), ("pandas", "pandas"), ("polars", "polars")]
)
def test_a_library_that_is_not_installed_is_named(
    used: clew.Runtime, kind: Any, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(clew.Unsupported, match=f"pip install {library}"):
        used.trace_frame(kind)


async def test_exports_in_asyncio_are_the_same(tmp_path: Path) -> None:
    async with clew.aio.Runtime() as rt:
        rt.register(double)
        await rt.execute(double, {"n": 1})
        assert await rt.export_traces(tmp_path / "traces.jsonl") == 1
        assert (await rt.trace_frame("arrow", run=None)).num_rows == 1
