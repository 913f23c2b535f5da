"""What the logger ``clew`` says of registrations."""

from __future__ import annotations

from ._records import Registration

__all__ = ["of_module", "of_replacement"]


def of_replacement(registration: Registration) -> None:
    """Say that a changed function has taken the place of another."""
    import logging

    logging.getLogger("clew").info(
        "%s@%s: a changed function takes the place of the one that was registered",
        registration.id,
        registration.version,
    )


def of_module(registration: Registration, warning: str) -> None:
    """Say what the author of a WebAssembly module should know."""
    import logging

    logging.getLogger("clew").warning("%s@%s: %s", registration.id, registration.version, warning)
