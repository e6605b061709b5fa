"""What the tests of the memcached cache share: a look behind the cache, and servers that misbehave."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

from pymemcache.client.base import Client
from real_servers.stores import Store

from m2m_auth.caches.memcached import MemcachedTokenCache


def cache_on(port: int, timeout: float = 2.0) -> MemcachedTokenCache:
    """A cache on this port, with patience for a busy machine; to be closed."""
    return MemcachedTokenCache(("127.0.0.1", port), timeout=timeout)


@contextmanager
def raw_client(store: Store) -> Iterator[Client]:
    """pymemcache itself, to see what is on the server."""
    with closing(Client(("127.0.0.1", store.port), timeout=10, connect_timeout=10)) as client:
        yield client


def start_counting(store: Store) -> None:
    """Lets each of the server's threads take up what is in its queue: it counts connections there, later."""
    for _ in range(8):  # in turn, two for each of its four threads
        with raw_client(store) as client:
            client.version()


def connections_so_far(client: Client) -> int:
    """How many connections the server has taken since it was started."""
    return int(client.stats()[b"total_connections"])


def open_connections(client: Client, at_most: int) -> int:
    """How many connections the server has open, this client's not counted; waits until they are so few."""
    until = time.monotonic() + 10
    while True:
        stats: dict[bytes, bytes] = client.stats("conns")
        states = [value for name, value in stats.items() if name.endswith(b":state")]
        count = len(states) - states.count(b"conn_listening") - 1
        if count <= at_most or time.monotonic() > until:
            return count
        time.sleep(0.01)


def freeze(store: Store) -> None:
    """Freezes it and waits until it stands still: a signal takes its time to reach every thread."""
    store.freeze()
    process = store._process
    assert process is not None
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)


@contextmanager
def misbehaving(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server on a free port, which hands each connection to ``serve`` on a thread of its own."""
    threads: list[threading.Thread] = []

    def each(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            serve(connection)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threads.append(threading.Thread(target=each, args=(listener.accept()[0],)))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        acceptor = threading.Thread(target=accept)
        acceptor.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            acceptor.join()
            for thread in threads:
                thread.join()


def seconds_of(action: Callable[[], object]) -> float:
    """How long it took."""
    start = time.monotonic()
    action()
    return time.monotonic() - start
