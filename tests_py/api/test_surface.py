"""The names that users rely on, and what importing them costs."""

from __future__ import annotations

import importlib
import inspect
import json
import pickle
import subprocess
import sys

import clew
import pytest

ERRORS = {
    "Ambiguous": (),
    "Cancelled": (),
    "Closed": (),
    "Conflict": (),
    "Corrupt": (),
    "ExecutionFailed": (),
    "Internal": (),
    "InvalidInput": (ValueError,),
    "NoEligibleTarget": (),
    "NotFound": (LookupError,),
    "Rejected": (),
    "ResourceExhausted": (),
    "StaleLease": (),
    "Timeout": (TimeoutError,),
    "Unavailable": (),
    "UnknownOutcome": (),
    "Unsupported": (),
}

# Where the parameters that a name must take stand, in their order.
PARAMETERS = {
    "capability": "id version effect timeout retry max_concurrency emits tags inputs outputs "
    "executor permitted_targets summary description owner lifecycle service_type event_trigger "
    "consumes permissions preferred_targets connectors dependencies constraints provenance",
    "Retry": "attempts initial factor max jitter",
    "Runtime": "store workers name durability environment limits clock start trusted_keys",
    "Runtime.execute": "ref input timeout deadline idempotency_key target correlation_id "
    "traceparent priority",
    "Runtime.submit": "ref input timeout deadline idempotency_key target correlation_id "
    "traceparent priority durable",
    "Runtime.map": "ref inputs concurrency ordered return_exceptions",
    "Runtime.traces": "capability version outcome code since until run limit cursor",
    "Runtime.export_traces": "to tier which",
    "Runtime.trace_frame": "kind tier which",
    "Runtime.register": "capability scope",
    "Runtime.add_connector": "name connector version timeout",
    "Runtime.register_wasm": "module contract digest signature",
    "Runtime.register_contract": "source handler workflow scope",
    "Runtime.start": "workflow input id key priority budget tags durability",
    "Runtime.runs": "status workflow tag workspace limit cursor",
    "Runtime.sql": "query params timeout",
    "Runtime.close": "drain timeout",
    "Runtime.add_executor": "name executor targets capacity",
    "Run.result": "timeout",
    "Run.events": "after follow",
    "Run.cancel": "reason",
    "Call.result": "timeout",
    "load": "source strict",
}
STORE_PARAMETERS = {
    "Sessions.open": "session_id",
    "Sessions.list": "after limit",
    "Sessions.gc_unreachable": "older_than",
    "Session.commit_runtime_state": "commit",
    "Session.load_session": "scope",
    "Session.enqueue_queued_work": "draft strict",
    "Session.claim_ready_queued_work": "owner_id boundary ttl max",
    "Session.claim_ready_queued_work_by_batch_ids": "owner_id batch_ids boundary ttl",
    "Session.renew_queued_work_claim": "claim ttl",
    "Session.abandon_queued_work_claim": "claim",
    "Session.complete_queued_work_claim": "completion",
    "Attachments.put": "session_id data media_type width height label",
    "Attachments.get": "session_id id",
    "Attachments.open": "session_id id",
    "Triggers.register_subscription": "draft",
    "Triggers.list_subscriptions": (
        "session_id handle name source_type source_key target enabled after limit"
    ),
    "Triggers.record_occurrence": "source_type source_key payload key idempotency_key source",
    "Triggers.reserve_matching_deliveries": "occurrence_id",
    "Artifacts.put_module_artifact": "artifact",
    "Artifacts.get_module_artifact": "module_ref",
}


@pytest.mark.parametrize("name", ERRORS)
def test_error_classes_stand_under_clew_error_and_the_natural_builtin(name: str) -> None:
    cls = getattr(clew, name)
    assert issubclass(cls, clew.ClewError)
    for base in ERRORS[name]:
        assert issubclass(cls, base)


@pytest.mark.parametrize("name", ERRORS)
def test_errors_survive_pickling(name: str) -> None:
    error = getattr(clew, name)("what is wrong", {"path": "a.b", "value": 3}, True)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (again.code, again.message, again.context, again.retryable) == (
        error.code,
        "what is wrong",
        {"path": "a.b", "value": 3},
        True,
    )


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_have_their_names_and_order(name: str) -> None:
    found = clew
    for part in name.split("."):
        found = getattr(found, part)
    names = [one for one in inspect.signature(found).parameters if one != "self"]
    assert names == PARAMETERS[name].split()


@pytest.mark.parametrize("name", STORE_PARAMETERS)
def test_parameters_of_the_stores_have_their_names_and_order(name: str) -> None:
    found = importlib.import_module("clew.stores")
    for part in name.split("."):
        found = getattr(found, part)
    names = [one for one in inspect.signature(found).parameters if one != "self"]
    assert names == STORE_PARAMETERS[name].split()


def test_all_names_exist_are_sorted_and_documented() -> None:
    assert clew.__all__ == sorted(clew.__all__)
    for name in clew.__all__:
        found = getattr(clew, name)
        assert name in ("__version__", "ManualClock") or inspect.getdoc(found), name
    assert set(clew.__all__) <= set(dir(clew))


@pytest.mark.parametrize("module", ["aio", "stores", "testing", "pytest_plugin"])
def test_public_modules_have_a_sorted_all(module: str) -> None:
    found = importlib.import_module(f"clew.{module}")
    assert found.__all__ == sorted(found.__all__)


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'runtime'"):
        clew.runtime  # noqa: B018 - the access is the test


HEAVY = (
    "asyncio",
    "dataclasses",
    "inspect",
    "concurrent.futures",
    "logging",
    "msgspec",
    "pydantic",
)


def test_import_loads_nothing_heavy() -> None:
    script = f"import json, sys, clew; print(json.dumps([m for m in {HEAVY} if m in sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == []


def test_the_lazy_names_load_what_they_need() -> None:
    script = "import clew; clew.Runtime, clew.capability, clew.Run, clew.load; from clew import *"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.shutdown
def test_a_sub_interpreter_is_refused() -> None:
    script = """
import _xxsubinterpreters as interpreters
one = interpreters.create()
interpreters.run_string(one, '''
try:
    import clew
except ImportError as error:
    assert "sub-interpreter" in str(error), error
else:
    raise AssertionError("it was imported")
''')
"""
    if sys.version_info >= (3, 13):
        pytest.skip("the module has another name and other rules there")
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
