"""The shared cache and its lease: held by others, down, slow, lying, foreign; no call ever fails for it."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from engine_steps import ClockedStore, at_once, land, run_python, source

from m2m_auth import RenewalPolicy
from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.caches.protocol import Capabilities
from m2m_auth.events import Event
from m2m_auth.source.token_source import engine_of
from m2m_auth.testing import FakeAuthorizationServer, FakeClock, FaultyCache


@pytest.fixture
def store(clock: FakeClock) -> ClockedStore:
    """A shared cache on the fake clock."""
    return ClockedStore(clock.monotonic)


@pytest.fixture
def events() -> list[Event]:
    """The sources' events."""
    return []


def kinds(events: list[Event], *which: str) -> list[str]:
    """The events of these kinds, in their order."""
    return [event.kind for event in events if event.kind in which]


@pytest.mark.loopback
def test_a_stale_process_leaves_the_lease_to_its_holder(
    timed_server: FakeAuthorizationServer, clock: FakeClock, store: ClockedStore
) -> None:
    """The next flight starts after 250 ms at the earliest; no mint while the lease is held, then one."""
    it = source(timed_server, clock=clock, cache=store)
    first = it.token()
    clock.advance(2750)
    store.set(store.key("l"), b"another", 15)
    attempts: list[float] = []
    for _ in range(140):
        before = engine_of(it).state.pause
        assert it.token() == first
        land(it)
        if engine_of(it).state.pause is not before:
            attempts.append(clock.monotonic())
        clock.advance(0.1)
    gaps = [later - sooner for sooner, later in pairwise(attempts)]
    assert timed_server.token_requests == 1
    assert min(gaps) >= 0.25
    clock.advance(5)
    it.token()
    land(it)
    assert it.token() != first
    assert timed_server.token_requests == 2


@pytest.mark.loopback
def test_a_cold_process_polls_for_the_holders_token(
    timed_server: FakeAuthorizationServer, clock: FakeClock, store: ClockedStore
) -> None:
    """It waits 50 to 150 ms at a time, and takes the token as soon as the holder has written it."""
    elsewhere = source(timed_server, clock=clock, cache=store.beside())
    value, (key,) = elsewhere.token(), store.keys("t")
    sealed, until = store.entries.pop(key)
    store.set(key.replace(".t.", ".l."), b"another", 15)
    calm = clock.sleep

    def sleep(seconds: float) -> None:
        calm(seconds)
        if len(clock.sleeps) == 8:
            store.entries[key] = sealed, until

    clock.sleep = sleep  # type: ignore[method-assign]
    it = source(timed_server, clock=clock, cache=store)
    assert it.token() == value
    assert timed_server.token_requests == 1
    assert len(clock.sleeps) == 8
    assert all(0.05 <= seconds <= 0.15 for seconds in clock.sleeps)


@pytest.mark.loopback
def test_a_cold_process_takes_over_a_lapsed_lease(
    timed_server: FakeAuthorizationServer, clock: FakeClock, store: ClockedStore, events: list[Event]
) -> None:
    """A holder that died: another process mints when its lease has lapsed, no earlier; no process releases it."""
    elsewhere = source(timed_server, clock=clock, cache=store.beside())
    elsewhere.token()
    lease = store.key("l")
    store.entries.clear()
    store.set(lease, b"dead", 15)
    start = clock.monotonic()
    it = source(timed_server, clock=clock, cache=store, on_event=events.append)
    assert timed_server.is_active(it.token().value)
    assert 15 <= clock.monotonic() - start <= 15.2
    assert timed_server.token_requests == 2
    assert store.get(lease) is None
    assert [round(event.seconds or 0) for event in events if event.kind == "lease_wait"] == [15]


@pytest.mark.loopback
def test_a_free_lease_is_no_wait(
    timed_server: FakeAuthorizationServer, store: ClockedStore, events: list[Event]
) -> None:
    """A process that finds the lease free, on the real clock, emits no lease_wait."""
    source(timed_server, cache=store, on_event=events.append).token()
    assert kinds(events, "minted", "lease_wait") == ["minted"]


@pytest.mark.loopback
def test_a_lease_that_never_ends_is_a_lie(
    timed_server: FakeAuthorizationServer, clock: FakeClock, store: ClockedStore
) -> None:
    """A cache that says "held" for ever delays a cold process by one lease, and its owner's entry stays untouched."""
    cache = FaultyCache(store)
    cache.lie = "add_always_false"
    start = clock.monotonic()
    it = source(timed_server, clock=clock, cache=cache)
    assert timed_server.is_active(it.token().value)
    assert clock.monotonic() - start <= 15.5
    assert timed_server.token_requests == 1


class WholeSeconds(ClockedStore):
    """Like memcached: rounds up, and may add a tick of its clock."""

    capabilities = Capabilities(resolution=1.0)


@pytest.mark.loopback
def test_a_rounded_lease_is_no_lie(
    timed_server: FakeAuthorizationServer, clock: FakeClock, store: ClockedStore
) -> None:
    """Where leases are rounded up, a process that has waited for all of one still asks for it: it has one winner."""
    source(timed_server, clock=clock, cache=store.beside()).token()
    lease = store.key("l")
    store.entries.clear()
    store.set(lease, b"dead", 16.9)
    start = clock.monotonic()
    cache = WholeSeconds(clock.monotonic, store.entries)
    assert timed_server.is_active(source(timed_server, clock=clock, cache=cache).token().value)
    assert 16.9 <= clock.monotonic() - start <= 17.1
    assert timed_server.token_requests == 2


