"""Connections to one memcached server: pymemcache's commands over a socket with one deadline per operation.

A connection is closed after any error: otherwise the rest of the answer would be read as the next answer.
"""

# pymemcache has no types, so what it returns is unknown here.
# pyright: reportUnknownMemberType=false
from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from pymemcache.client.base import Client

if TYPE_CHECKING:
    import ssl

__all__ = ["Connecting", "Connection", "Server"]

_MAX_IDLE_CONNECTIONS = 4
"""Connections that are kept for the next operation. More threads at once open more; memcached takes 1024."""
_T = TypeVar("_T")


class Connecting(NamedTuple):
    """How to connect to a server; times in seconds."""

    timeout: float
    """Of one operation, connecting included."""
    max_idle: float
    """The age at which an idle connection is not used again."""
    tls_context: ssl.SSLContext | None
    key_prefix: str


class Server:
    """One memcached server, for any number of threads: each operation has a connection of its own."""

    def __init__(self, host: str, port: int, how: Connecting) -> None:
        self.name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._address = (host, port)
        self._how = how
        self._idle: list[Connection] = []
        self._lock = threading.Lock()

    def do(self, operation: Callable[[Connection], _T]) -> _T:
        """The result of ``operation``. After an error the idle connections are closed as well: they may be dead too."""
        idle = self._idle
        connection = self._take()
        try:
            result = operation(connection)
        except BaseException:
            connection.close()
            self.close()
            raise
        connection.idle_since = time.monotonic()
        with self._lock:
            if idle is self._idle and len(idle) < _MAX_IDLE_CONNECTIONS:
                idle.append(connection)
                return result
        connection.close()
        return result

    def close(self) -> None:
        """Closes the idle connections. A connection in use is closed when its operation ends."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def after_fork(self) -> None:
        """In a forked child: closes its copies of the parent's connections; the parent keeps using them."""
        self._lock = threading.Lock()
        self.close()

    def _take(self) -> Connection:
        """The connection that was used last, or a new one."""
        now = time.monotonic()
        deadline = now + self._how.timeout
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                connection = Connection(self._address, self._how)
            elif now - connection.idle_since >= self._how.max_idle or connection.socket.stale():
                connection.close()
                continue
            connection.socket.deadline = deadline
            return connection


class Connection(Client):  # type: ignore[misc]
    """pymemcache's commands. They wait for the answer: with the default ``noreply``, ``add`` would always be True."""

    def __init__(self, address: tuple[str, int], how: Connecting) -> None:
        super().__init__(address, default_noreply=False, key_prefix=how.key_prefix.encode())
        self.socket = MemcachedSocket(address, how.tls_context)
        self.idle_since = 0.0

    def _connect(self) -> None:
        # pymemcache tries only the first address of a name ("localhost" is often ::1, where no memcached listens), and
        # its timeout starts again with each part of an answer.
        self.close()
        self.socket.connect()
        self.sock = self.socket  # pyright: ignore[reportAttributeAccessIssue]


class MemcachedSocket:
    """A socket whose waits all end at ``deadline`` on the monotonic clock. Garbage collection closes it."""

    def __init__(self, address: tuple[str, int], tls_context: ssl.SSLContext | None) -> None:
        self._address = address
        self._tls_context = tls_context
        self._socket: socket.socket | None = None
        self._readable = select.poll()
        self.deadline = 0.0

    def connect(self) -> None:
        """Connects to the first address of the host that answers.

        Raises:
            OSError: no address answers.
        """
        host, port = self._address
        fault: OSError = OSError("the host name has no address")
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            connected = socket.socket(family, kind, protocol)
            try:
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connected.settimeout(self._left())
                connected.connect(address)
                if self._tls_context is not None:
                    connected.settimeout(self._left())
                    connected = self._tls_context.wrap_socket(connected, server_hostname=host)
            except BaseException as error:
                connected.close()
                if not isinstance(error, OSError):
                    raise
                fault = error
            else:
                self._socket = connected
                self._readable = select.poll()
                self._readable.register(connected, select.POLLIN)
                return
        raise fault

    def stale(self) -> bool:
        """True if the server has closed the connection, or sent something without a request."""
        return bool(self._readable.poll(0))

    def sendall(self, data: bytes) -> None:
        """Sends all of the data."""
        sock = self._open()
        sock.settimeout(self._left())
        sock.sendall(data)

    def recv(self, size: int) -> bytes:
        """Waits for the next bytes."""
        sock = self._open()
        sock.settimeout(self._left())
        return sock.recv(size)

    def close(self) -> None:
        """Closes the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    __del__ = close

    def _open(self) -> socket.socket:
        if self._socket is None:
            raise OSError("not connected")
        return self._socket

    def _left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left
