"""Tokens in an application's own diskcache: its values, settings and files stay the same; planted rows do not run."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import diskcache
import pytest
from disk_steps import DATABASE, execute, rows

from m2m_auth import TokenSource
from m2m_auth.caches.disk import DiskTokenCache
from m2m_auth.caches.opening import from_client
from m2m_auth.errors import CacheUnavailable, ConfigurationError
from m2m_auth.testing import FakeAuthorizationServer


class Canary:
    """Unpickling it creates a folder."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._path),)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The application's folder, readable by others as diskcache makes it."""
    made = tmp_path / "users_cache"
    made.mkdir()
    made.chmod(0o755)
    return made


def settings(folder: Path) -> dict[Any, Any]:
    """diskcache's own settings and counts."""
    import sqlite3

    with closing(sqlite3.connect(folder / DATABASE)) as database:
        found = dict(database.execute("SELECT key, value FROM Settings").fetchall())
        found["journal"] = database.execute("PRAGMA journal_mode").fetchall()
        found["schema"] = database.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
        return found


def test_the_applications_settings_schema_and_modes_stay(folder: Path) -> None:
    """Only diskcache's count of rows changes; the journal stays a write-ahead log, and modes stay the same."""
    with diskcache.Cache(str(folder)) as users_cache:
        users_cache.set("app", {"some": "thing"})
        before, modes = settings(folder), [path.stat().st_mode for path in (folder, folder / DATABASE)]
        cache = DiskTokenCache.from_client(users_cache)
        cache.set("m2m1.t.key", b"value", 60)
        cache.increment("m2m1.count", 60)
        assert cache.add("m2m1.l.key", b"owner", 60)
        assert cache.delete_if("m2m1.l.key", b"owner")
        assert settings(folder) == {**before, "count": before["count"] + 2}
        assert [path.stat().st_mode for path in (folder, folder / DATABASE)] == modes
        assert users_cache["app"] == {"some": "thing"}
        assert len(users_cache) == 3
        assert users_cache.check() == []


def test_the_applications_expired_files_stay(folder: Path) -> None:
    """A set removes expired rows of m2m-auth and keeps the application's, whose values may be in files."""
    with diskcache.Cache(str(folder), cull_limit=0, disk_min_file_size=10) as users_cache:
        users_cache.set("app", b"x" * 1000, expire=0.001)
        cache = DiskTokenCache.from_client(users_cache)
        for number in range(3):
            cache.set(f"m2m1.t.{number}", b"value", 0.001)
        time.sleep(0.01)
        cache.set("m2m1.t.new", b"value", 60)
        assert sorted(row["key"] for row in rows(folder)) == ["app", "m2m1.t.new"]
        assert users_cache.expire() == 1
        assert users_cache.check() == [], "a file without a row, or a row without its file"
        assert users_cache.volume() < 2**20


@pytest.mark.processes
@pytest.mark.parametrize("kind", [diskcache.Cache, diskcache.FanoutCache])
def test_another_process_culls_meanwhile(folder: Path, kind: Any) -> None:
    """Another process fills and culls the folder meanwhile: no operation fails, and the counts are right."""
    with kind(str(folder), size_limit=1_000_000, cull_limit=2, timeout=5) as users_cache:
        cache = from_client(users_cache)
        assert cache is not None
        code = """if True:
            import sys, diskcache
            with getattr(diskcache, sys.argv[2])(sys.argv[1], timeout=60) as cache:
                for turn in range(400):
                    cache.set(turn, b"x" * 4000, expire=0.01 if turn % 2 else None)
                    cache.set(f"large{turn % 20}", b"x" * 40_000)
        """
        command = [sys.executable, "-c", code, str(folder), kind.__name__]
        with subprocess.Popen(command) as other:
            wrote = 0
            while other.poll() is None:
                key = f"m2m1.t.{wrote % 10}"
                cache.set(key, b"value", 60)
                assert cache.get(key) in (b"value", None)  # the application may cull it
                wrote += 1
                time.sleep(0.002)  # SQLite's lock is not fair: a thread without a pause starves the other
            assert other.returncode == 0
        assert wrote > 0
        cache.set("m2m1.t.last", b"value", 60)
        assert users_cache.check() == [], "the count or size of the application is wrong"
        values = [users_cache.get(key) for key in users_cache if not str(key).startswith("m2m1.")]
        assert values
        assert {len(value) for value in values if value is not None} <= {4000, 40_000}
        assert cache.get("m2m1.t.last") == b"value"


@pytest.mark.processes
def test_shards_are_chosen_alike_in_every_process(folder: Path) -> None:
    """Rows are spread over the shards of a FanoutCache, and a new process finds each of them."""
    with diskcache.FanoutCache(str(folder), shards=4) as users_cache:
        cache = DiskTokenCache.from_client(users_cache)
        for number in range(32):
            cache.set(f"m2m1.t.{number}", str(number).encode(), 60)
    assert all(list(rows(folder / f"{shard:03}")) for shard in range(4))
    code = """if True:
        import sys, diskcache
        from m2m_auth.caches import from_client
        with diskcache.FanoutCache(sys.argv[1], shards=4) as users_cache:
            cache = from_client(users_cache)
        print([int(cache.get(f"m2m1.t.{number}")) for number in range(32)] == list(range(32)))
    """
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


