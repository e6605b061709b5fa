"""memcached, on pymemcache: one server, or several that each hold a part of the keys.

Every command waits for its answer, and values are raw bytes, so nothing is unpickled. A lease is released atomically:
``gets``, then ``cas`` to an entry that has already expired. Two limits: memcached drops entries when it has no room,
leases too; and hosts that list different servers share nothing.
"""

# pymemcache has no types, so what it returns is unknown here.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar
from urllib.parse import parse_qsl, urlsplit

from pymemcache.client.base import Client, PooledClient
from pymemcache.client.hash import HashClient
from pymemcache.client.retrying import RetryingClient

from ..errors import CacheUnavailable, ConfigurationError, nearest
from ..runtime.fork_safety import on_fork
from .memcached_connections import Connecting, Connection, Server
from .protocol import Capabilities
from .urls import without_password

if TYPE_CHECKING:
    import ssl

__all__ = ["MemcachedTokenCache"]

Address: TypeAlias = str | tuple[str, int]
_T = TypeVar("_T")

_PORT = 11211
_MAX_SECONDS = 30 * 86400
"""A larger number is a date to memcached (its protocol.txt, "Expiration times")."""
_MAX_PREFIX = 250 - 64
_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:/@\[\]]+))(?::([0-9]{1,5}))?")
_URL_OPTIONS = ("timeout", "key_prefix")


