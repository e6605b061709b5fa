"""The engine's one source of time: a wall clock, a monotonic clock, a sleep, and the draw of a jitter.

Lifetimes are counted on the monotonic clock. The wall clock is only for what crosses a process (a cache entry, a JWT,
a status page), and to notice that the machine was suspended. Everything that reads the time takes a :class:`Clock`, so
a test passes :class:`m2m_auth.testing.FakeClock` and never sleeps.

Each read goes through an attribute of the modules ``time`` and ``random`` when it happens. Tools that replace these
attributes therefore work on sources that exist already. Two such tools need more:

- time-machine moves the wall clock alone. That is a wall clock that jumps, and the engine knows those.
- freezegun stops both clocks, and moves both. But a read that is fewer than five frames below the module ``threading``
  sees the real time, so one flight would see both. And a monotonic clock that stands still never ends a wait. So here
  freezegun moves the wall clock alone, too, and on every thread.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["SYSTEM_CLOCK", "Clock", "is_frozen", "with_replaced_clocks"]

_T = TypeVar("_T")
_FREEZEGUN = "freezegun.api"
_FRAMES = 5
"""freezegun looks at so many frames below a clock's reader for the modules that get the real time."""


def is_frozen() -> bool:
    """True while freezegun has replaced the clocks of this process."""
    return getattr(time.monotonic, "__module__", None) == _FREEZEGUN


def _monotonic() -> float:
    """Seconds from an arbitrary start; never goes back."""
    if is_frozen():
        return float(sys.modules[_FREEZEGUN].real_monotonic())
    return time.monotonic()


def _wall() -> float:
    """Unix time in seconds; may jump."""
    return with_replaced_clocks(time.time) if is_frozen() else time.time()


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


def with_replaced_clocks(work: Callable[[], _T], frames: int = _FRAMES) -> _T:
    """Runs ``work`` so far above the thread's first frames that freezegun does not notice ``threading`` below it.

    Otherwise one thread reads both clocks, the frozen and the real one, and which one depends on the depth of the call.
    """
    return with_replaced_clocks(work, frames - 1) if frames else work()
