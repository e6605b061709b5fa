"""A cache of Django's own CACHES as a token cache."""

from __future__ import annotations

import base64
import binascii
import contextlib
import math
import os
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from m2m_auth import CacheUnavailable
from m2m_auth.caches import Capabilities, delaying_forks

from .cache_backends import DATABASE, EARLY, LOCAL, Kind, Opened, forget_lapsed, kind_of, open_backend
from .database_connections import close_databases, open_databases

__all__ = ["DjangoTokenCache"]

_VALUE = "m2m1:"
_COUNTER = "m2m1#"
_PAUSES = (0.0, 0.01, 0.02, 0.04, 0.08)
"""Seconds before each attempt where a backend hides its failures: most often SQLite was busy for a moment."""
_T = TypeVar("_T")


class DjangoTokenCache:
    """A cache of Django's own CACHES as a token cache.

    ================= ======= ===== ======= ==================================================================
    backend           shared  lease release ledger
    ================= ======= ===== ======= ==================================================================
    Redis             yes     yes   no      yes
    memcached         yes     yes   no      yes
    database          yes     yes   no      counts of processes that write together may be lost
    local memory      no      yes   no      yes, of this process
    file-based        yes     no    no      counts of processes that write together may be lost
    any other         yes     no    no      the same: its ``add`` is not known to be atomic
    dummy             refused
    ================= ======= ===== ======= ==================================================================

    A lease that cannot be released lapses. Values are text, and the engine seals them before it stores them. Redis and
    PyMemcacheCache pickle and unpickle nothing here. The database, file-based and local memory backends unpickle what
    is stored under a key before this class can check it, as they do for every other key: write access to that table or
    folder is control of the project.

    Each thread has its own instance of the backend, with the project's location, options, key prefix and version.
    :meth:`release_thread` closes it, and the database connections that it has opened on this thread.

    Args:
        alias: a key of Django's CACHES.

    Raises:
        ConfigurationError: there is no such alias, its backend cannot be imported, or it stores nothing (dummy).
    """

    def __init__(self, alias: str = "default") -> None:
        self.alias = alias
        """The key of CACHES."""
        self.kind: Kind = kind_of(alias)
        """What is known about its backend."""
        self._threads = threading.local()

    def __repr__(self) -> str:
        return f"DjangoTokenCache({self.alias!r})"

    @property
    def capabilities(self) -> Capabilities:
        """What this cache can do."""
        return self.kind.capabilities

    def get(self, key: str) -> bytes | None:
        """The live value, or None; a value that this class did not store is None, too."""
        found: object = self._do(lambda cache: self._read(cache, key))
        counter = _counter(found)
        return str(counter[0]).encode() if counter else _value(found)

    def set(self, key: str, value: bytes, ttl: float) -> None:
        """Stores a value for ``ttl`` seconds."""
        self._do(lambda cache: self._put(cache, key, _text(value), ttl))

    def delete(self, key: str) -> None:
        """Deletes a key."""
        self._do(lambda cache: cache.delete(key))

    def add(self, key: str, value: bytes, ttl: float) -> bool:
        """Stores the value unless a live one is there; atomic where ``capabilities`` says so."""

        def add(cache: Any) -> bool:
            self._forget_lapsed(cache, key)
            for pause in _PAUSES:
                time.sleep(pause)
                if cache.add(key, _text(value), self._timeout(ttl)):
                    return True
                if not self.kind.silent or cache.get(key) is not None:
                    return False
            raise self._not_stored()  # False would mean that another process has it

        return self._do(add)

    def delete_if(self, key: str, value: bytes) -> bool:  # noqa: ARG002
        """Always False: no backend can compare and delete in one step. The key lapses."""
        return False

    def increment(self, key: str, ttl: float) -> int:
        """Adds one and returns the count; atomic in Redis, memcached and local memory, a read and a write elsewhere.

        It does not use ``BaseCache.incr``, which gives the counter the cache's default time to live.
        """

        def count(cache: Any) -> int:
            if self.capabilities.atomic_increment:
                try:
                    return int(cache.incr(key))
                except ValueError:
                    cache.add(key, 0, self._timeout(ttl))
                    return int(cache.incr(key))
            known, until = _counter(self._read(cache, key)) or (0, time.time() + ttl)
            self._put(cache, key, f"{_COUNTER}{known + 1}@{until:.3f}", max(until - time.time(), 0.001))
            return known + 1

        return self._do(count)

    def close(self) -> None:
        """Closes this thread's connections."""
        self.release_thread()

    def release_thread(self) -> None:
        """Closes what this cache opened on this thread: its backend, and connections to databases."""
        own = self._threads.__dict__.pop("own", None)
        if own is not None:
            own.close()

    def _read(self, cache: Any, key: str) -> object:
        self._forget_lapsed(cache, key)
        found: object = cache.get(key)
        return found

    def _forget_lapsed(self, cache: Any, key: str) -> None:
        if self.kind is DATABASE:
            forget_lapsed(cache, key, self.alias)

    def _put(self, cache: Any, key: str, text: str, ttl: float) -> None:
        for pause in _PAUSES:
            time.sleep(pause)
            cache.set(key, text, self._timeout(ttl))
            if not self.kind.silent or cache.get(key) == text:
                return
        raise self._not_stored()

    def _not_stored(self) -> CacheUnavailable:
        return CacheUnavailable(f"{self!r}: it did not store the value; the server's own log may say why")

    def _timeout(self, ttl: float) -> float:
        """What to ask for, so that no entry lives shorter than ``ttl``; never 0, which would be no entry at all."""
        if not self.kind.whole_seconds:
            return max(ttl, 0.001)
        return max(math.ceil(ttl), 1) + (EARLY if self.kind is DATABASE else 1)

    def _do(self, operation: Callable[[Any], _T]) -> _T:
        """One operation. A backend's error becomes a CacheUnavailable without its text, which may hold addresses."""
        try:
            # Local memory has one lock per process. A child that is forked meanwhile would find it locked for ever.
            with delaying_forks() if self.kind is LOCAL else contextlib.nullcontext():
                return operation(self._backend().cache)
        except CacheUnavailable:
            raise
        except Exception as error:
            problem = f"{self!r}: {type(error).__name__}"
        raise CacheUnavailable(problem)

    def _backend(self) -> Opened:
        own: _ThreadsBackend | None = self._threads.__dict__.get("own")
        if own is None or own.process != os.getpid():
            own = self._threads.own = _ThreadsBackend(open_backend(self.alias))
        return own.backend


