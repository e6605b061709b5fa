"""One memcached server: pymemcache's commands over sockets of our own, and the connections that wait to be used again.

A connection on which anything went wrong is closed: what the server still sends would be taken for the next answer.
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
"""How many connections wait for the next operation; busier moments open more, and close them. memcached takes 1024."""
_T = TypeVar("_T")


class Connecting(NamedTuple):
    """How a server is reached; times in seconds."""

    timeout: float
    """For one operation, connecting included."""
    max_idle: float
    """How long an unused connection is kept."""
    tls_context: ssl.SSLContext | None
    key_prefix: str


class Server:
    """One memcached server. Any number of threads may use it at once; each operation has a connection to itself."""

    def __init__(self, host: str, port: int, how: Connecting) -> None:
        self.name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._address = (host, port)
        self._how = how
        self._idle: list[Connection] = []
        self._lock = threading.Lock()

    def do(self, operation: Callable[[Connection], _T]) -> _T:
        """What ``operation`` returns. After a fault every idle connection goes too: they may be as dead as this one."""
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
        """Closes the idle connections; one that is in use is closed when its operation ends."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def after_fork(self) -> None:
        """The child closes its copies of the parent's connections, which the parent goes on using."""
        self._lock = threading.Lock()
        self.close()

    def _take(self) -> Connection:
        """The connection used last, or a new one."""
        now = time.monotonic()
        deadline = now + self._how.timeout
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                connection = Connection(self._address, self._how)
            elif now - connection.idle_since >= self._how.max_idle or connection.wire.stale():
                connection.close()
                continue
            connection.wire.deadline = deadline
            return connection


class Connection(Client):  # type: ignore[misc]
    """pymemcache's commands, each waited for: with its usual ``noreply`` every ``add`` would seem to win."""

    def __init__(self, address: tuple[str, int], how: Connecting) -> None:
        super().__init__(address, default_noreply=False, key_prefix=how.key_prefix.encode())
        self.wire = Wire(address, how.tls_context)
        self.idle_since = 0.0

    def _connect(self) -> None:
        # pymemcache tries only the first address of a name ("localhost" is often ::1, where no memcached listens), and
        # its time-outs begin anew with each piece of an answer.
        self.close()
        self.wire.connect()
        self.sock = self.wire  # pyright: ignore[reportAttributeAccessIssue]


class Wire:
    """A socket of which every wait ends at ``deadline`` (on the monotonic clock). It is closed when it is dropped."""

    def __init__(self, address: tuple[str, int], tls_context: ssl.SSLContext | None) -> None:
        self._address = address
        self._tls_context = tls_context
        self._socket: socket.socket | None = None
        self._readable = select.poll()
        self.deadline = 0.0

    def connect(self) -> None:
        """Connects to the first address of the host that answers.

        Raises:
            OSError: none does.
        """
        host, port = self._address
        fault: OSError = OSError("the name has no address")
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
        """True if the server has hung up, or has sent something that nobody asked for."""
        return bool(self._readable.poll(0))

    def sendall(self, data: bytes) -> None:
        """Sends all of it."""
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