@pytest.mark.parametrize("mode", [1, 2, 3, 4], ids=["raw", "binary file", "text file", "pickle"])
def test_a_planted_row_does_not_run(folder: Path, tmp_path: Path, mode: int) -> None:
    """A foreign row under a key of m2m-auth is a miss for get, refused by add and delete_if, and replaced by set."""
    payload = pickle.dumps(Canary(tmp_path / "canary"))
    victim = tmp_path / "victim"
    victim.write_bytes(payload)
    value, filename = (payload, None) if mode == 4 else (None, "../victim")
    with diskcache.Cache(str(folder)) as users_cache:
        cache = DiskTokenCache.from_client(users_cache)
        cache.set("m2m1.t.key", b"value", 60)
        execute(folder, "UPDATE Cache SET mode = ?, value = ?, filename = ?", parameters=(mode, value, filename))
        assert cache.get("m2m1.t.key") is None
        assert cache.add("m2m1.t.key", b"other", 60) is False
        assert cache.delete_if("m2m1.t.key", b"value") is False
        cache.set("m2m1.t.key", b"mine", 60)
        assert cache.get("m2m1.t.key") == b"mine"
    assert not (tmp_path / "canary").exists()
    assert victim.exists()


@pytest.mark.parametrize("what", ["folder", "database"])
def test_a_folder_that_others_may_write_to_is_refused(folder: Path, what: str) -> None:
    """A ConfigurationError with the fix; if the folder is opened up later, CacheUnavailable."""
    with diskcache.Cache(str(folder)) as users_cache:
        target = folder if what == "folder" else folder / DATABASE
        cache = DiskTokenCache.from_client(users_cache)
        target.chmod(0o777)
        with pytest.raises(ConfigurationError, match=rf"{target}.*mode 0777.*Fix: chmod"):
            DiskTokenCache.from_client(users_cache)
        with pytest.raises(CacheUnavailable, match=r"mode 0777.*Fix: chmod"):
            cache.get("key")


@pytest.mark.parametrize("what", ["folder", "database"])
def test_the_user_may_allow_it(folder: Path, what: str) -> None:
    """The message says how, for an application whose folder belongs to a group: umask 002, a volume with fsGroup."""
    with diskcache.Cache(str(folder)) as users_cache:
        (folder if what == "folder" else folder / DATABASE).chmod(0o775)
        with pytest.raises(ConfigurationError, match=r"disk:/path/of/your/own; or .*shared_parent=True"):
            from_client(users_cache)
        cache = DiskTokenCache.from_client(users_cache, shared_parent="allow")
        cache.set("m2m1.t.key", b"value", 60)
        assert users_cache.get("m2m1.t.key") == b"value"
        assert cache.folder == folder


@pytest.mark.parametrize("mode", [0o770, 0o777, 0o1777])
def test_in_a_folder_that_others_may_write_to(folder: Path, mode: int) -> None:
    """An application's cache in a pod's emptyDir is taken: only its own folder counts (kubernetes#76158)."""
    folder.parent.chmod(mode)
    with diskcache.Cache(str(folder)) as users_cache:
        DiskTokenCache.from_client(users_cache).set("m2m1.t.key", b"value", 60)
        assert users_cache.get("m2m1.t.key") == b"value"


def test_a_damaged_database_is_not_moved(folder: Path) -> None:
    """No operation renames, replaces or repairs the database; each raises CacheUnavailable."""
    with diskcache.Cache(str(folder)) as users_cache:
        cache = DiskTokenCache.from_client(users_cache)
    (folder / DATABASE).write_bytes(b"no database at all" * 100)
    for operation in (lambda: cache.get("key"), lambda: cache.set("key", b"value", 60)):
        with pytest.raises(CacheUnavailable, match="DatabaseError"):
            operation()
    assert (folder / DATABASE).read_bytes() == b"no database at all" * 100
    assert [path.name for path in folder.iterdir()] == [DATABASE]


def test_a_database_that_is_gone_stays_gone(folder: Path) -> None:
    """The cache does not make a removed database again. It works when the application has made one."""
    with diskcache.Cache(str(folder)) as users_cache:
        cache = DiskTokenCache.from_client(users_cache)
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(CacheUnavailable, match="unable to open"):
        cache.set("key", b"value", 60)
    assert list(folder.iterdir()) == []
    diskcache.Cache(str(folder)).close()
    cache.set("key", b"value", 60)
    assert cache.get("key") == b"value"


def test_a_link_that_the_user_chose_is_followed(folder: Path, tmp_path: Path) -> None:
    """Folder names with a question mark or a space work."""
    real = tmp_path / "odd ?#%41 name"
    real.mkdir(mode=0o755)
    (tmp_path / "link").symlink_to(real)
    with diskcache.Cache(str(tmp_path / "link")) as users_cache:
        cache = DiskTokenCache.from_client(users_cache)
        cache.set("m2m1.t.key", b"value", 60)
        assert users_cache.get("m2m1.t.key") == b"value"
    assert str(real) in repr(cache)


def test_other_things_of_diskcache_are_refused(folder: Path) -> None:
    """A Deque is refused; the message says what to pass."""
    deque = diskcache.Deque(directory=str(folder))
    with pytest.raises(ConfigurationError, match=r"cache=Deque\(…\) is not a diskcache\.Cache.*Fix: "):
        from_client(deque)
    deque.cache.close()


@pytest.mark.loopback
def test_sources_share_through_it(folder: Path) -> None:
    """cache= takes the diskcache object. A second source gets the token of the first, which is sealed on disk."""
    with FakeAuthorizationServer() as server:
        tokens = []
        for _ in range(2):
            with diskcache.Cache(str(folder)) as users_cache:
                tokens.append(TokenSource(server.token_endpoint, "client", "secret", cache=users_cache).token())
        assert tokens[0] == tokens[1]
        assert server.mints == 1
    assert tokens[0].value.encode() not in b"".join(path.read_bytes() for path in folder.iterdir())
