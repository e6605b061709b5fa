"""The engine's one source of time: a wall clock, a monotonic clock, a sleep, and the draw of a jitter.

Lifetimes are counted on the monotonic clock. The wall clock is only for what crosses a process (a cache entry, a JWT,
a status page), and to notice that the machine was suspended. Everything that reads the time takes a :class:`Clock`, so
a test passes :class:`m2m_auth.testing.FakeClock` and never sleeps.

Each read goes through an attribute of the modules ``time`` and ``random`` when it happens. Tools that replace these
attributes, such as freezegun and time-machine, therefore work on sources that exist already, and on every thread.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from types import BuiltinFunctionType

__all__ = ["SYSTEM_CLOCK", "Clock", "is_replaced"]

_FRAMES = 5
"""freezegun looks at so many frames below the reader of a clock."""


def _monotonic() -> float:
    """Seconds from an arbitrary start; never goes back."""
    return _read(time.monotonic)


def _wall() -> float:
    """Unix time in seconds; may jump."""
    return _read(time.time)


def is_replaced() -> bool:
    """True while a tool such as freezegun has put a function of its own in the place of :func:`time.monotonic`."""
    return type(time.monotonic) is not BuiltinFunctionType


def _read(clock: Callable[[], float]) -> float:
    return clock() if type(clock) is BuiltinFunctionType else _read_replaced(clock, _FRAMES)


def _read_replaced(clock: Callable[[], float], frames: int) -> float:
    """Reads freezegun's clock from so far above the caller that freezegun does not see who calls.

    It gives the real time to callers whose latest frames include ``threading``, ``queue`` and others (its default
    ignore list). A flight, which is a thread, would read the frozen clock here and the real one there, depending on
    the depth of the call.
    """
    return _read_replaced(clock, frames - 1) if frames else clock()


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
