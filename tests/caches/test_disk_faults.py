"""Whatever happens to the cache's folder, no call fails; and where the folder works again, it is shared again."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from disk_steps import DATABASE, execute, run_python, source_on

from m2m_auth import TokenSource
from m2m_auth.caches.disk import DiskTokenCache
from m2m_auth.errors import CacheUnavailable
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


def vanish(folder: Path) -> None:
    """The folder is deleted."""
    shutil.rmtree(folder)


def become_file(folder: Path) -> None:
    """A file takes the folder's place."""
    shutil.rmtree(folder)
    folder.write_text("a file")


def become_symlink(folder: Path) -> None:
    """A symlink takes the folder's place."""
    folder.rename(folder.with_name("moved"))
    folder.symlink_to("moved")


def lose_database(folder: Path) -> None:
    """The database file is deleted."""
    (folder / DATABASE).unlink()


def database_a_folder(folder: Path) -> None:
    """A folder takes the database's place."""
    (folder / DATABASE).unlink()
    (folder / DATABASE).mkdir()


def journal_a_folder(folder: Path) -> None:
    """A folder takes the journal's place, so that no transaction can be written: a read-only folder, also for root."""
    for path in folder.glob(DATABASE + "-*"):
        path.unlink()
    (folder / (DATABASE + "-journal")).mkdir()


def read_only(folder: Path) -> None:
    """Folder and file may not be written to any more (root may)."""
    (folder / DATABASE).chmod(0o400)
    folder.chmod(0o500)


def noise(folder: Path) -> None:
    """Every file is random bytes, and so are those that SQLite may look for."""
    for name in {*os.listdir(folder), *(DATABASE + suffix for suffix in ("-wal", "-shm", "-journal"))}:
        (folder / name).write_bytes(os.urandom(50_000))


def noise_behind_the_header(folder: Path) -> None:
    """The file still says that it is a database, and is none."""
    with (folder / DATABASE).open("r+b") as file:
        file.seek(100)
        file.write(os.urandom((folder / DATABASE).stat().st_size - 100))


def cut_short(folder: Path) -> None:
    """Every file is cut to a part of a page."""
    for path in folder.iterdir():
        os.truncate(path, 1000)


def emptied(folder: Path) -> None:
    """Every file is emptied; with a memory-mapped file this would be a SIGBUS."""
    for path in folder.iterdir():
        os.truncate(path, 0)


def no_table(folder: Path) -> None:
    """The table is gone."""
    execute(folder, "DROP TABLE Cache")


FAULTS = [
    vanish,
    become_file,
    become_symlink,
    lose_database,
    database_a_folder,
    journal_a_folder,
    read_only,
    noise,
    noise_behind_the_header,
    cut_short,
    emptied,
    no_table,
]
LASTING = {become_file, become_symlink, database_a_folder, journal_a_folder, read_only}
"""After these the folder needs somebody's hand; after the others it works again by itself."""


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("opened", [True, False], ids=["in use", "before use"])
def test_no_call_fails(
    folder: Path, server: FakeAuthorizationServer, fault: Callable[[Path], None], opened: bool
) -> None:
    """Every call has its token during the fault, in a process that used the folder before and in a new one."""
    clock = FakeClock()
    cache = DiskTokenCache(folder)
    source = TokenSource(server.token_endpoint, "client", "secret", cache=cache, clock=clock)
    if opened:
        source.token()
    else:
        other = DiskTokenCache(folder)
        other.set("key", b"value", 60)
        other.close()
    fault(folder)
    for _ in range(4):
        clock.advance(1000)  # past the breaker, and past a renewal
        assert server.is_active(source.token().value)
        server.is_active(source.renew().value)
    assert server.mints <= 9
    source.close()


