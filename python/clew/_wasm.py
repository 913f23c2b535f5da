"""What users say of WebAssembly modules, as the core takes it, and where its library is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from . import _check, _core, _errors
from ._check import invalid
from ._records import Registration
from ._registry import read_contract

_MAJOR = "50"  # the declarations of the core are those of this version
_HEX = frozenset("0123456789abcdefABCDEF")
_SIGNATURE_BYTES = (64, 96)


def library() -> str:
    """Return the path of wasmtime's library, or an empty text. Imports nothing of it.

    `Unsupported` when another version is installed.
    """
    named = os.environ.get("CLEW_WASMTIME")
    if named:
        return named
    from importlib import metadata, util

    spec = util.find_spec("wasmtime")
    if spec is None or spec.origin is None:
        return ""
    version = metadata.version("wasmtime")
    if version.split(".")[0] != _MAJOR:
        raise _errors.Unsupported(
            f'WebAssembly needs wasmtime {_MAJOR}, not {version}: pip install "clew[wasm]"',
            {"installed": version, "install": "clew[wasm]"},
        )
    found = sorted(Path(spec.origin).parent.glob("*/_libwasmtime.so"))
    return str(found[0]) if found else ""


def register(
    core: _core.Runtime, module: Any, contract: Any, digest: Any, signature: Any
) -> Registration:
    """Register a module with the core, and warn its author when there is something to say."""
    made, warning = core.register_wasm(
        read_contract(contract, "contract"),
        **source_of(module),
        digest=_check.optional_text("digest", digest),
        signature=signature_of(signature),
        library=library(),
    )
    registration = Registration(**made)
    if warning:
        _warn(registration, warning)
    return registration


def source_of(module: Any) -> dict[str, Any]:
    """Return ``path=`` or ``module=`` of the core."""
    if isinstance(module, (bytes, bytearray, memoryview)):
        content = bytes(module)
        if not content:
            raise invalid("module", "(no bytes)", "a WebAssembly module")
        return {"module": content}
    path = os.fspath(module) if isinstance(module, (str, os.PathLike)) else None
    if not isinstance(path, str) or not path or "\0" in path:
        raise invalid("module", module, "the path or the bytes of a WebAssembly module")
    return {"path": path}


def signature_of(signature: Any) -> bytes | None:
    """Return the bytes of a signature given as such, as hexadecimal, or as a path."""
    if signature is None:
        return None
    if isinstance(signature, (bytes, bytearray, memoryview)):
        return bytes(signature)
    if isinstance(signature, str) and _is_hex(signature, _SIGNATURE_BYTES):
        return bytes.fromhex(signature)
    if not isinstance(signature, (str, os.PathLike)):
        raise invalid("signature", signature, "bytes, hexadecimal digits, or a path")
    content = _read(Path(signature), "signature")
    text = content.decode("ascii", "replace").strip()
    return bytes.fromhex(text) if _is_hex(text, _SIGNATURE_BYTES) else content


def keys_of(keys: Any) -> list[bytes] | None:
    """Return public keys as bytes; `InvalidInput` naming ``trusted_keys[i]``."""
    if keys is None:
        return None
    if not isinstance(keys, (list, tuple)):
        raise invalid("trusted_keys", keys, "a list of public keys")
    made = []
    for index, key in enumerate(keys):
        if isinstance(key, str) and _is_hex(key, (32,)):
            made.append(bytes.fromhex(key))
        elif isinstance(key, bytes) and len(key) == 32:
            made.append(key)
        else:
            raise invalid(f"trusted_keys[{index}]", key, "32 bytes, or 64 hexadecimal digits")
    return made


def log_stderr(capability: str, trace_id: str, text: bytes) -> None:
    """Log what a module wrote to standard error. Called by the core."""
    import logging

    logger = logging.getLogger("clew.handler")
    if logger.isEnabledFor(logging.DEBUG):
        facts = {"trace_id": trace_id, "run_id": None, "step": None, "capability": capability}
        logger.debug("%s", text.decode("utf-8", "replace").rstrip("\n"), extra=facts)


def _warn(registration: Registration, warning: str) -> None:
    import logging

    logging.getLogger("clew").warning("%s@%s: %s", registration.id, registration.version, warning)


def _is_hex(text: str, sizes: tuple[int, ...]) -> bool:
    return len(text) in [2 * size for size in sizes] and _HEX.issuperset(text)


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _errors.NotFound(
            f"there is no {what} at {path}", {"path": str(path), "why": str(error)}
        ) from error


__all__ = [
    "keys_of",
    "library",
    "log_stderr",
    "register",
    "signature_of",
    "source_of",
]
