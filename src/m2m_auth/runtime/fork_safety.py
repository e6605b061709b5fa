"""After ``fork()`` the child starts clean: locks and flights are new, held tokens stay.

A lock that another thread of the parent held would stay locked for ever in the child, so every object with
a lock registers here and gets a new one. Not every lock is ours: a module that was being imported stays locked or half
made, OpenSSL's and SQLite's mutexes stay taken, and the child hangs when it comes there. So a fork waits for whoever
is in :func:`delaying_forks`, and a moment for flights to land: one that is still under way then waits for the network,
where a fork does no harm.

A program that forks past Python (uWSGI, unless ``py-call-uwsgi-fork-hooks`` is set) runs none of this: there the first
flight or cache operation of the child notices the fork by its pid, and the child starts clean then.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import weakref
from types import FrameType, TracebackType
from typing import Protocol

__all__ = ["ForkAware", "delaying_forks", "importing", "notice_fork", "on_fork"]

FLIGHT = "m2m-auth-flight"
"""The name of flights' threads."""
PATIENCE = 10.0
"""Seconds that a fork waits for imports and for whoever is in :func:`delaying_forks`, at most."""
MOMENT = 2.0
"""Seconds that one fork waits for flights, and that all forks wait for one flight."""

_gate = threading.Condition()
_inside: list[int] = []
"""The threads that a fork waits for; one that has entered twice is there twice."""
_forking = 0
"""How many threads are about to fork; while one is, nobody else goes in, or its turn might never come."""
_waited_until: weakref.WeakKeyDictionary[threading.Thread, float] = weakref.WeakKeyDictionary()
"""How long forks wait for each flight that one has met; on the monotonic clock."""
_children: weakref.WeakSet[ForkAware] = weakref.WeakSet()
_last: weakref.WeakSet[ForkAware] = weakref.WeakSet()
"""Those that start threads again, which need what the others make anew."""
_pid = os.getpid()
"""The process that all of this belongs to."""
_noticing = threading.Lock()


class ForkAware(Protocol):
    """What has locks to renew in a forked child."""

    def after_fork(self) -> None:
        """Called in the child, where only the forking thread exists."""
        ...


def on_fork(target: ForkAware, *, last: bool = False) -> None:
    """Calls ``target.after_fork()`` in every forked child, as long as ``target`` lives; ``last``: after all others."""
    (_last if last else _children).add(target)


class _Inside:
    """A class, since a generator costs as much as the cache operation around which it stands."""

    def __enter__(self) -> None:
        notice_fork()
        me = threading.get_ident()
        with _gate:
            if _forking:
                _gate.wait_for(lambda: not _forking or me in _inside)
            _inside.append(me)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with _gate:
            _inside.remove(threading.get_ident())
            if _forking:
                _gate.notify_all()


_here = _Inside()


def delaying_forks() -> _Inside:
    """Holds off forks while this thread is where a child could not go on: in an import, SQLite or OpenSSL."""
    return _here


importing = delaying_forks


def _before() -> None:
    global _forking
    _gate.acquire()
    _forking += 1
    start = now = time.monotonic()
    while (_occupied() and now < start + PATIENCE) or (_in_flight(now) and now < start + MOMENT):
        _gate.wait(0.002)
        now = time.monotonic()


def _flights() -> list[threading.Thread]:
    me = threading.current_thread()
    return [thread for thread in threading.enumerate() if thread.name == FLIGHT and thread is not me]


def _occupied() -> bool:
    """True while a thread is in ``delaying_forks()``, or a flight imports something: ours, or a library's."""
    if any(thread != threading.get_ident() for thread in _inside):
        return True
    frames = sys._current_frames()  # pyright: ignore[reportPrivateUsage]
    return any(_importing(frames.get(thread.ident or 0)) for thread in _flights())


def _importing(frame: FrameType | None) -> bool:
    while frame is not None and not frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    return frame is not None


def _in_flight(now: float) -> bool:
    return any(now < _waited_until.setdefault(thread, now + MOMENT) for thread in _flights())


def _after_in_parent() -> None:
    global _forking
    _forking -= 1
    _gate.notify_all()
    _gate.release()


def notice_fork() -> None:
    """Makes a child start clean that was forked past Python; called where it first needs more than its memory."""
    if os.getpid() != _pid:
        with _noticing:
            if os.getpid() != _pid:
                _after_in_child()


def _after_in_child() -> None:
    global _gate, _forking, _pid
    _gate, _forking = threading.Condition(), 0
    _inside[:] = [thread for thread in _inside if thread == threading.get_ident()]
    for target in list(_children):
        target.after_fork()
    _pid = os.getpid()  # before there are threads that look at it
    for target in list(_last):
        target.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
