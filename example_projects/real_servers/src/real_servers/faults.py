"""A connection through the fault proxy, and the faults that can happen to it."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .fault_proxy import FaultProxy

__all__ = ["HOST", "Connection", "Fault", "Hold", "HungUp", "Reset", "Swap", "Truncate"]

HOST = "127.0.0.1"
CHUNK = 65536
_RST_ON_CLOSE = struct.pack("ii", 1, 0)


class Connection:
    """A client's connection and the one to the server. One thread serves both."""

    def __init__(self, proxy: FaultProxy, client: socket.socket) -> None:
        self.proxy, self.client = proxy, client
        self.passed = 0
        """Bytes of the current reply that were passed on so far."""
        self._in_reply = True  # some servers speak first
        self._resets = self._hung_up = False

    def run(self) -> None:
        """Serve until one side closes."""
        server: socket.socket | None = None
        try:
            self.proxy.fault.accepted(self)
            server = self.server = socket.create_connection((HOST, self.proxy.target), 5)
            server.settimeout(None)
            self._pump(server)
        except OSError:
            self._resets = True  # like a server that died
        finally:
            if self._resets:
                self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST_ON_CLOSE)
            self.client.close()
            if server is not None:
                server.close()

    def reset(self) -> None:
        """End with a reset."""
        self._resets = True
        raise HungUp

    def hang_up(self) -> None:
        """From another thread: end it."""
        self._hung_up = True
        with contextlib.suppress(OSError):
            self.client.shutdown(socket.SHUT_RDWR)

    def request(self, data: bytes) -> None:
        """Pass bytes on to the server."""
        self.server.sendall(data)

    def reply(self, data: bytes) -> None:
        """Pass bytes on to the client."""
        with self.proxy.lock:
            self.proxy.replies += not self.passed and bool(data)
            self.proxy.reply_bytes += len(data)
        self.passed += len(data)
        self.client.sendall(data)

    def rest_of_reply(self) -> bytes:
        """The rest of the reply, if it comes within 5 ms: some servers send head and body separately."""
        more = b""
        while select.select([self.server], [], [], 0.005)[0]:
            data = self.server.recv(CHUNK)
            if not data:
                break
            more += data
        return more

    def _pump(self, server: socket.socket) -> None:
        while not self._hung_up:
            for side in select.select([self.client, server], [], [])[0]:
                data = side.recv(CHUNK)
                if not data or self._hung_up:
                    return
                if side is self.client:
                    self._count(data)
                    self.proxy.fault.request(self, data)
                else:
                    self._in_reply = True
                    self.proxy.fault.reply(self, data)

    def _count(self, data: bytes) -> None:
        with self.proxy.lock:
            self.proxy.requests += self._in_reply
            self.proxy.request_bytes += len(data)
        self._in_reply, self.passed = False, 0


class Fault:
    """The behaviour of the network until another one replaces it. This base class passes everything on."""

    def __init__(self) -> None:
        self.over = threading.Event()

    def accepted(self, connection: Connection) -> None:
        """A client has connected."""

    def request(self, connection: Connection, data: bytes) -> None:
        """A client has sent something."""
        connection.request(data)

    def reply(self, connection: Connection, data: bytes) -> None:
        """The server has sent something."""
        connection.reply(data)


class Hold(Fault):
    """Bytes wait for some seconds, or with None until this fault ends."""

    def __init__(self, *, requests: float | None = 0.0, replies: float | None) -> None:
        super().__init__()
        self._requests, self._replies = requests, replies

    def request(self, connection: Connection, data: bytes) -> None:
        """Wait, then pass it on."""
        self.over.wait(self._requests)
        connection.request(data)

    def reply(self, connection: Connection, data: bytes) -> None:
        """Wait, then pass it on."""
        self.over.wait(self._replies)
        connection.reply(data)


class Reset(Fault):
    """New connections are reset at once, open ones in the middle of their next reply."""

    def accepted(self, connection: Connection) -> None:
        """Reset it."""
        connection.reset()

    def reply(self, connection: Connection, data: bytes) -> None:
        """Pass half of it on, then reset."""
        connection.reply(data[: len(data) // 2])
        connection.reset()


class Truncate(Fault):
    """Each reply ends after ``size`` bytes; with ``close`` its connection ends, too."""

    def __init__(self, size: int, close: bool) -> None:
        super().__init__()
        self._size, self._close = size, close

    def reply(self, connection: Connection, data: bytes) -> None:
        """Pass on what is left of ``size``."""
        left = self._size - connection.passed
        connection.reply(data[: max(left, 0)])
        if self._close and len(data) >= left:
            raise HungUp


class Swap(Fault):
    """Two connections get each other's replies, if both replies come within ``patience`` seconds."""

    def __init__(self, patience: float) -> None:
        super().__init__()
        self._patience = patience
        self._meeting = threading.Condition()
        self._waiting: list[tuple[Connection, bytes]] = []
        self._handed_over: dict[Connection, bytes] = {}

    def reply(self, connection: Connection, data: bytes) -> None:
        """Pass on the partner's reply."""
        connection.reply(self._exchanged(connection, data + connection.rest_of_reply()))

    def _exchanged(self, connection: Connection, data: bytes) -> bytes:
        with self._meeting:
            if self._waiting:
                partner, theirs = self._waiting.pop()
                self._handed_over[partner] = data
                self._meeting.notify_all()
                with connection.proxy.lock:
                    connection.proxy.swapped += 2
                return theirs
            self._waiting.append((connection, data))
            self._meeting.wait_for(lambda: connection in self._handed_over, self._patience)
            if connection in self._handed_over:
                return self._handed_over.pop(connection)
            self._waiting.clear()
            return data


class HungUp(Exception):
    """The proxy ends this connection."""
