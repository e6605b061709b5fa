"""The DynamoDB cache across fork: the child shares no connection and no lock with the parent."""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Callable, Iterator

import pytest
from dynamodb_fixtures import TABLE, credentials, dynamodb
from dynamodb_steps import open_by_client, open_by_table, open_cache
from real_servers.fault_proxy import FaultProxy
from real_servers.stores import Store

from m2m_auth.caches.protocol import TokenCache
from m2m_auth.errors import CacheUnavailable

pytestmark = pytest.mark.processes

__all__ = ["credentials", "dynamodb"]

PATIENCE = 30.0


@pytest.fixture
def proxy(dynamodb: Store) -> Iterator[FaultProxy]:
    """A proxy that counts connections."""
    with FaultProxy(dynamodb.port) as proxy:
        yield proxy


def forked(action: Callable[[], object]) -> int:
    """The process id of a child that ends with 0 if ``action`` returned True."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forking beside threads
        child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if action() is True else 2
        finally:
            os._exit(status)
    return child


def status_of(child: int) -> int:
    """How the child ended; -1 if it had to be killed."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return -1


@pytest.mark.parametrize("opened", [open_cache, open_by_client, open_by_table])
def test_a_child_opens_its_own_connection(proxy: FaultProxy, opened: Callable[[str, str], TokenCache]) -> None:
    """One connection for the parent, one for the child; the parent keeps its own."""
    cache = opened(f"http://{proxy.address}", TABLE)
    cache.set("forked", b"value", 60)
    assert proxy.connections == 1
    assert status_of(forked(lambda: cache.get("forked") == b"value" and cache.get("forked") == b"value")) == 0
    assert proxy.connections == 2
    assert cache.get("forked") == b"value"
    assert proxy.connections == 2
    cache.close()


def test_forks_beside_busy_threads(dynamodb: Store) -> None:
    """Four forks while four threads use the cache: each child works, and no thread sees an error."""
    cache = open_cache(f"http://{dynamodb.address}", TABLE, timeout=20)
    cache.set("forked", b"value", 60)
    stop = threading.Event()
    faults: list[object] = []

    def use() -> None:
        while not stop.is_set():
            try:
                found: object = cache.get("forked")
            except CacheUnavailable as error:
                found = error
            if found != b"value":
                faults.append(found)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        assert [status_of(forked(lambda: cache.get("forked") == b"value")) for _ in range(4)] == [0] * 4
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        cache.close()
    assert faults == []


def test_a_fork_while_dynamodb_does_not_answer(proxy: FaultProxy) -> None:
    """A thread waits for DynamoDB: the fork continues when that thread gives up, and the child works."""
    cache = open_cache(f"http://{proxy.address}", TABLE, timeout=1)
    patient = open_cache(f"http://{proxy.address}", TABLE, timeout=20)
    patient.set("forked", b"value", 60)
    proxy.half_open()

    def ask() -> None:
        with pytest.raises(CacheUnavailable):
            cache.get("forked")

    thread = threading.Thread(target=ask)
    requests = proxy.requests
    thread.start()
    end = time.monotonic() + PATIENCE
    while proxy.requests == requests and time.monotonic() < end:
        time.sleep(0.01)
    start = time.monotonic()
    pipe_out, pipe_in = os.pipe()

    def in_child() -> bool:
        os.read(pipe_out, 1)  # until the network is back
        return patient.get("forked") == b"value" and cache.get("another") is None

    child = forked(in_child)
    assert time.monotonic() - start < PATIENCE / 3
    thread.join()
    proxy.recover()
    os.write(pipe_in, b"!")
    assert status_of(child) == 0
    os.close(pipe_out)
    os.close(pipe_in)
    cache.close()
    patient.close()
