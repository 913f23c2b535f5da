"""What the tests of the extension module share: bare runtimes of the core."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from clew import _core


@pytest.fixture
def runtime() -> Iterator[_core.Runtime]:
    rt = _core.Runtime(workers=4)
    yield rt
    rt.close(drain=False, timeout=10)


@pytest.fixture
def add(runtime: _core.Runtime) -> Callable[..., str]:
    """Register a function under its own name, in the runtime of the test; return the reference."""

    def register(function: Callable[..., Any], **options: Any) -> str:
        contract = {"id": "t." + function.__name__, "version": "1.0.0"}
        contract.update(options.pop("contract", {}))
        runtime.register(contract, function, **options)
        return str(contract["id"])

    return register


@pytest.fixture
def native(runtime: _core.Runtime) -> Callable[..., str]:
    """Register one of the C++ functions; return the reference."""

    def register(function: str, **contract: Any) -> str:
        runtime.register_native({"id": "n." + function, "version": "1.0.0", **contract}, function)
        return "n." + function

    return register
