"""After ``fork()`` the child starts clean: locks and flights are new, held tokens stay.

A lock that another thread of the parent held stays locked for ever in the child. A :class:`ForkSafeLock` is new there;
an object that must renew more than a lock registers with :func:`on_fork`. Three more things would hang or break the
child, and a fork waits for each:

- a module that another thread imports stays half made: a fork waits for a flight that imports;
- SQLite's and OpenSSL's own locks stay taken: a fork waits for the threads in :func:`delaying_forks`;
- OpenSSL's locks are also taken inside of the HTTP library: a fork waits a moment for flights to land. A flight that
  takes longer then waits for the network, where a fork does no harm.

A program that forks without Python's hooks (uWSGI, unless ``py-call-uwsgi-fork-hooks`` is set) runs none of this. Then
the child's first flight or cache operation notices the fork by the pid, and the child starts clean.
"""

from __future__ import annotations

# These two register hooks for fork when they are imported. That must not happen while a fork waits for an import, such
# as the first source's: their hook after the fork would release a lock that no hook before it has taken.
import concurrent.futures.thread  # noqa: F401 # pyright: ignore[reportUnusedImport]
import logging  # noqa: F401 # pyright: ignore[reportUnusedImport]
import math
import os
import sys
import threading
import weakref
from types import FrameType, TracebackType
from typing import Protocol

from .clock import SYSTEM_CLOCK

__all__ = ["FLIGHT_THREAD", "ForkAware", "ForkSafeLock", "delaying_forks", "notice_fork", "on_fork"]

FLIGHT_THREAD = "m2m-auth-flight"
"""The name of flights' threads."""
PATIENCE = 10.0
"""Seconds that a fork waits at most for imports and for threads in :func:`delaying_forks`."""
MOMENT = 2.0
"""Seconds that one fork waits for flights, and that all forks together wait for one flight."""

_gate = threading.Condition()
_delaying: list[int] = []
"""The threads in :func:`delaying_forks`; one that has entered twice is there twice."""
_forking: list[int] = []
"""The threads that are about to fork. Meanwhile only they and the flights that they wait for enter."""
_flights_enter_until = 0.0
"""Until when flights enter although a thread is about to fork, on the monotonic clock. Flights that take turns would
otherwise keep the fork waiting for all of ``PATIENCE``, and it would then happen while one of them is inside."""
_waited_until: weakref.WeakKeyDictionary[threading.Thread, float] = weakref.WeakKeyDictionary()
"""Until when forks wait for each flight that a fork has met; on the monotonic clock."""
_targets: weakref.WeakSet[ForkAware] = weakref.WeakSet()
_last_targets: weakref.WeakSet[ForkAware] = weakref.WeakSet()
"""The targets that start threads, which need what the other targets make anew."""
_pid = os.getpid()
"""The process that this module's state belongs to."""
_noticing = threading.Lock()


class ForkAware(Protocol):
    """An object with something to renew in a forked child."""

    def after_fork(self) -> None:
        """Called in the child, where only the forking thread exists."""
        ...


def on_fork(target: ForkAware, *, last: bool = False) -> None:
    """Calls ``target.after_fork()`` in every forked child, as long as ``target`` lives; ``last``: after all others."""
    (_last_targets if last else _targets).add(target)


class ForkSafeLock:
    """A lock that is free in a forked child, whichever thread of the parent held it: ``with lock.current:``.

    The block takes and releases one and the same ``threading.Lock``, even if a fork replaces ``current`` meanwhile.
    It is not a context manager itself: an exception that a signal handler raises (Ctrl-C, Celery's soft time limit)
    inside of an ``__enter__`` or ``__exit__`` in Python would leave the lock taken for ever.
    """

    __slots__ = ("__weakref__", "current")

    def __init__(self) -> None:
        self.current = threading.Lock()
        """The lock of this process."""
        on_fork(self)

    def after_fork(self) -> None:
        """In a forked child: a new lock."""
        self.current = threading.Lock()


class _DelayingForks:
    """A class: a generator would cost as much as the cache operation inside it."""

    def __enter__(self) -> None:
        notice_fork()
        me = threading.get_ident()
        with _gate:
            if _forking and me not in _forking and not _is_waited_for(threading.current_thread()):
                _gate.wait_for(lambda: not _forking or me in _delaying)
            _delaying.append(me)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with _gate:
            _delaying.remove(threading.get_ident())
            if _forking:
                _gate.notify_all()


_delay = _DelayingForks()


def delaying_forks() -> _DelayingForks:
    """Delays forks while this thread holds a lock that would deadlock the child: an import's, SQLite's, OpenSSL's."""
    return _delay


def _before() -> None:
    global _flights_enter_until
    _gate.acquire()
    start = now = SYSTEM_CLOCK.monotonic()
    if not _forking:
        _flights_enter_until = start + MOMENT
    _forking.append(threading.get_ident())
    while (_is_delayed() and now < start + PATIENCE) or (_is_in_flight(now) and now < start + MOMENT):
        _gate.wait(0.002)
        now = SYSTEM_CLOCK.monotonic()


def _flights() -> list[threading.Thread]:
    me = threading.current_thread()
    return [thread for thread in threading.enumerate() if thread.name == FLIGHT_THREAD and thread is not me]


def _is_delayed() -> bool:
    """True while another thread is in ``delaying_forks()``, or a flight imports a module."""
    if any(thread != threading.get_ident() for thread in _delaying):
        return True
    frames = sys._current_frames()  # pyright: ignore[reportPrivateUsage]
    return any(_is_importing(frames.get(thread.ident or 0)) for thread in _flights())


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None and not frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    return frame is not None


def _is_in_flight(now: float) -> bool:
    return any(now < _waited_until.setdefault(thread, now + MOMENT) for thread in _flights())


def _is_waited_for(thread: threading.Thread) -> bool:
    """True for a flight that a fork still waits for: it has to get on in order to land."""
    now = SYSTEM_CLOCK.monotonic()
    return thread.name == FLIGHT_THREAD and now < min(_flights_enter_until, _waited_until.get(thread, math.inf))


def _after_in_parent() -> None:
    _forking.remove(threading.get_ident())
    _gate.notify_all()
    _gate.release()


def notice_fork() -> None:
    """Lets a child start clean that was forked without Python's hooks. Called before a flight or cache operation."""
    if os.getpid() != _pid:
        with _noticing:
            if os.getpid() != _pid:
                _after_in_child()


def _after_in_child() -> None:
    global _gate, _pid
    _gate = threading.Condition()
    _forking.clear()
    _delaying[:] = [thread for thread in _delaying if thread == threading.get_ident()]
    for target in list(_targets):
        target.after_fork()
    _pid = os.getpid()  # before the last targets start threads that compare it
    for target in list(_last_targets):
        target.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
