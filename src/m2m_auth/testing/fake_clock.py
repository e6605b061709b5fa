"""A clock that a test moves."""

from __future__ import annotations

import threading
import time

from ..runtime.clock import Clock

__all__ = ["FakeClock"]


class FakeClock(Clock):
    """A :class:`m2m_auth.Clock` for tests: pass it as ``clock=`` and move it. Thread-safe.

    It has three times, as a real machine has: the monotonic clock stops while the machine is suspended; the wall clock
    can be set; :meth:`true_time` is the time of all other machines.

    Args:
        wall: where the wall clock starts, Unix time in seconds.
        monotonic: where the monotonic clock starts, in seconds.

    Attributes:
        sleeps: the seconds of each :meth:`sleep` so far: they show retries and backoff.
    """

    def __init__(self, wall: float = 1_700_000_000.0, monotonic: float = 1_000.0) -> None:
        self._lock = threading.Lock()
        self._wall = wall
        self._true = wall
        self._monotonic = monotonic
        self.sleeps: list[float] = []

    def __repr__(self) -> str:
        return f"FakeClock(wall={self.wall()!r}, monotonic={self.monotonic()!r})"

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; only :meth:`advance` and :meth:`sleep` move it."""
        return self._monotonic

    def wall(self) -> float:
        """The Unix time of this machine's clock, in seconds."""
        return self._wall

    def true_time(self) -> float:
        """The correct Unix time, in seconds: :meth:`suspend` moves it, :meth:`jump_wall` does not.

        ``FakeAuthorizationServer(clock=…)`` uses it, as another machine would.
        """
        return self._true

    def sleep(self, seconds: float) -> None:
        """Advances the clocks and appends the ``seconds`` to :attr:`sleeps`.

        Raises:
            ValueError: ``seconds`` is negative.
        """
        self._move("sleep", seconds, suspended=False)
        self.sleeps.append(seconds)
        # A loop that waits for another thread must not move this clock by hours meanwhile.
        time.sleep(0.001)

    def advance(self, seconds: float) -> None:
        """Moves every clock by ``seconds``.

        Raises:
            ValueError: ``seconds`` is negative.
        """
        self._move("advance", seconds, suspended=False)

    def suspend(self, seconds: float) -> None:
        """Suspends the machine for ``seconds``: the wall clock moves, the monotonic clock does not.

        Raises:
            ValueError: ``seconds`` is negative.
        """
        self._move("suspend", seconds, suspended=True)

    def jump_wall(self, seconds: float) -> None:
        """Sets the wall clock ahead by ``seconds``, or back if it is negative. No other clock moves."""
        with self._lock:
            self._wall += seconds

    def _move(self, what: str, seconds: float, *, suspended: bool) -> None:
        if not seconds >= 0:
            raise ValueError(f"{what}({seconds!r}): time cannot go back. Fix: set the wall clock back by jump_wall()")
        with self._lock:
            self._wall += seconds
            self._true += seconds
            if not suspended:
                self._monotonic += seconds
