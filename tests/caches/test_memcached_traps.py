"""Traps of memcached, each on a real server: noreply, release, whole seconds, dates, large values, counters."""

from __future__ import annotations

import re
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from memcached_steps import cache_on, misbehaving, raw_client
from real_servers.stores import Store, start_memcached

from m2m_auth.caches.memcached import MemcachedTokenCache
from m2m_auth.errors import CacheUnavailable

pytestmark = pytest.mark.processes

DAY = 86400


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    """A memcached."""
    with start_memcached() as running:
        yield running


@pytest.fixture
def cache(store: Store) -> Iterator[MemcachedTokenCache]:
    """A cache on it."""
    with closing(cache_on(store.port)) as opened:
        yield opened


@pytest.fixture
def key() -> str:
    """A new key."""
    return secrets.token_hex(32)


def seconds_left(store: Store, key: str) -> int:
    """The remaining time to live by the server (command ``mg``, flag ``t``); -1 means no end."""
    with raw_client(store) as client:
        answer: bytes = client.raw_command(f"mg {key} t")
    found = re.fullmatch(rb"HD t(-?\d+)", answer)
    assert found, answer
    return int(found[1])


@pytest.mark.parametrize("ttl", [0.001, 0.999, 1.0, 1.5, 60, 86_399.5, 29 * DAY])
def test_a_time_to_live_is_rounded_up(cache: MemcachedTokenCache, store: Store, key: str, ttl: float) -> None:
    """The server keeps an entry for its time to live, and at most two seconds longer."""
    for keep in (cache.set, cache.add):
        name = f"{keep.__name__[0]}{key[1:]}"
        sent = time.monotonic()
        keep(name, b"value", ttl)
        left = seconds_left(store, name)
        passed = time.monotonic() - sent
        assert ttl - passed <= left <= ttl + 2


@pytest.mark.parametrize("ttl", [30 * DAY, 30 * DAY + 1, 400 * DAY, 2e9])
def test_a_long_time_to_live_is_no_date(cache: MemcachedTokenCache, store: Store, key: str, ttl: float) -> None:
    """A time to live above 30 days, a date to memcached, becomes 30 days."""
    cache.set(key, b"value", ttl)
    assert cache.get(key) == b"value"
    assert 30 * DAY - 60 < seconds_left(store, key) <= 30 * DAY


@pytest.mark.parametrize("ttl", [0.0, -5.0])
def test_no_time_to_live_is_not_for_ever(cache: MemcachedTokenCache, store: Store, key: str, ttl: float) -> None:
    """A time to live of 0, no end to memcached, becomes one second."""
    with raw_client(store) as client:
        cache.set(key, b"value", ttl)
        assert client.raw_command(f"mg {key} t") in (b"HD t1", b"HD t0", b"EN")