def tried_twice(operation: Callable[..., object], *arguments: object) -> object:
    """What the operation gave, the first time or the second."""
    try:
        return operation(*arguments)
    except CacheUnavailable:
        return operation(*arguments)


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault not in LASTING])
def test_sharing_works_again(folder: Path, server: FakeAuthorizationServer, fault: Callable[[Path], None]) -> None:
    """After what a folder can recover from, one operation is lost at most: then one's token is the other's again."""
    first, second = DiskTokenCache(folder), DiskTokenCache(folder)
    first.set("key", b"value", 60)
    assert second.get("key") == b"value"
    fault(folder)
    for cache in (first, second):
        tried_twice(cache.set, "key", b"again", 60)
    tried_twice(first.set, "key", b"and again", 60)
    assert second.get("key") == b"and again"
    first.close()
    second.close()
    one = source_on(folder, server)
    assert source_on(folder, server).token() == one.token()
    assert server.mints == 1


def test_one_process_does_not_undo_anothers_fresh_start(folder: Path) -> None:
    """Who notices the noise last does not put the new database aside in which others share already."""
    early, late = DiskTokenCache(folder), DiskTokenCache(folder)
    early.set("key", b"value", 60)
    assert late.get("key") == b"value"
    noise(folder)
    early.close()
    with pytest.raises(CacheUnavailable):
        early.get("key")
    early.set("key", b"fresh", 60)
    assert late.get("key") == b"fresh"
    assert early.get("key") == b"fresh"
    early.close()
    late.close()


def test_a_held_lock_delays_no_longer_than_the_timeout(folder: Path, server: FakeAuthorizationServer) -> None:
    """A process stopped in the middle of a transaction: others mint for themselves, whether or not they were open."""
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


def test_the_breaker_keeps_a_dead_cache_off_the_path(folder: Path, server: FakeAuthorizationServer) -> None:
    """One flight asks a dead cache once, not seven times; the fault is told once, and so is the recovery."""
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


@pytest.mark.parametrize("limit", [0, 5_000, 20_000, 40_000])
def test_a_full_disk_fails_no_call(folder: Path, server: FakeAuthorizationServer, limit: int) -> None:
    """No file may grow beyond a limit, as on a full disk: before the first page, in the schema, in the rows."""
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


def test_a_full_database_is_an_unavailable_cache(folder: Path) -> None:
    """SQLite's "database or disk is full" is CacheUnavailable; what was there stays readable."""
    cache = DiskTokenCache(folder)
    cache.set("key", b"value", 60)
    connection = cache._cache._con  # type: ignore[union-attr]
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(CacheUnavailable, match="full"):
        cache.set("other", bytes(100_000), 60)
    assert cache.get("key") == b"value"
    cache.close()


def test_noise_while_in_use_by_many_threads(folder: Path, server: FakeAuthorizationServer) -> None:
    """Threads that ask all the time through four cache objects, while the files turn to noise again and again."""
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
            with __import__("contextlib").suppress(OSError):
                fault(folder)
            time.sleep(0.01)
    over.set()
    for thread in threads:
        thread.join(30)
    assert wrong == []


@pytest.mark.skipif(sys.version_info < (3, 13), reason="sqlite3 tells of unclosed connections since Python 3.13")
@pytest.mark.parametrize("fault", FAULTS)
def test_no_connection_is_left_open(
    folder: Path, server: FakeAuthorizationServer, fault: Callable[[Path], None]
) -> None:
    """No ResourceWarning, before, during and after a fault, from flights' threads or at the interpreter's end."""
    code = """if True:
        import gc, sys
        sys.path[:0] = sys.argv[4:]
        import test_disk_faults
        from pathlib import Path
        from m2m_auth import TokenSource
        endpoint, folder, fault, *_ = sys.argv[1:]
        with TokenSource(endpoint, "client", "secret", cache=f"disk:{folder}") as source:
            source.token()
            getattr(test_disk_faults, fault)(Path(folder))
            source.renew()
            gc.collect()
            source.renew()
        gc.collect()
        print("done")
    """
    assert run_python(code, server.token_endpoint, folder, fault.__name__, *sys.path) == "done"
