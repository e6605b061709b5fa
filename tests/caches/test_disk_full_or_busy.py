"""A disk cache that is locked, dead, full or damaged while in use: no call fails, and no call waits long."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from disk_damage import cut_short, emptied, lose_database, noise
from disk_steps import DATABASE, run_python, source_on

from m2m_auth import TokenSource
from m2m_auth.caches.disk import DiskTokenCache
from m2m_auth.events import Event
from m2m_auth.testing import FakeAuthorizationServer, FakeClock


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The cache folder."""
    return tmp_path / "cache"


@pytest.fixture
def server() -> Iterator[FakeAuthorizationServer]:
    """A fake authorization server."""
    with FakeAuthorizationServer() as server:
        yield server


@pytest.mark.loopback
def test_a_held_lock_delays_no_longer_than_the_timeout(folder: Path, server: FakeAuthorizationServer) -> None:
    """While a stopped process holds a transaction, other processes mint, whether their cache was open or not."""
    old, new = source_on(folder, server, timeout=0.1), source_on(folder, server, timeout=0.1)
    old.token()
    with closing(sqlite3.connect(folder / DATABASE, isolation_level=None)) as stopped:
        stopped.execute("BEGIN EXCLUSIVE")
        start = time.monotonic()
        assert server.is_active(old.renew().value)
        assert server.is_active(new.token().value)
        assert time.monotonic() - start < 10
    # The renewal kept the held token: without a cache a process mints once in 10 s at most.
    assert server.mints == 2


@pytest.mark.loopback
def test_the_breaker_keeps_a_dead_cache_off_the_path(folder: Path, server: FakeAuthorizationServer) -> None:
    """One flight asks a dead cache once, not seven times. There is one event of the fault and one of the recovery."""
    clock, events = FakeClock(), list[Event]()
    folder.write_text("a file")
    folder.unlink()
    cache = DiskTokenCache(folder)
    source = TokenSource(server.token_endpoint, "client", "secret", cache=cache, clock=clock, on_event=events.append)
    folder.write_text("a file")
    source.token()
    kinds = [event.kind for event in events if event.kind in ("cache_fault", "cache_recovered")]
    assert kinds == ["cache_fault"]
    folder.unlink()
    clock.advance(3000)
    source.renew()
    kinds = [event.kind for event in events if event.kind in ("cache_fault", "cache_recovered")]
    assert kinds == ["cache_fault", "cache_recovered"]
    source.close()


@pytest.mark.processes
@pytest.mark.parametrize("limit", [0, 5_000, 40_000])
def test_a_full_disk_fails_no_call(folder: Path, server: FakeAuthorizationServer, limit: int) -> None:
    """A full disk, by a limit of file sizes: before the first page, in the schema, in the rows."""
    code = """if True:
        import logging, resource, signal, sys
        logging.disable()
        from m2m_auth import TokenSource
        endpoint, folder, limit = sys.argv[1:]
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
        for number in range(40):
            with TokenSource(endpoint, "client", "secret", cache=f"disk:{folder}", audience=f"a{number}") as source:
                assert source() == source()
        print("done")
    """
    assert run_python(code, server.token_endpoint, folder, limit) == "done"
    assert server.mints == 40
    room_again = source_on(folder, server)
    assert source_on(folder, server).token() == room_again.token()


@pytest.mark.loopback
def test_noise_while_in_use_by_many_threads(folder: Path, server: FakeAuthorizationServer) -> None:
    """Threads use four cache objects without a pause while the files are damaged again and again."""
    sources = [source_on(folder, server) for _ in range(4)]
    wrong: list[BaseException] = []
    over = threading.Event()

    def ask(source: TokenSource) -> None:
        try:
            while not over.is_set():
                source.renew()
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=ask, args=(source,)) for source in sources]
    for thread in threads:
        thread.start()
    for _ in range(10):
        for fault in (noise, cut_short, emptied, lose_database):
            with contextlib.suppress(OSError):
                fault(folder)
            time.sleep(0.01)
    over.set()
    for thread in threads:
        thread.join(30)
    assert wrong == []
