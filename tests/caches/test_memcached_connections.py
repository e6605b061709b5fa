"""The connections of the memcached cache: threads, forks, reuse and closing."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from disk_steps import run_python
from memcached_steps import cache_on, connections_so_far, freeze, open_connections, raw_client, start_counting
from real_servers.stores import Store, start_memcached

from m2m_auth.caches.memcached import MemcachedTokenCache
from m2m_auth.errors import CacheUnavailable


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    """A memcached."""
    with start_memcached() as running:
        yield running


@pytest.fixture
def lone_store() -> Iterator[Store]:
    """A memcached for one test, which counts its connections."""
    with start_memcached() as running:
        start_counting(running)
        yield running


@pytest.mark.processes
def test_64_threads(store: Store) -> None:
    """64 threads use one cache at once: each reads its own values, and few connections stay open."""
    problems: list[object] = []
    start = threading.Barrier(64)

    def work(number: int) -> None:
        key = f"thread{number}"
        start.wait()
        try:
            for turn in range(20):
                value = b"%d of %d" % (turn, number)
                cache.set(key, value, 60)
                if cache.get(key) != value or cache.increment(f"n{key}", 60) != turn + 1:
                    problems.append(number)
        except CacheUnavailable as error:
            problems.append(error)

    with closing(cache_on(store.port, timeout=30)) as cache:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert problems == []


@pytest.mark.processes
def test_connections_are_reused_and_few_are_kept(lone_store: Store) -> None:
    """Operations one after the other use one connection; after many at once at most four stay open."""
    with closing(cache_on(lone_store.port, timeout=30)) as cache, raw_client(lone_store) as client:
        before = connections_so_far(client)
        for _ in range(20):
            cache.set("key", b"value", 60)
        assert connections_so_far(client) == before + 1
        freeze(lone_store)
        threads = [threading.Thread(target=cache.get, args=("key",)) for _ in range(16)]
        for thread in threads:
            thread.start()
        time.sleep(0.2)
        lone_store.thaw()
        for thread in threads:
            thread.join()
        assert 1 <= open_connections(client, at_most=4) <= 4


@pytest.mark.processes
def test_an_idle_connection_is_not_trusted_for_long(lone_store: Store) -> None:
    """A connection that was idle for max_idle seconds is replaced."""
    with raw_client(lone_store) as client:
        before = connections_so_far(client)
        with closing(MemcachedTokenCache(lone_store.address, timeout=2, max_idle=0)) as cache:
            for _ in range(5):
                cache.set("key", b"value", 60)
            assert connections_so_far(client) == before + 5
        assert open_connections(client, at_most=0) == 0


@pytest.mark.processes
def test_close_closes_every_connection(lone_store: Store) -> None:
    """close() closes every connection, and the next operation opens one."""
    cache = cache_on(lone_store.port)
    with raw_client(lone_store) as client:
        cache.set("key", b"value", 60)
        assert open_connections(client, at_most=1) == 1
        cache.close()
        assert open_connections(client, at_most=0) == 0
        assert cache.get("key") == b"value"
        cache.close()
        assert open_connections(client, at_most=0) == 0


@pytest.mark.processes
def test_a_cache_that_is_dropped_closes_its_connections(lone_store: Store) -> None:
    """Garbage collection closes the connections, without a ResourceWarning."""
    with raw_client(lone_store) as client:
        cache_on(lone_store.port).set("key", b"value", 60)
        gc.collect()
        assert open_connections(client, at_most=0) == 0


@pytest.mark.processes
def test_close_during_an_operation(lone_store: Store) -> None:
    """close() does not break a running operation; its connection is closed at the end."""
    cache = cache_on(lone_store.port, timeout=30)
    cache.set("key", b"value", 60)
    read: list[bytes | None] = []
    freeze(lone_store)
    thread = threading.Thread(target=lambda: read.append(cache.get("key")))
    thread.start()
    time.sleep(0.1)
    cache.close()
    lone_store.thaw()
    thread.join()
    assert read == [b"value"]
    with raw_client(lone_store) as client:
        assert open_connections(client, at_most=0) == 0


@pytest.mark.processes
def test_a_thread_that_is_interrupted(store: Store) -> None:
    """After a KeyboardInterrupt during an answer the connection is not used again."""
    code = """if True:
        import os, pathlib, signal, sys, threading, time
        from m2m_auth.caches.memcached import MemcachedTokenCache
        address, server = sys.argv[1], int(sys.argv[2])
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has it ignored in what it runs behind
        cache = MemcachedTokenCache(address, timeout=20)
        cache.set("one", b"1", 60)
        cache.set("two", b"2", 60)
        os.kill(server, signal.SIGSTOP)
        state = pathlib.Path(f"/proc/{server}/stat")
        while state.read_text().rpartition(")")[2].split()[0] != "T":  # until then it still answers
            time.sleep(0.001)
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            cache.get("one")
        except KeyboardInterrupt:
            print("interrupted")
        os.kill(server, signal.SIGCONT)
        assert cache.get("two") == b"2"
        assert cache.add("two", b"3", 60) is False
        cache.close()
    """
    with raw_client(store) as client:
        process = client.stats()[b"pid"]
    assert run_python(code, store.address, int(process)) == "interrupted"


@pytest.mark.processes
def test_a_fork_shares_no_connection(lone_store: Store) -> None:
    """Each of many children opens its own connection and does not use the parent's, while threads are busy."""
    code = """if True:
        import os, sys, threading, warnings
        from m2m_auth.caches.memcached import MemcachedTokenCache
        warnings.simplefilter("ignore", DeprecationWarning)
        cache = MemcachedTokenCache(sys.argv[1], timeout=20)
        over = threading.Event()
        def work(name):
            turn = 0
            while not over.is_set():
                turn += 1
                value = f"{name} {turn}".encode() * 50
                cache.set(name, value, 60)
                assert cache.get(name) == value
        threads = [threading.Thread(target=work, args=(f"key{n}",)) for n in range(4)]
        for thread in threads: thread.start()
        for turn in range(30):
            cache.set("parent", b"%d" % turn, 60)
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    for again in range(20):
                        assert cache.get("parent") == b"%d" % turn
                        cache.set("child", b"%d" % again, 60)
                        assert cache.get("child") == b"%d" % again
                    assert cache.add(f"lease{turn}", b"child", 60)
                    cache.close()
                    status = 0
                finally:
                    os._exit(status)
            for again in range(20):
                assert cache.get("parent") == b"%d" % turn
            _, status = os.waitpid(child, 0)
            assert status == 0, status
            assert cache.get(f"lease{turn}") == b"child"
        over.set()
        for thread in threads: thread.join()
        cache.close()
        print("done")
    """
    assert run_python(code, lone_store.address) == "done"
    with raw_client(lone_store) as client:
        assert open_connections(client, at_most=0) == 0


@pytest.mark.processes
def test_a_name_with_several_addresses(store: Store) -> None:
    """All addresses of a host name are tried: "localhost" is often ::1 first."""
    with closing(MemcachedTokenCache(("localhost", store.port), timeout=5)) as cache:
        cache.set("key", b"value", 60)
        assert cache.get("key") == b"value"


def test_a_name_that_does_not_exist() -> None:
    """An unknown host name raises CacheUnavailable."""
    with closing(MemcachedTokenCache("nowhere.invalid", timeout=5)) as cache, pytest.raises(CacheUnavailable):
        cache.get("key")