@pytest.mark.loopback
def test_the_lease_is_released(timed_server: FakeAuthorizationServer, clock: FakeClock, store: ClockedStore) -> None:
    """After a mint, and after a failed one, the next process need not wait."""
    it = source(timed_server, clock=clock, cache=store)
    it.token()
    assert store.get(store.key("l")) is None
    timed_server.fail("500")
    with pytest.raises(Exception, match="500"):
        it.renew()
    assert store.get(store.key("l")) is None


FAULTS: dict[str, dict[str, Any]] = {
    "down": {"down": True},
    "reads fail": {"down": ["get"]},
    "writes fail": {"down": ["set"]},
    "leases fail": {"down": ["add"]},
    "releases fail": {"down": ["delete_if"]},
    "counters fail": {"down": ["increment"]},
    "slow": {"delay": 0.02},
    "garbage": {"lie": "garbage"},
    "every lease granted": {"lie": "add_always_true"},
    "no lease granted": {"lie": "add_always_false"},
}


@pytest.mark.loopback
@pytest.mark.parametrize("fault", FAULTS)
def test_no_call_fails(
    timed_server: FakeAuthorizationServer, clock: FakeClock, store: ClockedStore, fault: str
) -> None:
    """A cold call, a stale one, an expired one and a rejection, each under the fault: there is a good token."""
    cache = FaultyCache(store)
    it = source(timed_server, clock=clock, cache=cache)
    for name, value in FAULTS[fault].items():
        setattr(cache, name, value)
    for moment in (0, 100, 2700, 3600, 40_000):
        clock.advance(moment)
        token = it.token()
        land(it)
        assert timed_server.is_active(token.value)
    it.reject(token)
    assert timed_server.is_active(it.token().value)


@pytest.mark.loopback
@pytest.mark.parametrize("fault", FAULTS)
def test_single_flight_stays_within_the_process(
    timed_server: FakeAuthorizationServer, clock: FakeClock, store: ClockedStore, fault: str
) -> None:
    """16 threads on a cold source under the fault: one mint."""
    cache = FaultyCache(store)
    for name, value in FAULTS[fault].items():
        setattr(cache, name, value)
    it = source(timed_server, clock=clock, cache=cache)
    timed_server.latency = 0.2
    assert len(set(at_once(16, it.token))) == 1
    assert timed_server.token_requests == 1


@pytest.mark.loopback
def test_a_dead_cache_is_left_alone(
    timed_server: FakeAuthorizationServer, clock: FakeClock, store: ClockedStore, events: list[Event]
) -> None:
    """After a fault no source uses the cache for 5 s; then one event says that it works again, and it is used."""
    cache = FaultyCache(store)
    it = source(timed_server, clock=clock, cache=cache, on_event=events.append)
    cache.down = True
    it.token()
    assert len(cache.calls) == 1
    clock.advance(4.9)
    it.renew()
    assert len(cache.calls) == 1
    cache.down = False
    clock.advance(60)
    it.renew()
    assert len(cache.calls) > 1
    assert kinds(events, "cache_fault", "cache_recovered") == ["cache_fault", "cache_recovered"]
    assert len(store.keys("t")) == 1


@pytest.mark.loopback
def test_without_a_lease_a_process_mints_rarely(
    timed_server: FakeAuthorizationServer, clock: FakeClock, store: ClockedStore
) -> None:
    """The cache is down for a day: a process renews about once per lifetime all the same, not once per call."""
    cache = FaultyCache(store)
    cache.down = True
    it = source(timed_server, clock=clock, cache=cache)
    for _ in range(1440):
        assert timed_server.is_active(it.token().value)
        land(it)
        clock.advance(60)
    assert 24 <= timed_server.token_requests <= 24 * 4 / 3 + 2


@pytest.mark.loopback
def test_foreign_exceptions_of_a_cache_are_faults(timed_server: FakeAuthorizationServer, clock: FakeClock) -> None:
    """A user's own cache may raise anything, and return anything."""

    class Wild(MemoryTokenCache):
        """Breaks the protocol."""

        def get(self, key: str) -> Any:
            """Text, where bytes belong."""
            return "text"

        def add(self, key: str, value: bytes, ttl: float) -> bool:
            """Raises an exception of its own."""
            raise ZeroDivisionError(key)

    assert timed_server.is_active(source(timed_server, clock=clock, cache=Wild()).token().value)


@pytest.mark.loopback
def test_a_slow_cache_delays_only_the_flight(timed_server: FakeAuthorizationServer, clock: FakeClock) -> None:
    """While the token is fresh or stale no call waits for the cache."""
    cache = FaultyCache(MemoryTokenCache())
    it = source(timed_server, clock=clock, cache=cache, policy=RenewalPolicy(expiring_wait=0.1))
    first = it.token()
    cache.delay = 0.5
    clock.advance(2750)
    start = time.monotonic()
    assert {it.token() for _ in range(100)} == {first}
    assert time.monotonic() - start < 0.5, "a call waited for one operation of the cache"
    land(it)


@pytest.mark.processes
@pytest.mark.parametrize(
    ("cache", "imported"), [("None", False), ("'memory:'", False), ("'disk:' + sys.argv[2]", True)]
)
def test_cryptography_is_for_shared_caches(
    server: FakeAuthorizationServer, tmp_path: Path, cache: str, imported: bool
) -> None:
    """Only sources with a shared cache import cryptography and diskcache, and only when a token is asked for."""
    code = f"""if True:
        import sys
        from m2m_auth import TokenSource
        source = TokenSource(sys.argv[1], "client", "secret", cache={cache})
        early = "cryptography" in sys.modules or "diskcache" in sys.modules
        with source: source.token()
        print(early, "cryptography" in sys.modules, "diskcache" in sys.modules)
    """
    assert run_python(code, server.token_endpoint, tmp_path / "cache") == f"False {imported} {imported}"
