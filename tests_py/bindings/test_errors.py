"""One exception tree; errors cross with code, message, context, cause."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import clew
import pytest
from clew import _core, _errors

CODES = {
    "invalid_input": ("InvalidInput", ValueError),
    "not_found": ("NotFound", LookupError),
    "conflict": ("Conflict", Exception),
    "ambiguous": ("Ambiguous", Exception),
    "rejected": ("Rejected", Exception),
    "no_eligible_target": ("NoEligibleTarget", Exception),
    "execution_failed": ("ExecutionFailed", Exception),
    "timeout": ("Timeout", TimeoutError),
    "cancelled": ("Cancelled", Exception),
    "resource_exhausted": ("ResourceExhausted", Exception),
    "unknown_outcome": ("UnknownOutcome", Exception),
    "stale_lease": ("StaleLease", Exception),
    "corrupt": ("Corrupt", Exception),
    "unavailable": ("Unavailable", Exception),
    "unsupported": ("Unsupported", Exception),
    "closed": ("Closed", Exception),
    "internal": ("Internal", Exception),
}


@pytest.mark.parametrize("code", CODES)
def test_each_code_has_its_class(
    code: str, runtime: _core.Runtime, native: Callable[..., str]
) -> None:
    word, natural = CODES[code]
    with pytest.raises(clew.ClewError) as caught:
        runtime.execute(native("fail"), {"code": code, "message": "as told"})
    error = caught.value
    assert type(error) is getattr(clew, word)
    assert isinstance(error, natural)
    assert (error.code, error.message, str(error)) == (code, "as told", "as told")
    assert error.retryable is False
    assert error.__cause__ is None


def test_there_are_no_other_classes() -> None:
    assert {cls.__name__ for cls in _errors.BY_CODE.values()} == {
        name for name, _ in CODES.values()
    }
    assert list(_errors.BY_CODE) == list(CODES)


def test_classes_know_their_code_and_the_base_takes_one() -> None:
    error = clew.Conflict("both want it", {"path": "a"}, True)
    assert (error.code, error.context, error.retryable) == ("conflict", {"path": "a"}, True)
    assert clew.ClewError("conflict", "so").code == "conflict"


class Own(clew.InvalidInput):
    def __init__(self, number: int) -> None:
        super().__init__(f"no {number}", {"number": number})


@pytest.mark.parametrize(
    "error",
    [clew.Timeout("late", {"a": [1]}, True), clew.NotFound(), clew.ClewError("x", "y"), Own(3)],
    ids=repr,
)
def test_errors_survive_pickling(error: clew.ClewError) -> None:
    error.extra = "kept"  # type: ignore[attr-defined]  # on purpose
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert vars(copy) == vars(error)
    assert str(copy) == str(error)


# --- what a handler raises ---


def failure_of(runtime: _core.Runtime, ref: str) -> clew.ClewError:
    with pytest.raises(clew.ClewError) as caught:
        runtime.execute(ref)
    return caught.value


def test_the_cause_is_the_very_exception(runtime: _core.Runtime, add: Callable[..., str]) -> None:
    original = ValueError("bad doc")

    def broken() -> None:
        raise original

    error = failure_of(runtime, add(broken))
    assert type(error) is clew.ExecutionFailed
    assert error.__cause__ is original
    assert str(error) == "ValueError: bad doc"
    assert error.context["exception"] == "ValueError"
    assert error.context["where"].startswith("test_errors.py:")
    assert error.context["where"].endswith(" in broken")
    assert error.retryable is False


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_exits_fail_the_call_and_nothing_else(
    kind: type[BaseException], runtime: _core.Runtime, add: Callable[..., str]
) -> None:
    def leaves() -> None:
        raise kind("now")

    ref = add(leaves)
    for _ in range(2):  # the worker is still there
        error = failure_of(runtime, ref)
        assert type(error) is clew.ExecutionFailed
        assert isinstance(error.__cause__, kind)
        assert isinstance(runtime.submit(ref).exception(), clew.ExecutionFailed)


def test_an_error_of_ours_keeps_its_code_in_the_context(
    runtime: _core.Runtime, add: Callable[..., str]
) -> None:
    def picky() -> None:
        raise clew.Unavailable("no printer", {"printer": "lp0"}, True)

    error = failure_of(runtime, add(picky))
    assert type(error) is clew.ExecutionFailed
    assert error.context["code"] == "unavailable"
    assert error.context["printer"] == "lp0"
    assert error.retryable is True
    assert isinstance(error.__cause__, clew.Unavailable)


def test_a_handler_may_say_that_it_does_not_know(
    runtime: _core.Runtime, add: Callable[..., str]
) -> None:
    def unsure() -> None:
        raise clew.UnknownOutcome("the line went dead")

    assert type(failure_of(runtime, add(unsure))) is clew.UnknownOutcome


def test_cancelled_without_a_request_is_a_failure(
    runtime: _core.Runtime, add: Callable[..., str]
) -> None:
    def gives_up() -> None:
        raise clew.Cancelled("by itself")

    error = failure_of(runtime, add(gives_up))
    assert type(error) is clew.ExecutionFailed
    assert error.context["code"] == "cancelled"


def test_an_exception_that_cannot_be_shown_is_shown_as_such(
    runtime: _core.Runtime, add: Callable[..., str]
) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    def broken() -> None:
        raise Mute

    assert "its text cannot be had" in str(failure_of(runtime, add(broken)))


def test_a_result_that_is_no_json_names_its_path(
    runtime: _core.Runtime, add: Callable[..., str]
) -> None:
    def odd() -> Any:
        return {"items": [1, {2}]}

    error = failure_of(runtime, add(odd))
    assert type(error) is clew.ExecutionFailed
    assert error.context["path"] == "output.items[1]"


def test_what_a_decoder_refuses_is_bad_input(
    runtime: _core.Runtime, add: Callable[..., str]
) -> None:
    ran = []

    def strict(given: dict[str, Any]) -> dict[str, Any]:
        raise clew.InvalidInput("not like this", {"path": "input.day"})

    def handler(**_: Any) -> None:
        ran.append(1)

    error = failure_of(runtime, add(handler, decode=strict))
    assert type(error) is clew.InvalidInput
    assert error.context["path"] == "input.day"
    assert ran == []


def test_the_same_error_object_is_not_shared_between_callers(
    runtime: _core.Runtime, add: Callable[..., str]
) -> None:
    def broken() -> None:
        raise ValueError("x")

    call = runtime.submit(add(broken))
    first, second = call.exception(), call.exception()
    assert first is not None
    assert second is not None
    assert first is not second
    assert first.__cause__ is second.__cause__
