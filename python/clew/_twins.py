"""The asynchronous twins of the stores: the same methods, each on a thread of asyncio's pool."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from ._processes import Processes as BlockingProcesses

__all__ = ["Processes"]

P = ParamSpec("P")
T = TypeVar("T")
B = TypeVar("B")


class _Twin(Protocol):
    _blocking: Any


def _on_thread(
    method: Callable[Concatenate[B, P], T],
) -> Callable[Concatenate[_Twin, P], Coroutine[Any, Any, T]]:
    @functools.wraps(method)
    async def call(self: _Twin, /, *args: P.args, **options: P.kwargs) -> T:
        return await asyncio.to_thread(method, self._blocking, *args, **options)

    return call


class Processes:
    """The registry of processes of a runtime: ``rt.processes`` of `clew.aio.Runtime`."""

    def __init__(self, blocking: BlockingProcesses) -> None:
        self._blocking = blocking

    register_process = _on_thread(BlockingProcesses.register_process)
    get_process = _on_thread(BlockingProcesses.get_process)
    list_processes = _on_thread(BlockingProcesses.list_processes)
    list_non_terminal = _on_thread(BlockingProcesses.list_non_terminal)
    set_external_ref = _on_thread(BlockingProcesses.set_external_ref)
    append_event = _on_thread(BlockingProcesses.append_event)
    complete_process = _on_thread(BlockingProcesses.complete_process)
    request_cancel = _on_thread(BlockingProcesses.request_cancel)
    events_after = _on_thread(BlockingProcesses.events_after)
    wake_events_after = _on_thread(BlockingProcesses.wake_events_after)
    ack_wake = _on_thread(BlockingProcesses.ack_wake)
    wait_event_after = _on_thread(BlockingProcesses.wait_event_after)
    await_process = _on_thread(BlockingProcesses.await_process)
    grant_handle = _on_thread(BlockingProcesses.grant_handle)
    revoke_handle = _on_thread(BlockingProcesses.revoke_handle)
    has_handle_grant = _on_thread(BlockingProcesses.has_handle_grant)
    list_handle_grants = _on_thread(BlockingProcesses.list_handle_grants)
    list_live_handle_grants = _on_thread(BlockingProcesses.list_live_handle_grants)
    handle_grants_for_process = _on_thread(BlockingProcesses.handle_grants_for_process)
    transfer_handle_grants = _on_thread(BlockingProcesses.transfer_handle_grants)
    delete_session_process_state = _on_thread(BlockingProcesses.delete_session_process_state)
    claim_process_lease = _on_thread(BlockingProcesses.claim_process_lease)
    renew_process_lease = _on_thread(BlockingProcesses.renew_process_lease)
    complete_process_lease = _on_thread(BlockingProcesses.complete_process_lease)
    recover_processes = _on_thread(BlockingProcesses.recover_processes)
    prune_processes = _on_thread(BlockingProcesses.prune_processes)
