"""A clock that only moves when a test says so."""

from __future__ import annotations

import threading
import time

from ..runtime.clock import Clock

__all__ = ["FakeClock"]


class FakeClock(Clock):
    """A :class:`m2m_auth.Clock` for tests: pass it as ``clock=`` and move it by hand. Thread-safe.

    Three times are kept apart, as on a real machine: the monotonic clock, which stands still while the machine
    is suspended; the wall clock, which may be set; and :meth:`true_time`, which is the world's and obeys nobody.

    Args:
        wall: where the wall clock starts, Unix time in seconds.
        monotonic: where the monotonic clock starts, in seconds.

    Attributes:
        sleeps: what was slept through :meth:`sleep` so far, in seconds: retries and backoff can be read off it.
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
        """Seconds from an arbitrary start; moved by :meth:`advance` and :meth:`sleep` only."""
        return self._monotonic

    def wall(self) -> float:
        """What this machine believes the Unix time to be, in seconds."""
        return self._wall

    def true_time(self) -> float:
        """The Unix time that it really is, in seconds: a suspend moves it, a wrongly set clock does not.

        ``FakeAuthorizationServer(clock=…)`` lives by it, as another machine would.
        """
        return self._true

    def sleep(self, seconds: float) -> None:
        """Advances the clocks and notes the ``seconds`` in :attr:`sleeps`.

        Raises:
            ValueError: ``seconds`` is negative.
        """
        self._move("sleep", seconds, suspended=False)
        self.sleeps.append(seconds)
        # A loop that polls something real must not race this clock through hours while that something works.
        time.sleep(0.001)

    def advance(self, seconds: float) -> None:
        """Lets ``seconds`` go by on every clock.

        Raises:
            ValueError: ``seconds`` is negative.
        """
        self._move("advance", seconds, suspended=False)

    def suspend(self, seconds: float) -> None:
        """The machine sleeps for ``seconds``: the wall clock jumps ahead, the monotonic clock stands still.

        Raises:
            ValueError: ``seconds`` is negative.
        """
        self._move("suspend", seconds, suspended=True)

    def jump_wall(self, seconds: float) -> None:
        """Somebody sets the wall clock ahead, or back if ``seconds`` is negative; no time goes by."""
        with self._lock:
            self._wall += seconds

    def _move(self, what: str, seconds: float, *, suspended: bool) -> None:
        if not seconds >= 0:
            raise ValueError(f"{what}({seconds!r}): time does not go back. To set the wall clock back: jump_wall()")
        with self._lock:
            self._wall += seconds
            self._true += seconds
            if not suspended:
                self._monotonic += seconds
