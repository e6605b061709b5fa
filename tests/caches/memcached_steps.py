"""Steps of tests of the memcached cache: the server's own state, and servers that misbehave."""

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
    """A cache on this port, with a timeout for a busy machine. Close it."""
    return MemcachedTokenCache(("127.0.0.1", port), timeout=timeout)


@contextmanager
def raw_client(store: Store) -> Iterator[Client]:
    """A pymemcache client, to read what is on the server."""
    with closing(Client(("127.0.0.1", store.port), timeout=10, connect_timeout=10)) as client:
        yield client


def start_counting(store: Store) -> None:
    """Makes each of the server's threads empty its queue, since the server counts connections late."""
    for _ in range(8):  # in turn, two for each of its four threads
        with raw_client(store) as client:
            client.version()


def connections_so_far(client: Client) -> int:
    """The number of connections since the server's start."""
    return int(client.stats()[b"total_connections"])


def open_connections(client: Client, at_most: int) -> int:
    """The number of open connections without this client's; waits until it is at most ``at_most``."""
    until = time.monotonic() + 10
    while True:
        stats: dict[bytes, bytes] = client.stats("conns")
        states = [value for name, value in stats.items() if name.endswith(b":state")]
        count = len(states) - states.count(b"conn_listening") - 1
        if count <= at_most or time.monotonic() > until:
            return count
        time.sleep(0.01)


def freeze(store: Store) -> None:
    """Freezes the server and waits until it has stopped: the signal needs time to reach every thread."""
    store.freeze()
    process = store._process
    assert process is not None
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)


@contextmanager
def misbehaving(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server on a free port that runs ``serve`` for each connection on a new thread."""
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
    """The duration in seconds."""
    start = time.monotonic()
    action()
    return time.monotonic() - start
