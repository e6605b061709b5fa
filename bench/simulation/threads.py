"""Greenlets in place of the threads and futures of the library's flights: all that is replaced in the library."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TimedOut
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from greenlet import getcurrent, greenlet

from m2m_auth.source import flight

from .hub import Hub

__all__ = ["simulated_threads"]


@contextmanager
def simulated_threads(hub: Hub) -> Iterator[None]:
    """While it lasts, flights that are started on this thread run on greenlets."""
    me = threading.get_ident()

    def thread(**how: Any) -> Any:
        return _Thread(hub, **how) if threading.get_ident() == me else threading.Thread(**how)

    def future() -> Any:
        return _Landing(hub) if threading.get_ident() == me else Future()

    with patch.object(flight, "threading", SimpleNamespace(Thread=thread)), patch.object(flight, "Future", future):
        yield


class _Thread:
    """Belongs to the process whose thread starts it."""

    def __init__(self, hub: Hub, target: Callable[[], object], **_: object) -> None:
        self._hub, self._target = hub, target

    def start(self) -> None:
        self._hub.running.spawn(self._target)


class _Landing:
    """What a flight's ``Future`` is to its waiters."""

    def __init__(self, hub: Hub) -> None:
        self._process = hub.running
        self._waiting: list[greenlet] = []
        self._done = False

    def set_running_or_notify_cancel(self) -> bool:
        return True

    def set_result(self, _: None) -> None:
        self._process.must_live()
        self._done = True
        for thread in self._waiting:
            self._process.resume(thread)
        self._waiting.clear()
        self._process.landed()

    def result(self, timeout: float) -> None:
        """Blocks the calling thread until the flight has landed. Raises TimedOut."""
        if self._done:
            return
        me = getcurrent()
        self._waiting.append(me)
        hub = self._process.hub
        hub.at(hub.now + timeout, self._time_out, me)
        self._process.park()
        if not self._done:
            raise TimedOut

    def _time_out(self, thread: greenlet) -> None:
        if thread in self._waiting:
            self._waiting.remove(thread)
            self._process.resume(thread)
