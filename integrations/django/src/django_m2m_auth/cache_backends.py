"""Django's cache backends: what each can do, and an instance of one for tokens only, which unpickles nothing.

Django closes its own instances when a request ends. A flight may outlive the request, so it needs an instance of its
own.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

from django.core.cache import caches
from django.core.cache.backends.base import BaseCache
from django.core.cache.backends.db import DatabaseCache
from django.core.cache.backends.dummy import DummyCache
from django.core.cache.backends.filebased import FileBasedCache
from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.memcached import BaseMemcachedCache, PyMemcacheCache
from django.core.cache.backends.redis import RedisCache
from django.db import connections, router
from django.utils import timezone
from django.utils.module_loading import import_string

from m2m_auth import ConfigurationError
from m2m_auth.caches import Capabilities

__all__ = [
    "DATABASE",
    "EARLY",
    "FILE",
    "LOCAL",
    "MEMCACHED",
    "REDIS",
    "UNKNOWN",
    "Kind",
    "Opened",
    "forget_lapsed",
    "kind_of",
    "open_backend",
]

OPERATION = 1.0
"""Seconds that Redis and memcached may take for one operation, unless the project's OPTIONS say otherwise."""


class Kind(NamedTuple):
    """What is known about a family of backends."""

    capabilities: Capabilities
    whole_seconds: bool = False
    """It cuts times to live to whole seconds, and may count them from the start of the current second."""
    silent: bool = False
    """It does not raise where it could not store a value."""
    culls: bool = False
    """It evicts entries, tokens too, when there are more than MAX_ENTRIES."""


def _can(*, shared: bool = True, add: bool = False, increment: bool = False, resolution: float = 1.0) -> Capabilities:
    return Capabilities(
        shared=shared, atomic_add=add, compare_delete=False, atomic_increment=increment, resolution=resolution
    )


LOCAL = Kind(_can(shared=False, add=True, increment=True, resolution=0.001), culls=True)
FILE = Kind(_can(resolution=0.001), culls=True)
DATABASE = Kind(_can(add=True), whole_seconds=True, silent=True, culls=True)
REDIS = Kind(_can(add=True, increment=True), whole_seconds=True)
MEMCACHED = Kind(_can(add=True, increment=True), whole_seconds=True, silent=True)
UNKNOWN = Kind(_can(), whole_seconds=True)
"""Its ``add`` and ``incr`` are not known to be atomic, so nothing relies on it."""

_KINDS: tuple[tuple[type[BaseCache], Kind], ...] = (
    (LocMemCache, LOCAL),
    (FileBasedCache, FILE),
    (DatabaseCache, DATABASE),
    (RedisCache, REDIS),
    (BaseMemcachedCache, MEMCACHED),
)


class Opened(NamedTuple):
    """An instance of a backend for tokens only, and how to close its connections."""

    cache: Any
    close: Callable[[], object]


def kind_of(alias: str) -> Kind:
    """What the cache ``alias`` of CACHES can do; no I/O.

    Raises:
        ConfigurationError: there is no such alias, its backend cannot be imported, or it stores nothing (dummy).
    """
    backend = _backend_class(alias)
    if issubclass(backend, DummyCache):
        raise ConfigurationError(
            f"CACHES[{alias!r}] is the dummy cache, which stores nothing, so every process would mint its own tokens. "
            'Fix: name a real cache, or leave M2M_AUTH["CACHES"] out for the disk cache'
        )
    return next((kind for base, kind in _KINDS if issubclass(backend, base)), UNKNOWN)


def open_backend(alias: str) -> Opened:
    """A new instance of the cache ``alias`` of CACHES, with its location, key prefix, version and options.

    Redis and PyMemcacheCache get a serializer for text, so that nothing is unpickled. Redis reads from the primary
    only. Both get a deadline where the project has set none.
    """
    parameters: dict[str, Any] = dict(caches.settings[alias])
    backend = _backend_class(alias)
    parameters.pop("BACKEND", None)
    location = parameters.pop("LOCATION", "")
    options = dict(parameters.get("OPTIONS") or {})
    if issubclass(backend, RedisCache):
        return _open_redis(backend, location, parameters, options)
    if issubclass(backend, PyMemcacheCache):
        patience = {"timeout": OPERATION, "connect_timeout": OPERATION}
        parameters["OPTIONS"] = patience | options | {"serde": _Text(), "ignore_exc": False, "default_noreply": False}
    cache: Any = backend(location, parameters)
    return Opened(cache, cache.close)