def test_no_lease_lapses_early(cache: MemcachedTokenCache, key: str) -> None:
    """A lease of one second lasts one second, at any moment between two ticks of the server's clock."""
    lasted: list[float] = []

    def hold(number: int) -> None:
        time.sleep(number / 8)
        start = time.monotonic()
        assert cache.add(f"{number}{key[1:]}", b"owner", 1.0)
        while cache.get(f"{number}{key[1:]}") is not None:
            time.sleep(0.005)
        lasted.append(time.monotonic() - start)

    threads = [threading.Thread(target=hold, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lasted) == 8
    assert min(lasted) >= 1.0


def test_a_release_frees_the_lease_at_once(cache: MemcachedTokenCache, store: Store, key: str) -> None:
    """200 owners take one lease in turn, each right after the previous release; nothing is left afterwards."""
    with closing(cache_on(store.port)) as other:
        for turn in range(200):
            owner = str(turn).encode()
            mine = (cache, other)[turn % 2]
            assert mine.add(key, owner, 60) is True
            assert mine.delete_if(key, owner) is True
            assert mine.delete_if(key, owner) is False
    assert cache.get(key) is None


def test_only_the_holder_releases(store: Store, key: str) -> None:
    """Four threads take and release one lease, and try to release it for others: there is always one holder."""
    holders = 0
    most = 0
    turns = 0
    problems: list[str] = []
    over = threading.Event()

    def contend(name: bytes) -> None:
        nonlocal holders, most, turns
        with closing(cache_on(store.port)) as cache:
            for turn in range(300):
                if over.is_set():
                    break
                owner = b"%s-%d" % (name, turn)
                if not cache.add(key, owner, 60):
                    if cache.delete_if(key, owner):
                        problems.append("released another's lease")
                    continue
                holders += 1
                most = max(most, holders)
                turns += 1
                if cache.get(key) != owner:
                    problems.append("held by another")
                holders -= 1
                if not cache.delete_if(key, owner):
                    problems.append("could not release its own")
                    over.set()

    threads = [threading.Thread(target=contend, args=(name,)) for name in (b"a", b"b", b"c", b"d")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert most == 1
    assert turns >= 4


def test_a_lease_that_changes_hands_during_a_release(store: Store, key: str) -> None:
    """A release fails if the next owner took the lease between its two commands."""

    def change_hands_after_the_look(connection: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", store.port)) as server, raw_client(store) as other:
            while data := connection.recv(4096):
                server.sendall(data)
                answer = server.recv(4096)
                if data.startswith(b"gets "):
                    other.set(key, b"next owner", 60, noreply=False)
                connection.sendall(answer)

    with misbehaving(change_hands_after_the_look) as port, closing(cache_on(port)) as cache:
        assert cache.add(key, b"owner", 60) is True
        assert cache.delete_if(key, b"owner") is False
        assert cache.get(key) == b"next owner"


@pytest.mark.parametrize("size", [1 << 20, 3 << 20])
def test_a_value_too_large(cache: MemcachedTokenCache, key: str, size: int) -> None:
    """A value above the server's limit (1 MB) raises CacheUnavailable, and the next operation works."""
    cache.set(key, b"before", 60)
    with pytest.raises(CacheUnavailable, match="Error"):
        cache.set(key, b"x" * size, 60)
    assert cache.get(key) in (None, b"before")
    cache.set(key, b"after", 60)
    assert cache.get(key) == b"after"


def test_a_value_that_just_fits(cache: MemcachedTokenCache, key: str) -> None:
    """A value of 1 MB minus 1 KB comes back unchanged."""
    value = secrets.token_bytes((1 << 20) - 1024)
    cache.set(key, value, 60)
    assert cache.get(key) == value


@pytest.mark.parametrize("bad", ["k" * 251, "a b", "a\r\nset b 0 0 1\r\nx", "a\x00b", "ä"])
def test_a_key_that_memcached_does_not_take(cache: MemcachedTokenCache, key: str, bad: str) -> None:
    """A key that could become a command is refused before anything is sent."""
    with pytest.raises(CacheUnavailable):
        cache.set(bad, b"x", 60)
    with pytest.raises(CacheUnavailable):
        cache.get(bad)
    assert cache.get("b") is None
    cache.set(key, b"value", 60)
    assert cache.get(key) == b"value"


def test_counting_does_not_prolong_a_counter(cache: MemcachedTokenCache, store: Store, key: str) -> None:
    """The time to live is that of the first increment, also after the counter gets another digit."""
    assert cache.increment(key, 100) == 1
    assert [cache.increment(key, 5000) for _ in range(10)] == list(range(2, 12))
    assert 90 < seconds_left(store, key) <= 101


def test_a_value_that_is_no_counter_is_not_counted(cache: MemcachedTokenCache, key: str) -> None:
    """increment raises CacheUnavailable for a value that is not a counter, and does not change it."""
    cache.set(key, b"token", 60)
    with pytest.raises(CacheUnavailable, match="non-numeric"):
        cache.increment(key, 60)
    assert cache.get(key) == b"token"
