"""The engine's one source of time: a wall clock, a monotonic clock and a sleep.

Lifetimes are counted on the monotonic clock; the wall clock is only for what crosses a process (a cache
entry, a JWT, a status page) and to notice that the machine was suspended. Everything that tells the time
takes a :class:`Clock`, so tests pass in :class:`m2m_auth.testing.FakeClock` and never sleep.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

__all__ = ["SYSTEM_CLOCK", "Clock"]


class Clock:
    """The system's clocks, in seconds.

    Subclass it, or pass an object with the same four callables as ``clock=``, to control time in tests.
    They are looked up once per source, so they must be set before the source is built.
    """

    monotonic: Callable[[], float] = staticmethod(time.monotonic)
    """Seconds from an arbitrary start; never goes back (:func:`time.monotonic`)."""
    wall: Callable[[], float] = staticmethod(time.time)
    """Unix time in seconds; may jump (:func:`time.time`)."""
    sleep: Callable[[float], None] = staticmethod(time.sleep)
    """Blocks the calling thread for that many seconds; only flight threads call it."""
    uniform: Callable[[], float] = staticmethod(random.random)
    """A number from 0 to 1: where in its range a jitter falls (:func:`random.random`)."""


SYSTEM_CLOCK = Clock()
"""The one that every source has unless it is given another."""