def _backend_class(alias: str) -> type[BaseCache]:
    configured = caches.settings
    if alias not in configured:
        raise ConfigurationError(f"CACHES has no {alias!r}. Known: {', '.join(configured)}")
    path = configured[alias].get("BACKEND")
    problem = ""
    try:
        found: Any = import_string(path)
    except ImportError as error:
        problem = f"CACHES[{alias!r}]: its BACKEND {path!r} cannot be imported ({error})"
    if problem:
        raise ConfigurationError(problem)
    for base, library in ((RedisCache, "redis"), (PyMemcacheCache, "pymemcache")):
        if issubclass(found, base):
            _require(library, f"CACHES[{alias!r}]")
    return found  # type: ignore[no-any-return]


def _require(library: str, what: str) -> None:
    from importlib.util import find_spec

    if find_spec(library) is None:
        extra = {"pymemcache": "memcached"}.get(library, library)
        raise ConfigurationError(
            f"{what} needs the package {library!r}, which is not installed. Fix: pip install 'm2m-auth[{extra}]'"
        )


def _open_redis(backend: type[BaseCache], location: Any, parameters: Any, options: dict[str, Any]) -> Opened:
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    servers = location.replace(";", ",").split(",") if isinstance(location, str) else list(location)
    pools = _Pools(options.pop("pool_class", None))
    patience = {"socket_timeout": OPERATION, "socket_connect_timeout": OPERATION, "retry": Retry(NoBackoff(), 0)}
    parameters["OPTIONS"] = patience | options | {"serializer": _text, "pool_class": pools}
    cache: Any = backend(servers[:1], parameters)  # replicas may lag behind
    return Opened(cache, pools.close)


class _Pools:
    """Replaces the class of a connection pool, and closes the pools that it made. RedisCache closes none."""

    def __init__(self, given: Any) -> None:
        import redis

        self._class: Any = import_string(given) if isinstance(given, str) else given or redis.ConnectionPool
        self._made: list[Any] = []

    def from_url(self, url: str, **options: Any) -> Any:
        pool = self._class.from_url(url, **options)
        self._made.append(pool)
        return pool

    def close(self) -> None:
        for pool in self._made:
            pool.disconnect()


class _Text:
    """Serializer for redis and pymemcache: this package's text, and numbers. Anything else is a miss."""

    def dumps(self, value: Any) -> Any:
        return value if type(value) is int else str(value).encode("ascii")

    def loads(self, data: Any) -> str | None:
        text = data.decode("latin-1") if isinstance(data, bytes) else data
        return text if isinstance(text, str) and text.isascii() else None

    def serialize(self, key: Any, value: Any) -> tuple[bytes, int]:  # noqa: ARG002
        return str(value).encode("ascii"), 0

    def deserialize(self, key: Any, value: Any, flags: int) -> str | None:  # noqa: ARG002
        return self.loads(value)


def _text() -> _Text:
    """The serializer for RedisCacheClient, which calls it like a class."""
    return _Text()


EARLY = 2
"""Seconds before its end that a row counts as lapsed, so that it does not lapse between the DELETE and what follows."""


def forget_lapsed(cache: Any, key: str, alias: str) -> None:
    """Deletes the row of this key from a database cache if it has lapsed; one atomic statement.

    The backend's own ``add`` overwrites a lapsed row without checking it again, and its ``get`` deletes one that
    another process has renewed meanwhile. So two processes that ask for a lapsed lease at the same moment could both
    win. After this DELETE with a condition, INSERT and the primary key decide which one wins.

    Args:
        cache: the instance of ``DatabaseCache``.
        key: the key, as it is given to the cache.
        alias: the cache's alias in CACHES.
    """
    connection: Any = connections[router.db_for_write(cache.cache_model_class)]
    quote = connection.ops.quote_name
    end = (timezone.now() + timedelta(seconds=EARLY)).replace(microsecond=0)  # the table has whole seconds
    table, name, expires = map(quote, (caches.settings[alias]["LOCATION"], "cache_key", "expires"))
    sql = f"DELETE FROM {table} WHERE {name} = %s AND {expires} < %s"  # noqa: S608 - names from the project's settings
    with connection.cursor() as cursor:
        cursor.execute(sql, [cache.make_key(key), connection.ops.adapt_datetimefield_value(end)])
