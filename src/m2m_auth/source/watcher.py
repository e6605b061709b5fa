"""Keeping tokens fresh by timer, even when nobody calls: one thread per process for all watched sources.

The thread lives while something is watched. It only looks and starts flights; it never waits for one.
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
"""Seconds between two looks at most: notices suspended machines and jumped clocks."""
SOONEST = 0.05
"""Seconds between two looks at least."""
_log = logging.getLogger("m2m_auth")


class Watched(Protocol):
    """What a watcher needs of its source."""

    def renew_if_due(self) -> tuple[float, Future[None] | None]:
        """Start a flight if one is due; return the seconds until the next look, and the running flight's future."""
        ...

    def is_ready(self) -> bool:
        """Return True if a good token is held."""
        ...


class _Timer:
    """The one timer thread: a heap of (when, watcher), each looked at when it is due."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._heap: list[tuple[float, int, TokenWatcher]] = []
        self._order = itertools.count()
        self._thread: threading.Thread | None = None
        self._watchers: set[TokenWatcher] = set()

    def after_fork(self) -> None:
        """In a forked child there is no thread: what was watched is watched on, by a thread of the child's own."""
        self._changed = threading.Condition(threading.Lock())
        self._thread = None
        self._heap = []
        for watcher in list(self._watchers):
            watcher.after_fork()
            self.schedule(watcher, 0.0)

    def schedule(self, watcher: TokenWatcher, delay: float) -> None:
        """Have the watcher look in ``delay`` seconds, unless it looks earlier anyhow."""
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
        """Drop a closed watcher; without any, the thread ends."""
        with self._changed:
            self._watchers.discard(watcher)
            self._heap = [entry for entry in self._heap if entry[2] is not watcher]
            heapq.heapify(self._heap)
            self._changed.notify()

    def _run(self) -> None:
        while (watcher := self._next()) is not None:
            self.schedule(watcher, watcher.check())

    def _next(self) -> TokenWatcher | None:
        """Wait for the next watcher that is due; None when nothing is watched any more."""
        with self._changed:
            while self._heap:
                when, _, watcher = self._heap[0]
                delay = when - time.monotonic()
                if when != watcher.due:  # it was scheduled earlier, and has looked since
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
    """Keeps one source's token fresh by timer, from now until it is closed; nothing else stops it.

    Made by :meth:`m2m_auth.TokenSource.watch`. A context manager; thousands of them share one thread.
    """

    def __init__(self, source: Watched) -> None:
        self._source = source
        self._ready = threading.Event()
        self.closed = False
        """True once :meth:`close` was called."""
        self.due = math.inf
        """The timer's own: when it looks next, on the monotonic clock."""
        _timer.schedule(self, 0.0)

    @property
    def state(self) -> str:
        """``ready``: a good token is held. ``waiting``: none is, yet or any more. ``closed``."""
        if self.closed:
            return "closed"
        return "ready" if self._source.is_ready() else "waiting"

    def wait_until_ready(self, timeout: float) -> bool:
        """Block until a good token is held, ``timeout`` seconds at most; True if there is one. For readiness probes."""
        if not self._source.is_ready():
            self._ready.clear()
        return self._source.is_ready() or self._ready.wait(timeout) or self._source.is_ready()

    def check(self) -> float:
        """Look once, on the timer's thread; returns the seconds until the next look. Nothing that it meets stops it."""
        delay, future = HEARTBEAT, None
        try:
            delay, future = self._source.renew_if_due()
            if self._source.is_ready():
                self._ready.set()
            else:
                self._ready.clear()
        except Exception as error:
            _log.warning("a token watcher met %s; it goes on", type(error).__name__)
        if future is not None:
            future.add_done_callback(lambda _: _timer.schedule(self, 0.0))
        return min(max(delay, SOONEST), HEARTBEAT)

    def after_fork(self) -> None:
        """In a forked child: another thread may have held the event's lock."""
        self._ready = threading.Event()
        self.due = math.inf

    def close(self) -> None:
        """Stop watching. The token stays; calls go on renewing it when they use it."""
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
