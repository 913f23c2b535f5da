"""WebAssembly modules as capabilities: registering, calling, limits, signatures."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import clew
import clew.aio
import clew.signing
import pytest
from clew import _wasm

IMPORTS = """
  (import "wasi_snapshot_preview1" "fd_read"
    (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 2)
"""
READ = """
    (i32.store (i32.const 0) (i32.const 16))
    (i32.store (i32.const 4) (i32.const 60000))
    (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
    (i32.store (i32.const 4) (i32.load (i32.const 8)))
"""
WRITE = "(drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))"
SAY = "(drop (call $fd_write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8)))"
SPIN = "(loop $again (br $again))"
ENDLESS = {"fuel": 10**15}


def guest(body: str) -> str:
    return f'(module {IMPORTS} (func (export "_start") {body}))'


ECHO = guest(READ + WRITE)


def binary(text: str) -> bytes:
    from wasmtime import wat2wasm

    return bytes(wat2wasm(text))


def contract(name: str, **fields: Any) -> dict[str, Any]:
    return {"id": f"test.{name}", "version": "1.0.0", **fields}


def test_echo_runs_and_leaves_its_trace(clew_runtime: clew.Runtime) -> None:
    made = clew_runtime.register_wasm(ECHO.encode(), contract("echo"))
    assert (made.id, made.version, made.already_registered) == ("test.echo", "1.0.0", False)
    value = {"b": [1, 2.5, None], "a": "é"}
    assert clew_runtime.execute("test.echo", value) == value
    (trace,) = clew_runtime.traces("test.echo")
    assert (trace.executor, trace.target, trace.outcome) == ("wasm", "local", "success")
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert trace.output_sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert clew_runtime.resolve("test.echo").kind == "wasm"


def test_files_of_text_and_binary_and_contracts_in_yaml(
    clew_runtime: clew.Runtime, tmp_path: Path
) -> None:
    (tmp_path / "echo.wat").write_text(ECHO)
    (tmp_path / "echo.wasm").write_bytes(binary(ECHO))
    (tmp_path / "echo.yaml").write_text(
        "id: test.file\nversion: 1.0.0\nconstraints: {wasm: {fuel: 100000}}\n"
    )
    clew_runtime.register_wasm(tmp_path / "echo.wat", tmp_path / "echo.yaml")
    again = clew_runtime.register_wasm(str(tmp_path / "echo.wasm"), tmp_path / "echo.yaml")
    assert again.already_registered  # the same binary under the same contract
    assert clew_runtime.execute("test.file", {"n": 1}) == {"n": 1}


def test_the_same_version_with_another_module_is_a_conflict_in_production() -> None:
    secret = clew.signing.new_secret()
    keys = [clew.signing.public_key(secret)]
    other = binary(guest(READ + WRITE + "(call $exit (i32.const 0))"))
    first = binary(ECHO)
    with clew.Runtime(environment="production", trusted_keys=keys) as rt:
        rt.register_wasm(first, contract("x"), signature=clew.signing.sign(first, secret))
        with pytest.raises(clew.Conflict):
            rt.register_wasm(other, contract("x"), signature=clew.signing.sign(other, secret))
        assert rt.execute("test.x", {"n": 1}) == {"n": 1}


# Parity: P WASM I/O
def test_missing_files_and_wrong_digests(clew_runtime: clew.Runtime, tmp_path: Path) -> None:
    with pytest.raises(clew.NotFound) as missing:
        clew_runtime.register_wasm(tmp_path / "none.wasm", contract("none"))
    assert missing.value.context["path"] == str(tmp_path / "none.wasm")
    module = binary(ECHO)
    actual = hashlib.sha256(module).hexdigest()
    clew_runtime.register_wasm(module, contract("echo"), digest=actual)
    with pytest.raises(clew.Corrupt) as wrong:
        clew_runtime.register_wasm(module, contract("echo"), digest="0" * 64)
    assert wrong.value.context["expected"] == "0" * 64
    assert wrong.value.context["actual"] == actual
    with pytest.raises(clew.NotFound):
        clew_runtime.register_wasm(module, tmp_path / "none.yaml")


# Parity: P ABI gate
def test_an_import_that_is_not_offered_is_named(clew_runtime: clew.Runtime) -> None:
    module = """(module (import "wasi_snapshot_preview1" "path_open" (func (param i32)))
                (memory (export "memory") 1) (func (export "_start") unreachable))"""
    with pytest.raises(clew.InvalidInput) as refused:
        clew_runtime.register_wasm(module.encode(), contract("files"))
    assert refused.value.context["import"] == "wasi_snapshot_preview1.path_open"
    assert clew_runtime.capabilities() == []


# Parity: P WASM limits
@pytest.mark.parametrize(
    ("body", "limits", "error", "facts"),
    [
        (SPIN, {"fuel": 10_000}, clew.Timeout, {"limit": "fuel"}),
        (SPIN, {**ENDLESS, "wall": "20ms"}, clew.Timeout, {"limit": "wall"}),
        (
            "(if (i32.eq (memory.grow (i32.const 100)) (i32.const -1)) (then unreachable))",
            {"memory_bytes": 4 * 65536},
            clew.ResourceExhausted,
            {"limit": "memory_bytes"},
        ),
        (
            f"(i32.store (i32.const 4) (i32.const 9)) (loop $l {WRITE} (br $l))",
            {"output_bytes": 100},
            clew.ResourceExhausted,
            {"limit": "output_bytes"},
        ),
        ("unreachable", {}, clew.ExecutionFailed, {"reason": "trap"}),
        ("(call $exit (i32.const 3))", {}, clew.ExecutionFailed, {"exit_code": 3}),
        ("", {}, clew.ExecutionFailed, {"reason": "stdout_not_json"}),
    ],
)
def test_each_limit_has_its_error_and_the_next_call_is_fine(
    clew_runtime: clew.Runtime,
    body: str,
    limits: dict[str, Any],
    error: type[clew.ClewError],
    facts: dict[str, Any],
) -> None:
    clew_runtime.register_wasm(guest(body).encode(), contract("bad", constraints={"wasm": limits}))
    clew_runtime.register_wasm(ECHO.encode(), contract("echo"))
    with pytest.raises(error) as raised:
        clew_runtime.execute("test.bad", {})
    assert facts.items() <= raised.value.context.items()
    assert clew_runtime.execute("test.echo", {"n": 1}) == {"n": 1}
    (trace,) = clew_runtime.traces("test.bad")
    assert trace.outcome == "failure"


@pytest.mark.parametrize(
    ("limits", "path"),
    [
        ({"fuel": 0}, "constraints.wasm.fuel"),
        ({"memory_bytes": 1}, "constraints.wasm.memory_bytes"),
        ({"speed": 1}, "constraints.wasm.speed"),
        ({"wall": "-1s"}, "constraints.wasm.wall"),
        (3, "constraints.wasm"),
    ],
)
def test_limits_out_of_range_are_named(clew_runtime: clew.Runtime, limits: Any, path: str) -> None:
    with pytest.raises(clew.InvalidInput) as raised:
        clew_runtime.register_wasm(ECHO.encode(), contract("echo", constraints={"wasm": limits}))
    assert raised.value.context["path"] == path


def test_timeout_and_cancel_end_a_spinning_module(clew_runtime: clew.Runtime) -> None:
    clew_runtime.register_wasm(
        guest(SPIN).encode(), contract("spin", constraints={"wasm": ENDLESS})
    )
    with pytest.raises(clew.Timeout):
        clew_runtime.execute("test.spin", {}, timeout="30ms")
    call = clew_runtime.submit("test.spin", {})
    while not call.running():
        threading.Event().wait(0.001)
    call.cancel()
    with pytest.raises(clew.Cancelled):
        call.result(timeout=10)
    while clew_runtime.stats()["wasm"]["running"]:
        threading.Event().wait(0.001)


def test_close_ends_a_spinning_module() -> None:
    rt = clew.Runtime()
    rt.register_wasm(guest(SPIN).encode(), contract("spin", constraints={"wasm": ENDLESS}))
    call = rt.submit("test.spin", {})
    while not call.running():
        threading.Event().wait(0.001)
    rt.close(drain=False, timeout=10)
    with pytest.raises(clew.Cancelled):
        call.result(timeout=10)


# Parity: P WASM bypass
def test_wasm_capability_bypasses_thread_pool(clew_runtime: clew.Runtime) -> None:
    @clew.capability("test.native", version="1.0.0")
    def native(n: int) -> int:
        return n

    clew_runtime.register_wasm(ECHO.encode(), contract("echo"))
    before = clew_runtime.stats()["pool"]
    calls = [clew_runtime.submit("test.echo", {"n": n}) for n in range(200)]
    assert [call.result() for call in calls] == [{"n": n} for n in range(200)]
    after = clew_runtime.stats()["pool"]
    assert (after["submitted"], after["inline"]) == (before["submitted"], before["inline"])
    clew_runtime.register(native)
    mixed = [
        clew_runtime.submit("test.native" if n % 2 else "test.echo", {"n": n}) for n in range(200)
    ]
    assert [c.result() for c in mixed] == [n if n % 2 else {"n": n} for n in range(200)]
    assert clew_runtime.stats()["pool"]["submitted"] - before["submitted"] == 100


def test_many_threads_get_their_own_answers(clew_runtime: clew.Runtime) -> None:
    clew_runtime.register_wasm(ECHO.encode(), contract("echo"))
    wrong: list[Any] = []

    def work(thread: int) -> None:
        for n in range(50):
            value = {"thread": thread, "n": n}
            if clew_runtime.execute("test.echo", value) != value:
                wrong.append(value)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert clew_runtime.stats()["calls"]["success"] == 400


def test_a_thread_with_a_small_stack_is_spared(clew_runtime: clew.Runtime) -> None:
    deep = '(func $deep (call $deep) (call $deep)) (func (export "_start") (call $deep))'
    clew_runtime.register_wasm(f"(module {IMPORTS} {deep})".encode(), contract("deep"))
    traps: list[str] = []

    def call() -> None:
        for _ in range(3):
            try:
                clew_runtime.execute("test.deep", {})
            except clew.ExecutionFailed as error:
                traps.append(error.context["trap"])

    before = threading.stack_size(128 * 1024)
    try:
        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert len(traps) == 3
    assert all("stack" in trap for trap in traps)


# Parity: P WASM I/O
def test_no_executor_runs_what_is_not_of_its_kind(clew_runtime: clew.Runtime) -> None:
    clew_runtime.register_wasm(ECHO.encode(), contract("echo", executor="native"))
    clew_runtime.register_native(
        "echo", contract={"id": "test.native", "version": "1.0.0", "executor": "wasm"}
    )
    for ref in ("test.echo", "test.native"):
        with pytest.raises(clew.NoEligibleTarget):
            clew_runtime.execute(ref, {})


def test_workflows_call_modules(clew_runtime: clew.Runtime) -> None:
    clew_runtime.register_wasm(ECHO.encode(), contract("echo"))
    run = clew_runtime.start(
        {
            "workflow": "test.flow",
            "version": "1.0.0",
            "steps": {"one": {"call": "test.echo@^1", "with": {"n": "{{ input.n }}"}}},
            "output": "{{ steps.one.output.n }}",
        },
        {"n": 7},
    )
    assert run.result(timeout=30) == 7


def test_the_contract_is_checked_around_the_module(clew_runtime: clew.Runtime) -> None:
    schema = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
    clew_runtime.register_wasm(
        ECHO.encode(), contract("echo", inputs=schema, outputs={"type": "array"})
    )
    with pytest.raises(clew.InvalidInput):
        clew_runtime.execute("test.echo", {"n": "text"})
    assert clew_runtime.stats()["wasm"]["cache_hits"] == 0  # it never ran
    with pytest.raises(clew.ExecutionFailed):
        clew_runtime.execute("test.echo", {"n": 1})


def test_standard_error_goes_to_the_log_of_the_call(
    clew_runtime: clew.Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    clew_runtime.register_wasm(guest(READ + SAY + WRITE).encode(), contract("loud"))
    with caplog.at_level(logging.DEBUG, logger="clew.handler"):
        clew_runtime.submit("test.loud", {"n": 1}).result()
    (record,) = [r for r in caplog.records if r.name == "clew.handler"]
    assert (record.levelname, record.getMessage()) == ("DEBUG", '{"n":1}')
    assert record.__dict__["capability"] == "test.loud@1.0.0"
    assert record.__dict__["trace_id"] == clew_runtime.traces("test.loud")[0].id


# Parity: P security
def test_production_runs_only_what_a_trusted_key_has_signed(tmp_path: Path) -> None:
    module = binary(ECHO)
    secret, stranger = clew.signing.new_secret(), clew.signing.new_secret()
    good = clew.signing.sign(module, secret)
    path = tmp_path / "echo.sig"
    path.write_text(good.hex() + "\n")
    keys = [clew.signing.public_key(secret).hex()]
    with clew.Runtime(environment="production", trusted_keys=keys) as rt:
        for signature, reason in [
            (None, "unsigned"),
            (clew.signing.sign(module, stranger), "untrusted_key"),
            (good[:-1] + bytes([good[-1] ^ 1]), "bad_signature"),
            (clew.signing.sign(module + b"\0", secret), "bad_signature"),
        ]:
            with pytest.raises(clew.Rejected) as refused:
                rt.register_wasm(module, contract("echo"), signature=signature)
            assert refused.value.context["reason"] == reason
        assert rt.capabilities() == []
        for signature in (good, good[32:], good.hex(), path):
            rt.register_wasm(module, contract("echo"), signature=signature)
        assert rt.execute("test.echo", {"n": 1}) == {"n": 1}


# Parity: P security
def test_development_warns(clew_runtime: clew.Runtime, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="clew"):
        clew_runtime.register_wasm(ECHO.encode(), contract("echo"))
    assert [r.getMessage() for r in caplog.records if r.name == "clew"] == [
        "test.echo@1.0.0: (bytes) (unsigned): production would refuse it"
    ]


def test_a_signed_module_warns_of_nothing(caplog: pytest.LogCaptureFixture) -> None:
    module, secret = binary(ECHO), clew.signing.new_secret()
    with clew.Runtime(trusted_keys=[clew.signing.public_key(secret)]) as rt:
        with caplog.at_level(logging.WARNING, logger="clew"):
            rt.register_wasm(module, contract("echo"), signature=clew.signing.sign(module, secret))
    assert [r for r in caplog.records if r.name == "clew"] == []


def test_openssl_makes_signatures_too(tmp_path: Path) -> None:
    """RFC 8032 over the digest: any tool will do."""
    module = binary(ECHO)
    (tmp_path / "digest").write_bytes(hashlib.sha256(module).digest())

    def openssl(*arguments: str) -> bytes:
        return subprocess.run(
            ["openssl", *arguments], cwd=tmp_path, check=True, capture_output=True
        ).stdout

    openssl("genpkey", "-algorithm", "ed25519", "-out", "key.pem")
    public = openssl("pkey", "-in", "key.pem", "-pubout", "-outform", "DER")[-32:]
    signature = openssl("pkeyutl", "-sign", "-inkey", "key.pem", "-rawin", "-in", "digest")
    with clew.Runtime(environment="production", trusted_keys=[public]) as rt:
        rt.register_wasm(module, contract("echo"), signature=signature)


def test_a_restart_compiles_nothing(tmp_path: Path) -> None:
    for compiled, from_store in [(1, 0), (0, 1)]:
        with clew.Runtime(tmp_path / "work.db") as rt:
            rt.register_wasm(ECHO.encode(), contract("echo"))
            assert rt.execute("test.echo", {"n": 1}) == {"n": 1}
            stats = rt.stats()["wasm"]
            assert (stats["compiled"], stats["from_store"]) == (compiled, from_store)
            assert rt.verify() == []


def test_runtimes_without_modules_load_no_library() -> None:
    script = (
        "import clew, sys\n"
        "with clew.Runtime() as rt:\n"
        "    assert rt.stats()['wasm'] == {}\n"
        "assert not any('wasmtime' in name for name in sys.modules)\n"
        "assert 'libwasmtime' not in open('/proc/self/maps').read()\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_missing_library_says_what_to_install(
    clew_runtime: clew.Runtime, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CLEW_WASMTIME", str(tmp_path / "none.so"))
    with pytest.raises(clew.Unsupported, match=r'pip install "clew\[wasm\]"'):
        clew_runtime.register_wasm(ECHO.encode(), contract("echo"))
    monkeypatch.delenv("CLEW_WASMTIME")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(clew.Unsupported, match="none was found"):
        clew_runtime.register_wasm(ECHO.encode(), contract("echo"))
    monkeypatch.undo()
    monkeypatch.setattr("importlib.metadata.version", lambda _: "51.0.0")
    with pytest.raises(clew.Unsupported, match=r"wasmtime 50, not 51\.0\.0"):
        clew_runtime.register_wasm(ECHO.encode(), contract("echo"))
    monkeypatch.undo()
    assert Path(_wasm.library()).is_file()
    clew_runtime.register_wasm(ECHO.encode(), contract("echo"))  # the next one is fine


@pytest.mark.parametrize(
    ("register", "path"),
    [
        (lambda rt: rt.register_wasm(3, contract("x")), "module"),
        (lambda rt: rt.register_wasm(b"", contract("x")), "module"),
        (lambda rt: rt.register_wasm(b"no module", contract("x")), "module"),
        (lambda rt: rt.register_wasm(ECHO.encode(), 3), "contract"),
        (lambda rt: rt.register_wasm(ECHO.encode(), contract("x"), digest=3), "digest"),
        (lambda rt: rt.register_wasm(ECHO.encode(), contract("x"), signature=3), "signature"),
        (lambda rt: rt.register_wasm(ECHO.encode(), contract("x"), signature=b"s"), "signature"),
        (lambda _: clew.Runtime(trusted_keys=[b"short"]), "trusted_keys[0]"),
        (lambda _: clew.Runtime(trusted_keys="key"), "trusted_keys"),
        (lambda _: clew.signing.sign(b"text", bytes(32)), "module"),
        (lambda _: clew.signing.public_key(b"short"), "secret"),
    ],
)
def test_bad_arguments_are_named(
    clew_runtime: clew.Runtime, register: Callable[[clew.Runtime], object], path: str
) -> None:
    with pytest.raises(clew.InvalidInput) as raised:
        register(clew_runtime)
    assert raised.value.context["path"] == path


async def test_the_twin_compiles_on_a_thread() -> None:
    async with clew.aio.Runtime() as rt:
        await rt.register_wasm(ECHO.encode(), contract("echo"))
        values = await asyncio.gather(*(rt.execute("test.echo", {"n": n}) for n in range(20)))
        assert values == [{"n": n} for n in range(20)]


def emitter(event: str, end: str) -> str:
    """Return a guest that emits once, answers what it was told, and goes on to ``end``."""
    text = event.replace('"', '\\"')
    return f"""(module
      (import "wasi_snapshot_preview1" "fd_write"
        (func $fd_write (param i32 i32 i32 i32) (result i32)))
      (import "clew_host" "emit_event" (func $emit (param i32 i32) (result i32)))
      (memory (export "memory") 1)
      (data (i32.const 64) "{text}")
      (data (i32.const 600) "0")
      (func (export "_start")
        (i32.store8 (i32.const 600)
          (i32.add (i32.const 48)
            (i32.sub (i32.const 0) (call $emit (i32.const 64) (i32.const {len(event)})))))
        (i32.store (i32.const 0) (i32.const 600))
        (i32.store (i32.const 4) (i32.const 1))
        (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
        {end}))"""


# Parity: emit_event
def test_what_a_guest_emits_is_published_when_its_call_succeeds_and_only_then(
    clew_runtime: clew.Runtime,
) -> None:
    rt = clew_runtime
    rt.events.define("t.made@1.0.0", schema={"type": "object", "required": ["n"]})
    sub = rt.subscribe("t.made")
    made = '{"type":"t.made@1.0.0","data":{"n":1}}'
    bad = '{"type":"t.made@1.0.0","data":{}}'
    for name, event, end in (("ok", made, ""), ("trap", made, "unreachable"), ("bad", bad, "")):
        rt.register_wasm(emitter(event, end).encode(), contract(name, emits=["t.made@1.0.0"]))
    rt.register_wasm(emitter(made, "").encode(), contract("undeclared"))
    with pytest.raises(clew.ExecutionFailed):
        rt.execute("test.trap")
    assert rt.execute("test.bad") == 1  # the digit is the code without its sign
    assert rt.execute("test.undeclared") == 2
    assert sub.poll(timeout=0) == []
    assert rt.execute("test.ok") == 0
    (event,) = sub.poll(timeout=0)
    assert (event.type, event.data) == ("t.made", {"n": 1})
    assert event.causation_id == rt.traces("test.ok")[0].id
