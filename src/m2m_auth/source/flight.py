"""A flight: one attempt to get a token, on a thread of its own.

It does not belong to its caller. A caller that is cancelled, times out or dies does not stop it; callers that need
its outcome wait for ``future``.
"""

from __future__ import annotations

import atexit
import contextlib
import contextvars
import logging
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TimedOut
from typing import Any, NamedTuple

from ..errors import ConfigurationError, missing_extra
from ..runtime.fork_safety import FLIGHT_THREAD, on_fork

__all__ = ["Busy", "Flight", "landing"]

_log = logging.getLogger("m2m_auth")


class _FlightThreads:
    """The flights' threads. An exiting process waits for them: an interrupted mint is lost, and its lease stays."""

    LANDING = 3.0
    """Seconds that an exiting process waits at most."""

    def __init__(self) -> None:
        self.threads: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
        on_fork(self)
        atexit.register(self.wait)

    def after_fork(self) -> None:
        """In a forked child: the parent's threads do not exist, and an exit does not wait for them."""
        self.threads.clear()

    def wait(self) -> None:
        until = time.monotonic() + self.LANDING
        for thread in list(self.threads):
            thread.join(max(until - time.monotonic(), 0.0))


_flight_threads = _FlightThreads()


class Busy(NamedTuple):
    """A flight is inside of a callable that the user may have passed, and that may take longer than it should."""

    since: float
    """When it was called, on the flight's monotonic clock."""
    what: str
    """Which callable it is, in words."""
    fix: str
    """What its owner can do if it takes too long."""


class Flight:
    """One flight of one token state, for a ``reason``, ``started`` at a time of the monotonic clock.

    Attributes:
        busy: what it waits for, once a callable that may be the user's has been called.
        overdue: True once a caller was told that the flight takes too long.
    """

    __slots__ = ("busy", "future", "overdue", "reason", "started")

    def __init__(self, started: float, reason: str) -> None:
        self.started = started
        self.reason = reason
        self.busy: Busy | None = None
        self.overdue = False
        self.future: Future[None] = Future()
        # A running future cannot be cancelled, so a cancelled caller does not cancel the flight.
        self.future.set_running_or_notify_cancel()

    def launch(self, work: Callable[[Flight], object], on_landing: Callable[[Flight], None]) -> None:
        """Runs ``work`` in the caller's context (tracing), then calls ``on_landing``, then wakes the waiters."""
        run = contextvars.copy_context().run

        def body() -> None:
            try:
                run(work, self)
            except BaseException as error:
                # A bug, or a user's clock or transport that raises anything: waiters must not hang on it.
                _log.error("a flight ended with %s; the next call starts another", type(error).__name__)
            finally:
                self.busy = None
                on_landing(self)
                self.future.set_result(None)

        try:
            thread = threading.Thread(target=body, name=FLIGHT_THREAD, daemon=True)
            thread.start()
            _flight_threads.threads.add(thread)
        except RuntimeError:
            # The interpreter is shutting down, or the machine is out of threads.
            body()

    def wait(self, timeout: float) -> None:
        """Blocks until the flight has landed, ``timeout`` seconds at most."""
        with contextlib.suppress(TimedOut):
            self.future.result(timeout)


async def landing(future: Future[None], timeout: float) -> None:
    """Returns when the flight has landed, or after ``timeout`` seconds; cancelling it does not stop the flight."""
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
        # RuntimeError: the loop has ended (trio's RunFinishedError is one, too).
        with contextlib.suppress(RuntimeError):
            call_soon(event.set)

    future.add_done_callback(wake)
    with anyio.move_on_after(timeout):
        await event.wait()
