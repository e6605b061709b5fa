"""The circuit breaker belongs to the cache, not to a source: of all sources, only the first one tries a dead cache."""

from __future__ import annotations

import pytest
from engine_support import ScriptedServer, SharedMemory, kinds, source_on

from m2m_auth.caches.protocol import Capabilities
from m2m_auth.events import Event
from m2m_auth.shared_cache.circuit_breaker import OPEN_FOR
from m2m_auth.testing import FakeClock, FaultyCache


def test_a_thousand_sources_try_a_dead_cache_once(clock: FakeClock) -> None:
    """1,000 keys on one dead cache: one operation until the breaker closes; every call gets its token."""
    cache, events = FaultyCache(SharedMemory()), list[Event]()
    cache.down = True
    server = ScriptedServer()
    for number in range(1000):
        assert source_on(server, clock, events, cache=cache, scope=f"s{number}").token()
    assert len(cache.calls) == 1
    assert kinds(events).count("cache_fault") == 1
    clock.advance(OPEN_FOR)
    cache.down = False
    source_on(server, clock, events, cache=cache, scope="later").token()
    assert kinds(events).count("cache_recovered") == 1


class NoLease(SharedMemory):
    """A cache without atomic operations."""

    capabilities = Capabilities(atomic_add=False, atomic_increment=False)


def test_a_missing_capability_is_logged_once(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """One warning per gap and cache, however many sources use it."""
    cache, server = NoLease(), ScriptedServer()
    with caplog.at_level("WARNING", "m2m_auth"):
        for number in range(3):
            source_on(server, clock, cache=cache, scope=f"s{number}").token()
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert "has no atomic_add: it cannot give a lease" in said[0]
    assert "has no atomic_increment: its counters may lose mints" in said[1]
