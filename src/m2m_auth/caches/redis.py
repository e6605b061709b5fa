"""Redis and Valkey, on redis-py: one server, Sentinel or Cluster; always the primary.

Of a client that a user passes, only its addresses, credentials and TLS settings are used. The cache opens connections
of its own, for two reasons: redis-py retries by default, so that a dead server would cost a caller many times the
deadline; and a client may decode replies.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import redis as redis_py

from ..errors import CacheUnavailable, ConfigurationError
from ..runtime.fork_safety import delaying_forks, on_fork
from .protocol import Capabilities
from .urls import without_password

__all__ = ["RedisTokenCache"]

_redis: Any = redis_py
"""As Any: redis-py's types differ from version to version."""
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end"
_COUNT = (
    "local count = redis.call('INCR', KEYS[1]) "
    "if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end "
    "return count"
)
_USED = ("host", "port", "path", "db", "username", "password", "credential_provider", "client_name")
_NAMELESS: dict[str, None] = (
    {"driver_info": None} if hasattr(_redis, "DriverInfo") else {"lib_name": None, "lib_version": None}
)
"""No CLIENT SETINFO at the start of a connection: a narrow ACL forbids it."""
_CONNECTIONS = 64


class RedisTokenCache:
    """Redis or Valkey as a shared cache.

    An ACL user needs the commands ``GET SET DEL INCR PEXPIRE EVAL`` on the keys ``m2m1.*``. A database other than 0
    also needs ``SELECT``; Cluster also needs ``CLUSTER`` and ``COMMAND``. After a fail-over to a replica that lacks the
    last writes, one more mint is possible.

    Args:
        server: a URL (``redis://user:password@host:6379/0``, ``rediss://`` for TLS, ``valkey://``, ``valkeys://``,
            ``unix:///path``; redis-py's query options such as ``ssl_ca_certs`` work), or a client of redis-py or
            valkey-py: ``Redis``, one from ``Sentinel.master_for``, or ``RedisCluster``.
        timeout: seconds that connecting may take, and again each answer; resolving the server's name is not included.

    Raises:
        ConfigurationError: the URL cannot be used, or the object is not a client of Redis.
    """

    capabilities = Capabilities()

    def __init__(self, server: Any, *, timeout: float = 0.1) -> None:
        if not 0 < timeout < math.inf:
            raise ConfigurationError(f"RedisTokenCache: timeout={timeout} must be a number of seconds above 0")
        self._timeout = timeout
        self._name = type(server).__name__
        self._name, self._connect = self._by_url(server) if isinstance(server, str) else self._by_client(server)
        self._client: Any = None
        on_fork(self)

    @classmethod
    def from_url(cls, url: str) -> RedisTokenCache:
        """``redis://``, ``rediss://`` (TLS), ``valkey://`` or ``valkeys://``; ``?timeout=0.2`` is in seconds."""
        address, _, query = url.partition("?")
        timeout = parse_qs(query).get("timeout", ["0.1"])[-1]
        query = "&".join(option for option in query.split("&") if option and not option.startswith("timeout="))
        try:
            return cls(address + ("?" + query if query else ""), timeout=float(timeout))
        except ValueError:
            raise ConfigurationError(f"cache={without_password(url)!r}: timeout is not a number of seconds") from None

    @classmethod
    def from_client(cls, client: Any) -> RedisTokenCache:
        """The server or servers of a client of redis-py or valkey-py."""
        return cls(client)

    def __repr__(self) -> str:
        return f"RedisTokenCache({self._name!r})"

    def after_fork(self) -> None:
        """In a forked child: the next operation opens new connections."""
        self._client = None

    def get(self, key: str) -> bytes | None:
        """The live value, or None."""
        return self._do(lambda client: client.get(key))  # type: ignore[no-any-return]

    def set(self, key: str, value: bytes, ttl: float) -> None:
        """Stores a value for ``ttl`` seconds."""
        self._do(lambda client: client.set(key, value, px=_milliseconds(ttl)))

    def delete(self, key: str) -> None:
        """Deletes a key."""
        self._do(lambda client: client.delete(key))

    def add(self, key: str, value: bytes, ttl: float) -> bool:
        """Stores the value unless the key has a live one: ``SET NX PX``."""
        return bool(self._do(lambda client: client.set(key, value, px=_milliseconds(ttl), nx=True)))

    def delete_if(self, key: str, value: bytes) -> bool:
        """Deletes the key if it still holds this value; one script."""
        return bool(self._do(lambda client: client.eval(_RELEASE, 1, key, value)))

    def increment(self, key: str, ttl: float) -> int:
        """Adds one and returns the count; one script."""
        return int(self._do(lambda client: client.eval(_COUNT, 1, key, _milliseconds(ttl))))

    def close(self) -> None:
        """Closes the connections."""
        client, self._client = self._client, None
        if hasattr(client, "connection_pool"):
            with contextlib.suppress(TypeError):  # redis-py < 6 can only close all, also those in use
                client.connection_pool.disconnect(inuse_connections=False)
        elif client is not None:
            client.close()

    def _do(self, operation: Callable[[Any], Any]) -> Any:
        """Runs one operation. Every error of redis-py and of the socket becomes CacheUnavailable."""
        try:
            client = self._client
            if client is None:
                with delaying_forks():  # redis-py imports some of its modules at the first connection
                    client = self._client = self._connect()
            return operation(client)
        except Exception as error:
            message = str(error).partition(", with args")[0]  # the server quotes an unknown command, such as AUTH
            problem = f"{self!r}: {type(error).__name__}: {message}"
        raise CacheUnavailable(problem)

    # how to connect

    @property
    def _fixed_settings(self) -> dict[str, Any]:
        """Settings of every connection, whatever the user's client says: deadlines, and no retry."""
        return {
            "socket_timeout": self._timeout,
            "socket_connect_timeout": self._timeout,
            "decode_responses": False,
            "protocol": 2,  # no HELLO, and no push messages between the answers
            **_NAMELESS,
            "retry": _redis.retry.Retry(_redis.backoff.NoBackoff(), 0),
        }

    def _pooled(self, settings: dict[str, Any]) -> Any:
        """A client of at most 64 connections; a thread waits for a free one."""
        limits = {"max_connections": _CONNECTIONS, "timeout": 5 * self._timeout}
        return _redis.Redis(
            connection_pool=_redis.BlockingConnectionPool(**{**settings, **self._fixed_settings, **limits})
        )

    def _by_url(self, url: str) -> tuple[str, Callable[[], Any]]:
        plain = url.replace("valkey", "redis", 1) if url.startswith("valkey") else url
        try:
            settings = _redis.connection.parse_url(plain)
        except ValueError as error:
            what = str(error)
            if "Port" in what:  # the message quotes the start of a password that has a '/' in it
                what = "its port is not a number. Fix: in a password, write / ? # @ as %2F %3F %23 %40"
            raise ConfigurationError(f"cache={without_password(url)!r}: {what}") from None
        try:
            pool = _redis.ConnectionPool(**settings)
            pool.connection_class(**pool.connection_kwargs)  # does not connect yet
        except (TypeError, _redis.RedisError) as error:
            what = str(error).partition("() ")[2] or str(error)
            raise ConfigurationError(f"cache={without_password(url)!r}: {what}. Fix: use redis-py's options") from None
        return without_password(url), lambda: self._pooled(settings)

    def _by_client(self, client: Any) -> tuple[str, Callable[[], Any]]:
        if hasattr(client, "nodes_manager"):
            return self._by_cluster(client)
        if not hasattr(client, "connection_pool"):
            raise ConfigurationError(
                f"cache={type(client).__name__}(…) is not a client of Redis. Fix: pass a Redis, a RedisCluster, or the "
                "result of Sentinel.master_for()"
            )
        pool = client.connection_pool
        settings = _usable(pool.connection_kwargs)
        secure = "SSL" in pool.connection_class.__name__
        if hasattr(pool, "sentinel_manager"):
            return self._by_sentinel(pool, {**settings, "ssl": secure})
        if "path" in settings:
            settings["connection_class"] = _redis.UnixDomainSocketConnection
        elif secure:
            settings["connection_class"] = _redis.SSLConnection
        where = settings.get("path") or f"{settings.get('host', 'localhost')}:{settings.get('port', 6379)}"
        return where, lambda: self._pooled(settings)

    def _by_sentinel(self, pool: Any, settings: dict[str, Any]) -> tuple[str, Callable[[], Any]]:
        """By Sentinel: each new connection asks the first sentinel that answers for the primary."""
        sentinels = [_usable(each.connection_pool.connection_kwargs) for each in pool.sentinel_manager.sentinels]
        addresses = [(each["host"], each["port"]) for each in sentinels]
        first = pool.sentinel_manager.sentinels[0].connection_pool
        credentials = _without_address(sentinels[0]) | {"ssl": "SSL" in first.connection_class.__name__}
        settings = _without_address(settings) | {"db": settings.get("db", 0)}
        name: str = pool.service_name

        def connect() -> Any:
            sentinel = _redis.Sentinel(addresses, sentinel_kwargs={**credentials, **self._fixed_settings})
            return sentinel.master_for(name, **{**settings, **self._fixed_settings})

        return f"{name} by the sentinels {_listed(addresses)}", connect

    def _by_cluster(self, client: Any) -> tuple[str, Callable[[], Any]]:
        given = client.nodes_manager.connection_kwargs
        settings = _without_address(_usable(given)) | {"ssl": bool(given.get("ssl"))}
        addresses = [(node.host, node.port) for node in client.get_nodes()]

        def connect() -> Any:
            nodes = [_redis.cluster.ClusterNode(host, port) for host, port in addresses]
            return _redis.RedisCluster(startup_nodes=nodes, **{**settings, **self._fixed_settings})

        return f"the cluster of {_listed(addresses)}", connect


def _usable(settings: dict[str, Any]) -> dict[str, Any]:
    """The address, the credentials and the TLS settings of a client."""
    return {name: value for name, value in settings.items() if name in _USED or name.startswith("ssl_")}


def _without_address(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in ("host", "port", "path", "db")}


def _listed(addresses: list[tuple[str, int]]) -> str:
    return ", ".join(f"{host}:{port}" for host, port in addresses)


def _milliseconds(ttl: float) -> int:
    return max(1, math.ceil(ttl * 1000))