class MemcachedTokenCache:
    """One memcached server, or several, as a shared cache.

    Each key belongs to one of the servers, by a hash of the server's name and the key. When a server is down, its keys
    do not move and its operations fail: another server would grant the same lease a second time. All hosts must use
    the same names for the servers; their order does not matter.

    Args:
        servers: ``"host:port"``, ``(host, port)``, or a list of these. The default port is 11211.
        timeout: seconds that one operation may take, connecting included; resolving the host's name is not.
        tls_context: for servers with TLS; None is plain TCP.
        key_prefix: put in front of each key: at most 186 printable ASCII characters without blanks.
        max_idle: seconds after which an idle connection is closed: a firewall may drop it without notice.

    Raises:
        ConfigurationError: an argument is wrong.
    """

    capabilities = Capabilities(resolution=1.0)

    def __init__(
        self,
        servers: Address | Iterable[Address],
        *,
        timeout: float = 0.1,
        tls_context: ssl.SSLContext | None = None,
        key_prefix: str = "",
        max_idle: float = 60.0,
    ) -> None:
        if not 0 < timeout < math.inf:
            raise ConfigurationError(f"MemcachedTokenCache: timeout={timeout} must be a number of seconds above 0")
        if not re.fullmatch(rf"[!-~]{{0,{_MAX_PREFIX}}}", key_prefix):
            raise ConfigurationError(
                f"MemcachedTokenCache: key_prefix={key_prefix!r} must be at most {_MAX_PREFIX} printable ASCII "
                "characters without blanks"
            )
        how = Connecting(timeout, max_idle, tls_context, key_prefix)
        self._servers = [Server(host, port, how) for host, port in _addresses(servers)]
        on_fork(self)

    @classmethod
    def from_url(cls, url: str) -> MemcachedTokenCache:
        """``memcached://host:port``, ``memcached://a:11211,b:11211``; options ``?timeout=0.2&key_prefix=app:``.

        Raises:
            ConfigurationError: the URL is wrong, or has an unknown option.
        """
        what = f"cache={without_password(url)!r}" if "//" in url else "cache='memcached:…'"
        try:
            parts = urlsplit(url)
            options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        except ValueError:
            raise ConfigurationError(f"{what} is not a URL. Fix: memcached://host:port") from None
        if not parts.netloc or parts.path.strip("/") or parts.fragment:
            raise ConfigurationError(f"{what}: Fix: memcached://host:port, or memcached://a:11211,b:11211")
        for name in options:
            if name not in _URL_OPTIONS:
                raise ConfigurationError(
                    f"{what}: unknown option {name!r}{nearest(name, _URL_OPTIONS)}. Known: {', '.join(_URL_OPTIONS)}"
                )
        try:
            timeout = float(options.get("timeout", "0.1"))
        except ValueError:
            raise ConfigurationError(f"{what}: timeout is not a number. Fix: ?timeout=0.2") from None
        return cls(parts.netloc, timeout=timeout, key_prefix=options.get("key_prefix", ""))

    @classmethod
    def from_client(cls, client: Any, *, timeout: float = 0.1) -> MemcachedTokenCache:
        """The servers, TLS and key prefix of a pymemcache client; the cache opens its own connections.

        Raises:
            ConfigurationError: it has ``ignore_exc=True``, or it is not a client of pymemcache.
        """
        if isinstance(client, RetryingClient):
            client = client._client  # pyright: ignore[reportPrivateUsage]
        if not isinstance(client, (Client, PooledClient, HashClient)):
            raise ConfigurationError(
                f"cache={type(client).__name__}(…) is not a client of pymemcache. Fix: cache='memcached://host:port'"
            )
        if client.ignore_exc:
            raise ConfigurationError(
                f"cache={type(client).__name__}(…, ignore_exc=True) hides that a server is down, so that "
                "two hosts would mint at once. Fix: ignore_exc=False, or cache='memcached://host:port'"
            )
        nodes: list[Any] = list(client.clients.values()) if isinstance(client, HashClient) else [client]
        prefix: str | bytes = client.key_prefix
        return cls(
            [node.server for node in nodes],
            timeout=timeout,
            tls_context=client.tls_context,
            key_prefix=prefix.decode("ascii", "replace") if isinstance(prefix, bytes) else prefix,
        )

    def __repr__(self) -> str:
        return f"MemcachedTokenCache({[server.name for server in self._servers]})"

    def get(self, key: str) -> bytes | None:
        """The live value, or None."""
        value: bytes | None = self._do(key, lambda memcached: memcached.get(key))
        return value

    def set(self, key: str, value: bytes, ttl: float) -> None:
        """Stores a value for ``ttl`` seconds."""
        self._do(key, lambda memcached: memcached.set(key, value, _seconds(ttl)))

    def delete(self, key: str) -> None:
        """Deletes a key."""
        self._do(key, lambda memcached: memcached.delete(key))

    def add(self, key: str, value: bytes, ttl: float) -> bool:
        """Stores the value unless the key has a live one."""
        return self._do(key, lambda memcached: bool(memcached.add(key, value, _seconds(ttl))))

    def delete_if(self, key: str, value: bytes) -> bool:
        """Replaces this value by one that has expired: memcached has no command that compares and deletes."""

        def release(memcached: Connection) -> bool:
            held, unique = memcached.gets(key)
            return held == value and memcached.cas(key, b"", unique, expire=-1) is True

        return self._do(key, release)

    def increment(self, key: str, ttl: float) -> int:
        """Adds one and returns the count."""

        def count(memcached: Connection) -> int:
            while True:  # once more if the counter expires between the two commands; the deadline ends the loop
                number: int | None = memcached.incr(key, 1)
                if number is not None:
                    return number
                if memcached.add(key, b"1", _seconds(ttl)):
                    return 1

        return self._do(key, count)

    def close(self) -> None:
        """Closes the connections; the next operation opens a new one."""
        for server in self._servers:
            server.close()

    def after_fork(self) -> None:
        """In a forked child: the next operation opens new connections."""
        for server in self._servers:
            server.after_fork()

    def _do(self, key: str, operation: Callable[[Connection], _T]) -> _T:
        server = self._servers[0] if len(self._servers) == 1 else self._server_of(key)
        try:
            return server.do(operation)
        except Exception as error:  # OSError, pymemcache's errors, and any error from a damaged answer
            reason = f"memcached {server.name}: {type(error).__name__}: {str(error)[:200]}"
            raise CacheUnavailable(reason) from error

    def _server_of(self, key: str) -> Server:
        """The same server in every process. pymemcache's HashClient would move keys away from a failed server."""
        return max(self._servers, key=lambda server: hashlib.sha256(f"{server.name} {key}".encode()).digest())


def _seconds(ttl: float) -> int:
    """Whole seconds, plus one: memcached counts ticks of its clock, and the first tick may come at once."""
    return min(max(math.ceil(ttl), 0) + 1, _MAX_SECONDS)


def _addresses(servers: Address | Iterable[Address]) -> list[tuple[str, int]]:
    if isinstance(servers, str):
        named: list[Any] = servers.split(",")
    elif isinstance(servers, tuple) and len(servers) == 2 and isinstance(servers[1], int):
        named = [servers]
    else:
        named = list(servers)
    if not named:
        raise ConfigurationError("MemcachedTokenCache: there is no server. Fix: MemcachedTokenCache('host:11211')")
    return [_address(server) for server in named]


def _address(server: object) -> tuple[str, int]:
    if isinstance(server, tuple) and len(server) == 2:
        host, port = server
        server = f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
    found = _ADDRESS.fullmatch(server) if isinstance(server, str) else None
    if found is None or not 0 < int(found[3] or _PORT) < 65536:
        raise ConfigurationError(
            f"MemcachedTokenCache: {re.sub('.*@', '***@', str(server))!r} is not a server. Fix: 'host:port', "
            "'[IPv6 address]:port' or (host, port), without a user; Unix sockets are not supported"
        )
    return (found[1] or found[2]).lower(), int(found[3] or _PORT)
