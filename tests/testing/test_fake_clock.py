"""FakeClock: which clock each method moves."""

from __future__ import annotations

import threading
import time

import pytest

from m2m_auth.runtime.clock import Clock
from m2m_auth.testing import FakeClock


def readings(clock: FakeClock) -> tuple[float, float, float]:
    """How far each of the three clocks has moved."""
    return clock.monotonic() - 100, clock.wall() - 1_000, clock.true_time() - 1_000


@pytest.fixture
def clock() -> FakeClock:
    """A clock with round numbers."""
    return FakeClock(wall=1_000, monotonic=100)


def test_stands_still(clock: FakeClock) -> None:
    """Time does not pass by itself, and the clock is a Clock."""
    assert isinstance(clock, Clock)
    first = readings(clock)
    time.sleep(0.01)
    assert readings(clock) == first == (0, 0, 0)


def test_advance_suspend_jump(clock: FakeClock) -> None:
    """advance moves all clocks, suspend all but the monotonic one, jump_wall only the wall clock."""
    clock.advance(5)
    assert readings(clock) == (5, 5, 5)
    clock.suspend(60)
    assert readings(clock) == (5, 65, 65)
    clock.jump_wall(-300)
    assert readings(clock) == (5, -235, 65)


def test_sleep_advances_and_is_noted(clock: FakeClock) -> None:
    """sleep takes no real time and is recorded."""
    start = time.monotonic()
    clock.sleep(3600)
    clock.sleep(0.5)
    assert time.monotonic() - start < 1
    assert readings(clock) == (3600.5, 3600.5, 3600.5)
    assert clock.sleeps == [3600, 0.5]


def test_time_does_not_go_back(clock: FakeClock) -> None:
    """Negative and impossible numbers are refused; the message says how to set a clock back."""
    for move in (clock.advance, clock.suspend, clock.sleep):
        for seconds in (-1, float("nan")):
            with pytest.raises(ValueError, match="jump_wall"):
                move(seconds)
    assert readings(clock) == (0, 0, 0)


def test_threads(clock: FakeClock) -> None:
    """Moves from many threads add up."""
    threads = [threading.Thread(target=lambda: [clock.advance(1) for _ in range(500)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert readings(clock) == (4000, 4000, 4000)
    assert repr(clock) == "FakeClock(wall=5000, monotonic=4100)"