class _ThreadsBackend:
    """One thread's instance of the backend, and which databases were connected before it."""

    def __init__(self, backend: Opened) -> None:
        self.backend = backend
        self.process = os.getpid()
        self._before = open_databases()

    def close(self) -> None:
        backend, self.backend = self.backend, Opened(None, lambda: None)
        with contextlib.suppress(Exception):  # a lost connection needs no closing
            backend.close()
        if self.process == os.getpid():  # a forked child must not end its parent's connections
            close_databases(but=self._before)

    def __del__(self) -> None:
        """For threads that end without :meth:`DjangoTokenCache.release_thread`."""
        with contextlib.suppress(Exception):
            self.backend.close()


def _text(value: bytes) -> str:
    return _VALUE + base64.b64encode(value).decode("ascii")


def _value(found: object) -> bytes | None:
    if not isinstance(found, str) or not found.startswith(_VALUE):
        return None
    try:
        return base64.b64decode(found[len(_VALUE) :], validate=True)
    except binascii.Error:
        return None


def _counter(found: object) -> tuple[int, float] | None:
    """The count, and until when it lives as Unix time; infinity where the backend itself keeps that time."""
    if type(found) is int:
        return found, math.inf
    if not isinstance(found, str):
        return None
    if found.isdigit():
        return int(found), math.inf
    if not found.startswith(_COUNTER):
        return None
    count, _, until = found[len(_COUNTER) :].partition("@")
    try:
        return int(count), float(until)
    except ValueError:
        return None
