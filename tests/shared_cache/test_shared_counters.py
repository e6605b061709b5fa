"""Counts that a fleet shares through the cache, and what remains of them while the cache fails."""

from __future__ import annotations

from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.shared_cache.circuit_breaker import OPEN_FOR
from m2m_auth.shared_cache.counters import SharedCounters
from m2m_auth.testing import FakeClock, FaultyCache


def test_two_processes_count_together() -> None:
    """Two objects on one cache see each other's counts and values; a foreign value counts as 0."""
    cache, clock = MemoryTokenCache(), FakeClock()
    one, two = SharedCounters(cache, "a service", clock), SharedCounters(cache, "a service", clock)
    assert (one.increment("c.together", 60), two.increment("c.together", 60)) == (1, 2)
    assert one.increment_shared("c.together", 60) == 3
    assert two.count("c.together") == 3
    one.set("c.value", b"not a number", 60)
    assert (two.get("c.value"), two.count("c.value")) == (b"not a number", 0)
    two.delete("c.value")
    assert one.get("c.value") is None


def test_while_the_cache_fails_a_process_counts_on_its_own() -> None:
    """Nothing is raised; this process's memory counts; what must reach the fleet says that it did not."""
    clock = FakeClock()
    cache = FaultyCache(MemoryTokenCache())
    counters = SharedCounters(cache, "a service", clock)
    cache.down = True
    assert [counters.increment("c.outage", 60) for _ in range(2)] == [1, 2]
    assert counters.count("c.outage") == 2
    assert counters.increment_shared("c.outage", 60) is None
    assert counters.set_shared("c.report", b"1", 60) is False
    counters.release_thread()
    cache.down = False
    clock.advance(OPEN_FOR)
    assert counters.increment_shared("c.outage", 60) == 1
    assert counters.set_shared("c.report", b"1", 60) is True


def test_without_a_cache_there_is_memory() -> None:
    """``None`` counts in this process, and a value without a positive time to live is not stored."""
    counters = SharedCounters(None, "a service", FakeClock())
    assert counters.increment("c.alone", 60) == 1
    counters.set("c.ended", b"1", 0)
    assert counters.get("c.ended") is None
