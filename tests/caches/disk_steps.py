"""Steps of tests of the disk cache."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from m2m_auth import TokenSource
from m2m_auth.caches.disk import DiskTokenCache
from m2m_auth.events import Event
from m2m_auth.testing import FakeAuthorizationServer

DATABASE = "cache.db"


def source_on(
    folder: Path, server: FakeAuthorizationServer, events: list[Event] | None = None, timeout: float = 2.0
) -> TokenSource:
    """A source with a new disk cache object, which acts as another process."""
    on_event = events.append if events is not None else None
    cache = DiskTokenCache(folder, timeout=timeout)
    return TokenSource(server.token_endpoint, "client", "secret", cache=cache, on_event=on_event)


def rows(folder: Path) -> Iterator[sqlite3.Row]:
    """Every row of the cache's table."""
    with closing(sqlite3.connect(folder / DATABASE)) as database:
        database.row_factory = sqlite3.Row
        yield from database.execute("SELECT * FROM Cache").fetchall()


def execute(folder: Path, *statements: str, parameters: tuple[object, ...] = ()) -> None:
    """Runs SQL on the cache's database, as another program with write access would."""
    with closing(sqlite3.connect(folder / DATABASE)) as database, database:
        for statement in statements:
            database.execute(statement, parameters)


def run_python(code: str, *arguments: object, timeout: float = 60.0) -> str:
    """The output of this code in a new process, which may print no warning and no error."""
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return done.stdout.strip()


def eventually(condition: object, timeout: float = 20.0) -> None:
    """Waits until ``condition()`` is true."""
    assert callable(condition)
    until = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.01)
