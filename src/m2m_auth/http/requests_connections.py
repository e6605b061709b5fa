"""Connections of urllib3 that keep to a deadline, and read past informational responses."""

from __future__ import annotations

import copy
import http.client
import socket
import ssl
from collections.abc import Callable
from typing import Any, ClassVar, cast

from requests.adapters import HTTPAdapter

from .exchange_deadline import ExchangeDeadline

__all__ = ["BoundAdapter", "WaitsTooLong", "is_plain"]

_OWN_STATE = frozenset({"poolmanager", "proxy_manager"})
"""What an adapter holds besides its settings."""


def is_plain(given: Any, cls: type[Any]) -> bool:
    """True if a session or adapter is of the library's own class, and nothing is added to it but settings."""
    state: Any = given.__dict__
    return type(given) is cls and not state.keys() - {*cls.__attrs__, *_OWN_STATE}


class WaitsTooLong(Exception):
    """A session's own retry would sleep past the deadline; this is the response after which it would."""

    def __init__(self, status: int, headers: Any) -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers


class BoundAdapter(HTTPAdapter):
    """An adapter for one exchange, all of whose connections end at its deadline.

    Args:
        deadline: the exchange's.
        context: the TLS context, or None for the one that requests makes.
        like: the adapter of the user's session whose retries and TLS settings it takes over.
    """

    def __init__(
        self, deadline: ExchangeDeadline, context: ssl.SSLContext | None, like: HTTPAdapter | None = None
    ) -> None:
        self._deadline, self._context = deadline, context
        super().__init__(pool_connections=1, pool_maxsize=1)
        if like is not None:
            self.max_retries = _bound_retries(like.max_retries, deadline)
            self.poolmanager.connection_pool_kw.update(like.poolmanager.connection_pool_kw)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """As requests does, with our connections."""
        super().init_poolmanager(*args, **options)
        self._bind(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """As requests does, with our connections."""
        manager = super().proxy_manager_for(proxy, **options)
        self._bind(manager)
        return manager

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        """With a context of our own, nothing of ``verify`` is added to it: requests would load its CAs into it."""
        host, options = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, options if self._context is None else {"ssl_context": self._context}

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """The same, for the releases of requests before 2.32."""
        if self._context is None:
            HTTPAdapter.cert_verify(self, conn, url, verify, cert)  # type: ignore[no-untyped-call]
        elif url.lower().startswith("https"):
            conn.conn_kw["ssl_context"], conn.cert_reqs = self._context, self._context.verify_mode

    def close(self) -> None:
        """Closes every connection now; requests leaves that to the garbage collector."""
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118 - it is no mapping that can be iterated
                pool = manager.pools.get(key)
                if pool is not None:
                    pool.close()
        super().close()

    def _bind(self, manager: Any) -> None:
        manager.pool_classes_by_scheme = {
            scheme: _bound_pool(pool, self._deadline, unverified=self._unverified)
            for scheme, pool in manager.pool_classes_by_scheme.items()
            if not hasattr(pool.ConnectionCls, "deadline")
        } or manager.pool_classes_by_scheme

    @property
    def _unverified(self) -> bool:
        return self._context is not None and self._context.verify_mode == ssl.CERT_NONE


class _FinalResponse(http.client.HTTPResponse):
    """Reads past informational responses (RFC 9110 §15.2), as 103 Early Hints: http.client skips 100 only."""

    def _read_status(self) -> tuple[str, int, str]:
        read = cast("Callable[[], tuple[str, int, str]]", super()._read_status)  # type: ignore[misc]
        line = read()
        while 101 < line[1] < 200:
            http.client.parse_headers(self.fp)
            line = read()
        return line


class _BoundConnection:
    """What is added to a connection of urllib3."""

    deadline: ClassVar[ExchangeDeadline]
    unverified: ClassVar[bool]
    response_class = _FinalResponse

    def _new_conn(self: Any) -> socket.socket:
        through_socks = hasattr(self, "_socks_options")  # the proxy resolves the name
        remaining = self.deadline.remaining
        self.timeout = remaining() if through_socks else self.deadline.to_connect(self._dns_host, self.port)
        connect = cast("Callable[[], socket.socket]", super()._new_conn)  # type: ignore[misc]
        connection = connect()
        self.deadline.watch(connection.fileno())
        connection.settimeout(remaining())
        return connection

    def connect(self: Any) -> None:
        super().connect()  # type: ignore[misc]
        if self.unverified:
            self.is_verified = True  # verify=False has been said once; urllib3 would warn at each request


def _bound_pool(pool: Any, deadline: ExchangeDeadline, *, unverified: bool) -> Any:
    members = {"deadline": deadline, "unverified": unverified}
    connection = type("BoundConnection", (_BoundConnection, pool.ConnectionCls), members)
    return type("BoundPool", (pool,), {"ConnectionCls": connection})


def _bound_retries(retries: Any, deadline: ExchangeDeadline) -> Any:
    """The user's retries, which then do not sleep past the deadline."""
    kind: Any = type(retries)  # pyright: ignore[reportUnknownVariableType]

    def sleep(self: Any, response: Any = None) -> None:
        after = self.get_retry_after(response) if response is not None and self.respect_retry_after_header else None
        if (after or self.get_backoff_time()) < deadline.remaining():
            kind.sleep(self, response)
        elif response is not None:
            raise WaitsTooLong(response.status, response.headers)
        else:
            raise TimeoutError

    bound: Any = copy.copy(retries)
    bound.__class__ = type("BoundRetries", (kind,), {"sleep": sleep})
    return bound
