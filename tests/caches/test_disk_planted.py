"""Rows that another program wrote into the database: no code in them runs, and no value is used."""

from __future__ import annotations

import os
import pickle
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from disk_steps import DATABASE, execute, rows, run_python, source_on

from m2m_auth import TokenSource
from m2m_auth.caches.disk import DiskTokenCache
from m2m_auth.testing import FakeAuthorizationServer

INSERT = (
    "INSERT OR REPLACE INTO Cache (key, raw, store_time, expire_time, access_time, mode, filename, value)"
    " VALUES (?, ?, 0, ?, 0, ?, ?, ?)"
)


class Canary:
    """Unpickling it creates a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self._path),)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The cache folder."""
    return tmp_path / "cache"


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A file that exists only if a planted pickle has run."""
    return tmp_path / "canary"


def plant(folder: Path, key: object, raw: int, mode: object, filename: str | None, value: object) -> None:
    """Replaces the row of the key."""
    execute(folder, INSERT, parameters=(key, raw, 9e12, mode, filename, value))


def modes(canary: Path, victim: Path) -> list[tuple[object, str | None, object]]:
    """Mode, file name and value of an attacker's rows: each storage mode of diskcache, and invalid ones."""
    payload = pickle.dumps(Canary(canary))
    outside = os.path.join("..", victim.name)
    return [
        (1, None, "text where bytes belong"),
        (1, None, 1.5),
        (1, None, None),
        (1, outside, b"value and file"),
        (2, outside, None),
        (2, str(victim), None),
        (3, outside, None),
        (3, str(victim), None),
        (4, None, payload),
        (4, outside, None),
        (4, str(victim), payload),
        (0, None, payload),
        (5, None, payload),
        ("4", None, payload),
        (b"\x04", None, payload),
        (None, None, payload),
    ]


def token_row(folder: Path, other: str = "") -> sqlite3.Row:
    """The row of the only token, or of the one that does not have the ``other`` key."""
    (row,) = (row for row in rows(folder) if row["key"].startswith("m2m1.t.") and row["key"] != other)
    return row


MODES = range(len(modes(Path("canary"), Path("victim"))))


@pytest.mark.processes
def test_the_payload_is_live(folder: Path, canary: Path, tmp_path: Path) -> None:
    """With diskcache's own Disk the planted row does run its code, so the other tests can fail."""
    cache = DiskTokenCache(folder)
    cache.set("key", b"value", 60)
    cache.close()
    plant(folder, "key", 1, 4, None, pickle.dumps(Canary(canary)))
    code = "import sys, diskcache; cache = diskcache.Cache(sys.argv[1]); cache.get('key'); cache.close()"
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True)
    assert canary.exists()


@pytest.mark.parametrize("which", MODES)
def test_no_mode_is_run_read_or_deleted(folder: Path, canary: Path, tmp_path: Path, which: int) -> None:
    """get is a miss. No operation runs code, opens a file or removes one."""
    victim = tmp_path / "victim"
    victim.write_bytes(pickle.dumps(Canary(canary)))
    mode, filename, value = modes(canary, victim)[which]
    cache = DiskTokenCache(folder)
    cache.set("key", b"value", 60)
    plant(folder, "key", 1, mode, filename, value)
    assert cache.get("key") is None
    assert cache.add("key", b"other", 60) is False
    assert cache.delete_if("key", b"value") is False
    assert cache.increment("key", 60) == 1
    cache.set("key", b"mine", 60)
    assert cache.get("key") == b"mine"
    plant(folder, "key", 1, mode, filename, value)
    cache.delete("key")
    assert cache.add("key", b"lease", 60) is True
    assert cache.delete_if("key", b"lease") is True
    execute(folder, INSERT, parameters=("expired", 1, 1.0, mode, filename, value))
    cache.set("key", b"a set culls what has expired", 60)
    assert [row["key"] for row in rows(folder)] == ["key"]
    cache.close()
    assert not canary.exists()
    assert victim.exists()


@pytest.mark.loopback
@pytest.mark.parametrize("which", MODES)
def test_a_source_mints_past_planted_rows(folder: Path, canary: Path, tmp_path: Path, which: int) -> None:
    """With every key of the engine planted, the source gets a token, and what it writes is shared."""
    victim = tmp_path / "victim"
    victim.write_bytes(pickle.dumps(Canary(canary)))
    mode, filename, value = modes(canary, victim)[which]
    with FakeAuthorizationServer() as server:
        first = source_on(folder, server)
        first.token()
        keys = {row["key"] for row in rows(folder)}
        digest = token_row(folder)["key"].rpartition(".")[2]
        for key in keys | {f"m2m1.{kind}.{digest}" for kind in "tfb"}:
            plant(folder, key, 1, mode, filename, value)
        token = source_on(folder, server).token()
        assert server.is_active(token.value)
        assert server.mints == 2
        assert source_on(folder, server).token() == token, "what was minted past the planted rows is not shared"
    assert not canary.exists()
    assert victim.exists()


