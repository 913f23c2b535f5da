"""What is kept alive, and what goes, and when."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import clew
import pytest
from clew import _core

Register = Callable[..., str]


class Witness:
    """Something a function refers to; its weak reference tells when it has gone."""


def function_with(witness: Witness) -> Callable[..., Any]:
    def handler(**_: Any) -> str:
        return type(witness).__name__

    return handler


def test_a_closed_runtime_lets_go_of_its_functions(runtime: _core.Runtime, add: Register) -> None:
    witness = Witness()
    gone = weakref.ref(witness)
    ref = add(function_with(witness))
    del witness
    assert runtime.execute(ref) == "Witness"
    call = runtime.submit(ref)
    call.wait(10)
    assert gone() is not None
    runtime.close()
    del call
    gc.collect()
    assert gone() is None


def test_a_dropped_runtime_closes() -> None:
    witness = Witness()
    gone = weakref.ref(witness)
    runtime = _core.Runtime(workers=1)
    runtime.register({"id": "t.f", "version": "1.0.0"}, function_with(witness))
    call = runtime.submit("t.f")
    call.wait(10)
    before = _core.live_runtimes()
    del runtime, witness
    assert _core.live_runtimes() == before - 1
    assert call.result() == "Witness"  # what is done stays readable
    del call
    assert gone() is None


def test_a_cycle_through_a_handler_is_collected() -> None:
    runtime = _core.Runtime(workers=1)
    gone = weakref.ref(runtime)

    def cyclic(runtime: _core.Runtime) -> None:
        def handler() -> int:
            return id(runtime)

        runtime.register({"id": "t.f", "version": "1.0.0"}, handler)

    cyclic(runtime)
    assert runtime.execute("t.f") == id(runtime)
    del runtime
    gc.collect()
    assert gone() is None


def test_a_subclass_in_a_cycle_is_collected_too() -> None:
    class Mine(_core.Runtime):
        pass

    runtime = Mine(workers=1)
    runtime.me = runtime  # type: ignore[attr-defined]  # the cycle
    gone = weakref.ref(runtime)
    del runtime
    gc.collect()
    assert gone() is None


def test_a_replaced_function_goes_once_its_traces_are_written(tmp_path: Path) -> None:
    runtime = _core.Runtime(str(tmp_path / "work.db"), workers=1)
    witness = Witness()
    gone = weakref.ref(witness)
    contract = {"id": "t.f", "version": "1.0.0"}
    runtime.register(contract, function_with(witness), fingerprint="a")
    runtime.execute("t.f")
    del witness
    runtime.register(contract, function_with(Witness()), fingerprint="b")
    runtime.execute("t.f")
    assert len(runtime.traces()[0]) == 2
    gc.collect()
    assert gone() is None
    runtime.close()


def test_inputs_and_outputs_leave_nothing_behind(runtime: _core.Runtime, add: Register) -> None:
    seen: list[weakref.ref[Any]] = []

    class Data(dict[str, Any]):
        pass

    def gives() -> Any:
        data = Data(a=1)
        seen.append(weakref.ref(data))
        return data

    assert runtime.execute(add(gives)) == {"a": 1}
    assert seen[0]() is None


def test_a_failed_call_keeps_its_exception_and_no_longer(
    runtime: _core.Runtime, add: Register
) -> None:
    class Mine(Exception):
        pass

    seen: list[weakref.ref[Any]] = []

    def fails() -> None:
        error = Mine("x")
        seen.append(weakref.ref(error))
        raise error

    call = runtime.submit(add(fails))
    call.wait(10)
    gc.collect()
    assert seen[0]() is not None
    del call
    gc.collect()
    # The worker may still be on its way out of the call.
    for _ in range(1000):
        if seen[0]() is None:
            break
        threading.Event().wait(0.002)
        gc.collect()
    assert seen[0]() is None


def test_a_context_outlives_its_call(runtime: _core.Runtime, add: Register) -> None:
    kept: list[_core.Context] = []

    def keeps(ctx: _core.Context) -> None:
        kept.append(ctx)

    runtime.execute(add(keeps, context="ctx"))
    ctx = kept.pop()
    assert ctx.cancelled
    with pytest.raises(clew.Cancelled):
        ctx.check_cancelled()
    with pytest.raises(clew.Cancelled):
        ctx.call("t.keeps")
    runtime.close()
    assert ctx.capability == "t.keeps@1.0.0"


def test_a_handler_that_drops_the_last_reference_ends_well() -> None:
    entered, gate = threading.Event(), threading.Event()
    holder: list[_core.Runtime] = [_core.Runtime(workers=2)]

    def last() -> None:
        entered.set()
        gate.wait(10)
        holder.clear()

    holder[0].register({"id": "t.last", "version": "1.0.0"}, last)
    call = holder[0].submit("t.last")
    assert entered.wait(10)
    gate.set()
    call.wait(10)
    _core.close_all()


def test_a_handler_cannot_close_its_runtime(runtime: _core.Runtime, add: Register) -> None:
    def closes() -> None:
        runtime.close()

    with pytest.raises(clew.ExecutionFailed, match="a handler cannot close"):
        runtime.execute(add(closes))
    assert not runtime.closed


def test_many_runtimes_come_and_go() -> None:
    before = threading.active_count()
    for i in range(20):
        runtime = _core.Runtime(workers=2)
        runtime.register({"id": "t.f", "version": "1.0.0"}, lambda i=i: i)
        assert runtime.submit("t.f").result(10) == i
        runtime.close()
    assert threading.active_count() == before
