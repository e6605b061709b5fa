"""The engine's one source of time: a wall clock, a monotonic clock, a sleep, and the draw of a jitter.

Lifetimes are counted on the monotonic clock. The wall clock is only for what crosses a process (a cache entry, a JWT,
a status page), and to notice that the machine was suspended. Everything that reads the time takes a :class:`Clock`, so
a test passes :class:`m2m_auth.testing.FakeClock` and never sleeps.

Each read goes through an attribute of the modules ``time`` and ``random`` when it happens. Tools that replace these
attributes, such as freezegun and time-machine, therefore work on sources that exist already.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

__all__ = ["SYSTEM_CLOCK", "Clock"]


def _monotonic() -> float:
    """Seconds from an arbitrary start; never goes back."""
    return time.monotonic()


def _wall() -> float:
    """Unix time in seconds; may jump."""
    return time.time()


def _sleep(seconds: float) -> None:
    """Blocks the calling thread for that many seconds."""
    time.sleep(seconds)


def _uniform() -> float:
    """A number from 0 to 1."""
    return random.random()  # noqa: S311 - a jitter, not a secret


class Clock:
    """The system's clocks, in seconds.

    To control time in tests, subclass it, or pass an object with the same four callables as ``clock=``.
    """

    monotonic: Callable[[], float] = staticmethod(_monotonic)
    """Seconds from an arbitrary start; never goes back (:func:`time.monotonic`)."""
    wall: Callable[[], float] = staticmethod(_wall)
    """Unix time in seconds; may jump (:func:`time.time`)."""
    sleep: Callable[[float], None] = staticmethod(_sleep)
    """Blocks the calling thread for that many seconds; only flight threads call it (:func:`time.sleep`)."""
    uniform: Callable[[], float] = staticmethod(_uniform)
    """A number from 0 to 1: where in its range a jitter falls (:func:`random.random`)."""


SYSTEM_CLOCK = Clock()
"""The clock of every source that is given no other."""