def test_pickled_keys_are_never_opened(folder: Path, canary: Path) -> None:
    """Rows with raw=0, whose keys diskcache would unpickle, are not read."""
    cache = DiskTokenCache(folder)
    cache.set("key", b"value", 60)
    payload = pickle.dumps(Canary(canary))
    plant(folder, payload, 0, 4, None, payload)
    plant(folder, "key", 0, 4, None, payload)
    assert cache.get("key") == b"value"
    cache.set("key", b"new", 60)
    cache.delete("key")
    assert cache.get("key") is None
    cache.close()
    assert not canary.exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("eviction_policy", "garbage"),
        ("eviction_policy", "least-recently-used"),
        ("statistics", 1),
        ("statistics", "x"),
        ("cull_limit", "x"),
        ("size_limit", 0),
        ("tag_index", 1),
        ("disk_pickle_protocol", "x"),
        ("disk_no_such_option", 1),
        ("sqlite_journal_mode", "wal"),
        ("sqlite_mmap_size", 2**30),
        ("sqlite_no_such_pragma", "(1); DROP TABLE Cache"),
        ("get", "not a method any more"),
        ("count", "x"),
        (b"sqlite_", b"bytes"),
    ],
)
def test_planted_settings_change_nothing(folder: Path, name: object, value: object) -> None:
    """Settings in the database, where diskcache keeps its own, have no effect."""
    cache = DiskTokenCache(folder)
    cache.set("key", b"value", 60)
    cache.close()
    execute(folder, "CREATE TABLE Settings (key TEXT NOT NULL UNIQUE, value)")
    execute(folder, "INSERT INTO Settings VALUES (?, ?)", parameters=(name, value))
    with closing(sqlite3.connect(folder / DATABASE)) as database:
        before = database.execute("PRAGMA journal_mode").fetchall()
    other = DiskTokenCache(folder)
    assert other.get("key") == b"value"
    other.set("key", b"new", 60)
    assert other.increment("counter", 60) == 1
    assert cache.get("key") == b"new"
    with closing(sqlite3.connect(folder / DATABASE)) as database:
        assert database.execute("PRAGMA journal_mode").fetchall() == before
    cache.close()
    other.close()


@pytest.mark.loopback
def test_a_foreign_schema_is_no_failed_call(folder: Path) -> None:
    """A source works without a database whose table has other columns."""
    folder.mkdir(mode=0o700)
    execute(folder, "CREATE TABLE Cache (key, raw, expire_time)")
    with FakeAuthorizationServer() as server:
        events: list[Any] = []
        assert server.is_active(source_on(folder, server, events).token().value)
    assert "cache_fault" in {event.kind for event in events}


@pytest.mark.loopback
def test_a_value_of_another_client_does_not_open(folder: Path) -> None:
    """A sealed entry that was copied to another client's key is a miss with an event: the seal covers the key."""
    with FakeAuthorizationServer(clients={"client": "secret", "other": "secret"}) as server:
        theirs = TokenSource(server.token_endpoint, "other", "secret", cache=DiskTokenCache(folder)).token()
        stolen = token_row(folder)
        source_on(folder, server).token()
        plant(folder, token_row(folder, stolen["key"])["key"], 1, 1, None, stolen["value"])
        events: list[Any] = []
        token = source_on(folder, server, events).token()
        assert token != theirs
        assert server.mints == 3
    assert "undecryptable" in {event.kind for event in events}


@pytest.mark.processes
def test_the_disk_cache_works_without_pickle(folder: Path) -> None:
    """The disk cache works in a process in which pickle cannot load anything."""
    code = """if True:
        import pickle, sys
        import diskcache  # it imports pickle, and would use it
        def no(*args, **kwargs): raise AssertionError("unpickled")
        pickle.load = pickle.loads = pickle.dump = pickle.dumps = no
        from m2m_auth.caches.disk import DiskTokenCache
        cache = DiskTokenCache(sys.argv[1])
        cache.set("key", b"value", 60)
        print(cache.get("key"), cache.add("key", b"", 1), cache.increment("count", 9), cache.delete_if("key", b"value"))
        cache.close()
    """
    assert run_python(code, folder) == "b'value' False 1 True"
