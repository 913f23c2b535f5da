"""Registration, traces, SQL, statistics, faults."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import clew
import pytest
from clew import _core

Register = Callable[..., str]


@pytest.fixture(autouse=True)
def _no_faults() -> Iterator[None]:
    yield
    _core.disarm_faults()


def test_registering_the_same_again_is_fine(runtime: _core.Runtime) -> None:
    contract = {"id": "t.f", "version": "1.0.0"}
    first = runtime.register(contract, lambda: 1, fingerprint="x")
    again = runtime.register(contract, lambda: 1, fingerprint="x")
    assert (first["already_registered"], again["already_registered"]) == (False, True)
    assert first["digest"] == again["digest"]
    with pytest.raises(clew.Conflict):
        runtime.register({**contract, "summary": "other"}, lambda: 1, fingerprint="x")


def test_production_replaces_nothing() -> None:
    runtime = _core.Runtime(workers=1, environment="production")
    contract = {"id": "t.f", "version": "1.0.0"}
    runtime.register(contract, lambda: 1, fingerprint="x")
    with pytest.raises(clew.Conflict):
        runtime.register(contract, lambda: 2, fingerprint="y")
    assert runtime.execute("t.f") == 1
    runtime.close()


@pytest.mark.parametrize(
    "options",
    [
        {"workers": 0},
        {"workers": 257},
        {"durability": "never"},
        {"environment": "test"},
        {"queue_max": 0},
        {"relaxed_window": "soon"},
        {"lease_ttl": -1},
    ],
    ids=str,
)
def test_bad_options_are_refused(options: dict[str, Any]) -> None:
    before = threading.active_count()
    with pytest.raises(clew.InvalidInput) as caught:
        _core.Runtime(**options)
    assert caught.value.context["path"] == next(iter(options))
    assert threading.active_count() == before


def test_contracts_are_checked_as_a_whole(runtime: _core.Runtime) -> None:
    with pytest.raises(clew.InvalidInput):
        runtime.register({"id": "Bad Id", "version": "1", "colour": 1}, lambda: 1)
    with pytest.raises(clew.InvalidInput, match="a callable"):
        runtime.register({"id": "t.f", "version": "1.0.0"}, 5)  # type: ignore[arg-type]  # on purpose
    with pytest.raises(clew.InvalidInput, match="kind"):
        runtime.register({"id": "t.f", "version": "1.0.0"}, len, kind="sync")  # type: ignore[arg-type]  # on purpose
    with pytest.raises(clew.NotFound, match="echo, fail, nothing, sleep"):
        runtime.register_native({"id": "t.f", "version": "1.0.0"}, "absent")
    assert runtime.capabilities() == []


def test_what_is_registered_can_be_seen(runtime: _core.Runtime, native: Register) -> None:
    native("echo", summary="Gives back.")
    runtime.register_native({"id": "n.echo", "version": "1.2.0"}, "echo")
    shown = runtime.capabilities()
    assert [(c["id"], c["version"], c["kind"]) for c in shown] == [
        ("n.echo", "1.2.0", "native"),
        ("n.echo", "1.0.0", "native"),
    ]
    assert runtime.resolve("n.echo@1.0.0")["contract"]["summary"] == "Gives back."
    assert runtime.resolve("n.echo@^1")["version"] == "1.2.0"
    with pytest.raises(clew.Ambiguous):
        runtime.resolve("n.echo")


def test_traces_can_be_searched(runtime: _core.Runtime, native: Register) -> None:
    native("echo"), native("fail")
    began = runtime.now()
    for n in range(5):
        runtime.execute("n.echo", {"n": n})
    with pytest.raises(clew.Conflict):
        runtime.execute("n.fail", {"code": "conflict"})
    everything, cursor = runtime.traces()
    assert (len(everything), cursor) == (6, None)
    assert runtime.traces(outcome="failure")[0] == [t for t in everything if t["code"]]
    assert len(runtime.traces(capability="n.echo", version="1.0.0")[0]) == 5
    assert len(runtime.traces(code="conflict")[0]) == 1
    assert len(runtime.traces(since=began)[0]) == 6
    assert runtime.traces(until=began - timedelta(seconds=1))[0] == []
    page, cursor = runtime.traces(limit=4)
    rest, end = runtime.traces(limit=4, cursor=cursor)
    assert (page + rest, end) == (everything, None)
    with pytest.raises(clew.InvalidInput):
        runtime.traces(outcome="sucess")
    with pytest.raises(clew.InvalidInput):
        runtime.traces(limit=0)
    with pytest.raises(clew.NotFound):
        runtime.trace("00000000-0000-7000-8000-000000000000")


def test_sql_reads_and_only_reads(runtime: _core.Runtime, native: Register) -> None:
    runtime.execute(native("echo"))
    rows = runtime.sql("SELECT capability, outcome, ? AS given FROM v_traces", ["x"])
    assert rows == [{"capability": "n.echo", "outcome": "success", "given": "x"}]
    with pytest.raises(clew.InvalidInput):
        runtime.sql("DELETE FROM v_traces")
    with pytest.raises(clew.InvalidInput, match="by position"):
        runtime.sql("SELECT :x", {"x": 1})


def test_statistics_and_health(runtime: _core.Runtime, native: Register) -> None:
    runtime.execute(native("echo"))
    assert runtime.stats()["calls"]["success"] == 1
    assert runtime.health() == {"status": "ok", "problems": []}
    assert runtime.verify() == []
    assert _core.live_runtimes() >= 1


# --- faults ---


def test_faults_are_listed_and_found_by_name() -> None:
    names = _core.fault_points()
    assert names == sorted(names)
    assert names
    with pytest.raises(clew.NotFound):
        _core.arm_fault("no.such.point")
    with pytest.raises(clew.InvalidInput, match="action"):
        _core.arm_fault(names[0], "explode")  # type: ignore[arg-type]  # on purpose
    with pytest.raises(clew.InvalidInput, match="code"):
        _core.arm_fault(names[0], code="worse")
    with pytest.raises(clew.InvalidInput, match="an integer from 1"):
        _core.arm_fault(names[0], at=0)
    assert _core.fault_hits(names[0]) == 0


def commit_point() -> str:
    return next(name for name in _core.fault_points() if "commit" in name)


def test_an_armed_fault_fails_a_commit(tmp_path: Path) -> None:
    runtime = _core.Runtime(str(tmp_path / "work.db"), workers=1)
    definition, _ = _core.load_text("workflow: t.w\nversion: 1.0.0\nsteps:\n  a: {call: n.echo}\n")
    assert definition is not None
    runtime.register_native({"id": "n.echo", "version": "1.0.0"}, "echo")
    point = commit_point()

    def fails() -> bool:
        _core.arm_fault(point, "error", code="unavailable")
        try:
            runtime.start(definition, {}).result(10)
        except clew.Unavailable:
            return True
        return False

    # The runtime renews its own life at the start: that commit may take what was meant for a run's.
    assert any(fails() for _ in range(10))
    assert _core.fault_hits(point) >= 1
    _core.disarm_faults()
    assert _core.fault_hits(point) == 0
    runtime.close()


def test_an_action_in_python_may_raise(tmp_path: Path) -> None:
    point = commit_point()
    seen: list[int] = []

    def action() -> None:
        seen.append(1)
        raise clew.Unavailable("told so")

    _core.arm_fault(point, action, at=1_000_000)
    runtime = _core.Runtime(str(tmp_path / "work.db"), workers=1)
    runtime.close()
    assert seen == []
