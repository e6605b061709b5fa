"""Waiting for a flight from asyncio and trio: no thread is taken, no loop is blocked, no lock is bound to a loop."""

from __future__ import annotations

import contextlib
from concurrent.futures import Future
from typing import Any

from .errors import ConfigurationError, missing_extra

__all__ = ["landed"]


async def landed(future: Future[None], timeout: float) -> None:
    """Returns when the flight has landed, or after ``timeout`` seconds; cancelling it leaves the flight alone."""
    try:
        import anyio
        import anyio.lowlevel
    except ImportError as error:
        raise ConfigurationError(missing_extra("atoken()", error, "async")) from None
    event = anyio.Event()
    loop: Any = anyio.lowlevel.current_token().native_token
    call_soon = loop.call_soon_threadsafe if hasattr(loop, "call_soon_threadsafe") else loop.run_sync_soon

    def wake(_: Future[None]) -> None:
        """Called on the flight's thread."""
        # RuntimeError: the loop has ended, and with it whoever waited (trio's RunFinishedError is one too).
        with contextlib.suppress(RuntimeError):
            call_soon(event.set)

    future.add_done_callback(wake)
    with anyio.move_on_after(timeout):
        await event.wait()
