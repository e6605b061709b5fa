"""The memcached cache when its server is down, hangs or sends invalid answers: an error in time, then recovery."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from memcached_steps import cache_on, connections_so_far, freeze, misbehaving, raw_client, seconds_of, start_counting
from real_servers.stores import Store, free_port, start_memcached

from m2m_auth import TokenSource
from m2m_auth.caches.memcached import MemcachedTokenCache
from m2m_auth.errors import CacheUnavailable
from m2m_auth.testing import FakeAuthorizationServer, FakeClock

OPERATIONS: dict[str, Callable[[MemcachedTokenCache], object]] = {
    "get": lambda cache: cache.get("key"),
    "set": lambda cache: cache.set("key", b"value", 60),
    "delete": lambda cache: cache.delete("key"),
    "add": lambda cache: cache.add("key", b"value", 60),
    "delete_if": lambda cache: cache.delete_if("key", b"value"),
    "increment": lambda cache: cache.increment("count", 60),
}
BOUND = 5.0
"""Seconds; an operation with a deadline of 0.1 s that takes longer has hung."""


@pytest.fixture
def store() -> Iterator[Store]:
    """A memcached for one test, to stop and freeze."""
    with start_memcached() as running:
        yield running


def fails_in_time(operation: Callable[[MemcachedTokenCache], object], cache: MemcachedTokenCache) -> None:
    """Checks that the operation raises CacheUnavailable soon."""

    def fails() -> None:
        with pytest.raises(CacheUnavailable, match=r"memcached 127\.0\.0\.1:"):
            operation(cache)

    assert seconds_of(fails) < BOUND


def use_many_connections(cache: MemcachedTokenCache, store: Store) -> None:
    """Makes the cache hold several idle connections."""
    freeze(store)
    threads = [threading.Thread(target=cache.get, args=("key",)) for _ in range(6)]
    for thread in threads:
        thread.start()
    time.sleep(0.1)  # all six are waiting on connections of their own by now; if not, the test is only milder
    store.thaw()
    for thread in threads:
        thread.join()


@pytest.mark.loopback
@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_a_closed_port_is_an_error(operation: Callable[[MemcachedTokenCache], object]) -> None:
    """A refused connection raises CacheUnavailable: it is neither a miss nor a held lease."""
    with closing(cache_on(free_port(), timeout=0.1)) as cache:
        fails_in_time(operation, cache)


@pytest.mark.processes
@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_a_frozen_server(store: Store, operation: Callable[[MemcachedTokenCache], object]) -> None:
    """A server that does not answer raises CacheUnavailable within the deadline, on an old and on a new connection."""
    with closing(cache_on(store.port, timeout=0.1)) as cache:
        _until_it_works(lambda: cache.set("other", b"value", 60))
        freeze(store)
        fails_in_time(operation, cache)
        fails_in_time(operation, cache)
        store.thaw()
        _until_it_works(lambda: operation(cache))


@pytest.mark.processes
@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_stopped_and_started_again(store: Store, operation: Callable[[MemcachedTokenCache], object]) -> None:
    """After a restart on the same port the first operation works: old connections are not used."""
    with closing(cache_on(store.port)) as cache:
        use_many_connections(cache, store)
        store.stop()
        fails_in_time(operation, cache)
        fails_in_time(operation, cache)
        store.start()
        operation(cache)
        use_many_connections(cache, store)
        store.stop()
        store.start()
        operation(cache)


@pytest.mark.processes
def test_no_reply_is_taken_for_another(store: Store) -> None:
    """A reply after the deadline is never read: each thread reads its own value or gets an error."""
    wrong: list[bytes | None] = []
    outcomes = {"read": 0, "fault": 0}
    over = threading.Event()
    # No freeze may be needed for a time-out on a busy machine, and none may be missed: both are counted below.
    with closing(cache_on(store.port, timeout=0.05)) as cache, closing(cache_on(store.port)) as patient:
        for number in range(8):
            patient.set(f"key{number}", b"value%d" % number, 600)

        def read(number: int) -> None:
            while not over.is_set():
                try:
                    value = cache.get(f"key{number}")
                    lease = cache.add(f"key{number}", b"not free", 60)
                    count = cache.increment(f"count{number}", 600)
                except CacheUnavailable:
                    outcomes["fault"] += 1
                    continue
                outcomes["read"] += 1
                if value != b"value%d" % number or lease or count < 1:
                    wrong.append(value)

        threads = [threading.Thread(target=read, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for _ in range(8):
            time.sleep(0.05)
            freeze(store)
            time.sleep(0.1)
            store.thaw()
        over.set()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert min(outcomes.values()) > 0, outcomes
        assert [patient.get(f"key{number}") for number in range(8)] == [b"value%d" % number for number in range(8)]


@pytest.mark.loopback
def test_a_reply_that_never_ends() -> None:
    """A server that sends single bytes does not delay an operation beyond its deadline."""

    def drip(connection: socket.socket) -> None:
        connection.recv(4096)
        while True:
            connection.sendall(b"V")
            time.sleep(0.02)

    with misbehaving(drip) as port, closing(cache_on(port, timeout=0.2)) as cache:
        fails_in_time(OPERATIONS["get"], cache)
        fails_in_time(OPERATIONS["add"], cache)


@pytest.mark.loopback
@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"VAL",
        b"VALUE key 0 100\r\nshort",
        b"VALUE key 0\r\n",
        b"VALUE key 0 x\r\n",
        b"VALUE another 0 5\r\nvalue\r\nEND\r\n",
        b"STORED\r\n",
        b"ERROR\r\n",
        b"SERVER_ERROR out of memory\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\xff\x00\r\n" * 100,
    ],
)
def test_a_reply_that_is_damaged(reply: bytes) -> None:
    """Any invalid answer raises CacheUnavailable."""

    def answer(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(reply)

    with misbehaving(answer) as port, closing(cache_on(port)) as cache:
        fails_in_time(OPERATIONS["get"], cache)


@pytest.mark.loopback
def test_a_reply_without_a_request() -> None:
    """A surplus STORED is not read as the answer to the next add: the connection is closed."""
    read, spare_sent = threading.Event(), threading.Event()
    connections: list[int] = []

    def answer(connection: socket.socket) -> None:
        connections.append(1)
        while data := connection.recv(4096):
            if data.startswith(b"get"):
                connection.sendall(b"END\r\n")
                read.wait(20)
                connection.sendall(b"STORED\r\n")
                spare_sent.set()
            else:
                connection.sendall(b"NOT_STORED\r\n")

    with misbehaving(answer) as port, closing(cache_on(port)) as cache:
        assert cache.get("key") is None
        read.set()
        assert spare_sent.wait(20)
        assert cache.add("key", b"owner", 60) is False
        assert len(connections) == 2


@pytest.mark.processes
def test_a_fault_gives_up_the_idle_connections(store: Store) -> None:
    """One error closes all idle connections: each dead one would cost a deadline."""
    with closing(cache_on(store.port, timeout=1.0)) as cache, raw_client(store) as client:
        use_many_connections(cache, store)
        start_counting(store)
        before = connections_so_far(client)
        cache.set("key", b"value", 60)
        assert connections_so_far(client) == before
        with pytest.raises(CacheUnavailable):
            cache.set("key", b"x" * (1 << 20), 60)
        for _ in range(3):
            cache.get("other")
        assert connections_so_far(client) == before + 1


@pytest.mark.processes
def test_no_call_fails_without_its_memcached(store: Store) -> None:
    """Two sources share one mint. While the server is down every call gets a token; afterwards they share again."""
    clock = FakeClock()
    with (
        FakeAuthorizationServer() as server,
        closing(cache_on(store.port)) as one,
        closing(cache_on(store.port)) as two,
    ):
        sources = [
            TokenSource(server.token_endpoint, "client", "secret", cache=cache, clock=clock) for cache in (one, two)
        ]
        assert sources[0].token().value == sources[1].token().value
        assert server.mints == 1
        store.stop()
        clock.advance(3601)
        assert all(server.is_active(source.token().value) for source in sources)
        assert server.mints == 3
        store.start()
        clock.advance(3601)
        assert sources[0].token().value == sources[1].token().value
        assert server.mints == 4
        for source in sources:
            source.close()


def _until_it_works(action: Callable[[], object]) -> None:
    """Repeats the operation: a busy machine may need longer than 0.1 s for an answer."""
    until = time.monotonic() + 20
    while True:
        try:
            action()
        except CacheUnavailable:
            assert time.monotonic() < until, "it never worked again"
        else:
            return
