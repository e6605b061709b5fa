"""The disk cache between processes: forks with a cache in use, and processes that are killed."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from disk_steps import DATABASE, run_python

from m2m_auth.caches.disk import DiskTokenCache


@pytest.mark.processes
def test_fork_with_a_used_cache(tmp_path: Path) -> None:
    """After a fork, parent and child see each other's values, and both end without an error."""
    code = """if True:
        import os, sys, warnings
        from m2m_auth.caches.disk import DiskTokenCache
        cache = DiskTokenCache(sys.argv[1])
        cache.set("key", b"parent", 60)
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
        if child == 0:
            assert cache.get("key") == b"parent"
            cache.set("key", b"child", 60)
            cache.close()
            sys.exit(0)
        _, status = os.waitpid(child, 0)
        assert status == 0, status
        assert cache.get("key") == b"child"
        assert cache.add("lease", b"parent", 60)
        cache.close()
        print("done")
    """
    assert run_python(code, tmp_path / "cache") == "done"


@pytest.mark.processes
def test_a_cache_that_was_never_closed(tmp_path: Path) -> None:
    """Garbage collection closes the idle connections, also of a cycle; Python 3.13 warns of open ones."""
    code = """if True:
        import gc, os, sys
        from m2m_auth.caches.disk import DiskTokenCache
        opened = lambda: sum(os.path.basename(os.path.realpath(f"/proc/self/fd/{n}")) == "cache.db" for n in range(64))
        class Owner: pass
        for turn in range(20):
            owner = Owner()
            owner.cache, owner.itself = DiskTokenCache(sys.argv[1]), owner
            owner.cache.set("key", b"value", 60)
            assert opened() == 1, opened()
            del owner
            gc.collect()
            assert opened() == 0, opened()
        print("done")
    """
    assert run_python(code, tmp_path / "cache") == "done"


@pytest.mark.processes
def test_forks_beside_busy_threads(tmp_path: Path) -> None:
    """50 forks while four threads read and write: every child works, and none hangs on a lock of SQLite."""
    code = """if True:
        import os, sys, threading, warnings
        from m2m_auth.caches.disk import DiskTokenCache
        warnings.simplefilter("ignore", DeprecationWarning)
        cache = DiskTokenCache(sys.argv[1])
        cache.get("key")  # a fork that waits for an import is another matter
        over = threading.Event()
        def work(name):
            while not over.is_set():
                cache.set(name, os.urandom(2000), 60)
                assert len(cache.get(name)) == 2000
                cache.close()
        threads = [threading.Thread(target=work, args=(f"key{n}",)) for n in range(4)]
        for thread in threads: thread.start()
        for turn in range(50):
            child = os.fork()
            if child == 0:
                try:
                    assert cache.add(f"lease{turn}", b"child", 60)
                    cache.close()
                finally:
                    os._exit(0 if cache.get(f"lease{turn}") == b"child" else 1)
            _, status = os.waitpid(child, 0)
            assert status == 0, status
        over.set()
        for thread in threads: thread.join()
        assert cache.get("lease49") == b"child"
        cache.close()
        print("done")
    """
    assert run_python(code, tmp_path / "cache", timeout=50) == "done"
    assert not (tmp_path / "cache" / "damaged.db").exists()
    with closing(sqlite3.connect(tmp_path / "cache" / DATABASE)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.processes
def test_a_process_killed_in_a_transaction_spoils_nothing(tmp_path: Path) -> None:
    """After a SIGKILL during a write, the next process rolls the write back and works."""
    folder = tmp_path / "cache"
    cache = DiskTokenCache(folder)
    cache.set("key", b"before", 60)
    cache.close()
    code = """if True:
        import os, signal, sys
        from m2m_auth.caches.disk import DiskTokenCache
        cache = DiskTokenCache(sys.argv[1])
        cache.get("key")
        connection = cache._folder.open("key")._con
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE Cache SET value = x'00'")
        for number in range(200):
            connection.execute("INSERT INTO Cache (key, raw, value) VALUES (?, 1, randomblob(2000))", (str(number),))
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", code, str(folder)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (folder / (DATABASE + "-journal")).stat().st_size > 0
    assert cache.get("key") == b"before"
    cache.set("key", b"after", 60)
    assert cache.get("key") == b"after"
    assert not (folder / "damaged.db").exists()
    cache.close()


def test_nothing_stays_open(tmp_path: Path) -> None:
    """An operation leaves no file open, in any thread."""
    cache = DiskTokenCache(tmp_path / "cache")
    cache.set("key", b"value", 60)
    before = len(os.listdir("/proc/self/fd"))

    def work() -> None:
        cache.get("key")

    for _ in range(20):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert len(os.listdir("/proc/self/fd")) <= before
    cache.close()
