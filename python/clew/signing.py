"""Keys and signatures for WebAssembly modules: Ed25519 over the module's SHA-256 digest.

    secret = clew.signing.new_secret()           # keep it where modules are built
    key = clew.signing.public_key(secret)        # goes to Runtime(trusted_keys=[key])
    signature = clew.signing.sign("words.wasm", secret)

Any other tool will do that signs the 32 bytes of the digest (RFC 8032, not pre-hashed).
"""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

from . import _core
from ._check import invalid

__all__ = ["new_secret", "public_key", "sign"]


def new_secret() -> bytes:
    """Return a new secret key: 32 bytes from the system. Whoever has them can sign."""
    return secrets.token_bytes(32)


def public_key(secret: bytes) -> bytes:
    """Return the public key of a secret one: 32 bytes."""
    return _core.public_key(secret)


def sign(module: str | os.PathLike[str] | bytes, secret: bytes) -> bytes:
    """Return the signature of a binary module: 96 bytes, the public key first.

    Args:
        module: Path or content; not text (WAT), whose translation is what would be signed.
        secret: What `new_secret` returned.

    Raises:
        InvalidInput: It is no binary module.
        OSError: There is no such file.
    """
    content = module if isinstance(module, bytes) else Path(module).read_bytes()
    if not content.startswith(b"\0asm"):
        raise invalid("module", "(other bytes)", "a binary WebAssembly module")
    return _core.sign_digest(hashlib.sha256(content).digest(), secret)
