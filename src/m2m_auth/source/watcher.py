"""Renewal by timer, even while no call is made: one thread per process for all watched sources.

The thread lives while a source is watched. It checks the sources and starts flights; it never waits for a flight.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import logging
import math
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from ..runtime.fork_safety import on_fork

if TYPE_CHECKING:
    from concurrent.futures import Future

    from typing_extensions import Self

__all__ = ["HEARTBEAT", "TokenWatcher"]

HEARTBEAT = 30.0
"""Seconds between two checks at most: notices suspended machines and jumped clocks."""
SOONEST = 0.05
"""Seconds between two checks at least."""
_log = logging.getLogger("m2m_auth")


class Watched(Protocol):
    """What a watcher needs of its source."""

    def renew_if_due(self) -> tuple[float, Future[None] | None]:
        """Starts a flight if one is due; the seconds until the next check, and the running flight's future."""
        ...

    def is_ready(self) -> bool:
        """True if a good token is held."""
        ...


class _Timer:
    """The one timer thread, and its heap of (when, order, watcher)."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._heap: list[tuple[float, int, TokenWatcher]] = []
        self._order = itertools.count()
        self._thread: threading.Thread | None = None
        self._watchers: set[TokenWatcher] = set()

    def after_fork(self) -> None:
        """In a forked child there is no thread: the child starts its own, and the watchers continue."""
        self._changed = threading.Condition(threading.Lock())
        self._thread = None
        self._heap = []
        for watcher in list(self._watchers):
            watcher.after_fork()
            self.schedule(watcher, 0.0)

    def schedule(self, watcher: TokenWatcher, delay: float) -> None:
        """Schedules the watcher's next check in ``delay`` seconds, unless an earlier one is scheduled."""
        when = time.monotonic() + delay
        with self._changed:
            if watcher.closed or when >= watcher.due:
                return
            watcher.due = when
            self._watchers.add(watcher)
            heapq.heappush(self._heap, (when, next(self._order), watcher))
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="m2m-auth-watcher", daemon=True)
                with contextlib.suppress(RuntimeError):  # the interpreter is shutting down
                    thread.start()
                    self._thread = thread
            self._changed.notify()

    def forget(self, watcher: TokenWatcher) -> None:
        """Drops a closed watcher; without any watcher, the thread ends."""
        with self._changed:
            self._watchers.discard(watcher)
            self._heap = [entry for entry in self._heap if entry[2] is not watcher]
            heapq.heapify(self._heap)
            self._changed.notify()

    def _run(self) -> None:
        while (watcher := self._next()) is not None:
            self.schedule(watcher, watcher.check())

    def _next(self) -> TokenWatcher | None:
        """Waits for the next watcher that is due; None if no watcher is left."""
        with self._changed:
            while self._heap:
                when, _, watcher = self._heap[0]
                delay = when - time.monotonic()
                if when != watcher.due:  # it was scheduled again for an earlier time, and has checked since
                    heapq.heappop(self._heap)
                elif delay > 0:
                    self._changed.wait(delay)
                else:
                    heapq.heappop(self._heap)
                    watcher.due = math.inf
                    return watcher
            self._thread = None
            return None


_timer = _Timer()
on_fork(_timer, last=True)


class TokenWatcher:
    """Renews one source's token by timer, from now until it is closed. No failure stops it.

    :meth:`m2m_auth.TokenSource.watch` makes it. A context manager; thousands of watchers share one thread.
    """

    def __init__(self, source: Watched) -> None:
        self._source = source
        self._ready = threading.Event()
        self.closed = False
        """True once :meth:`close` was called."""
        self.due = math.inf
        """When the timer checks next, on the monotonic clock; only the timer sets it."""
        _timer.schedule(self, 0.0)

    @property
    def state(self) -> str:
        """``ready``: a good token is held. ``waiting``: none is held. ``closed``: :meth:`close` was called."""
        if self.closed:
            return "closed"
        return "ready" if self._source.is_ready() else "waiting"

    def wait_until_ready(self, timeout: float) -> bool:
        """Blocks until a good token is held, ``timeout`` seconds at most; True if one is. For readiness probes."""
        if not self._source.is_ready():
            self._ready.clear()
        return self._source.is_ready() or self._ready.wait(timeout) or self._source.is_ready()

    def check(self) -> float:
        """Checks once, on the timer's thread; returns the seconds until the next check. No exception stops it."""
        delay, future = HEARTBEAT, None
        try:
            delay, future = self._source.renew_if_due()
            if self._source.is_ready():
                self._ready.set()
            else:
                self._ready.clear()
        except Exception as error:
            _log.warning("a token watcher met %s; it continues", type(error).__name__)
        if future is not None:
            future.add_done_callback(lambda _: _timer.schedule(self, 0.0))
        return min(max(delay, SOONEST), HEARTBEAT)

    def after_fork(self) -> None:
        """In a forked child: another thread of the parent may have held the event's lock."""
        self._ready = threading.Event()
        self.due = math.inf

    def close(self) -> None:
        """Stops watching. The token stays; calls renew it as they do without a watcher."""
        self.closed = True
        _timer.forget(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<TokenWatcher {self.state} of {self._source!r}>"
