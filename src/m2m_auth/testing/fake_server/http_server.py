"""A small HTTP/1.1 server on loopback that stops at once, also while a request hangs.

It reads each request completely and passes it to one callable, with a :class:`Wire` for the answer. A wire can also
answer badly: byte by byte, truncated, or with a reset.
"""

from __future__ import annotations

import http
import http.client
import re
import socket
import struct
import threading
import urllib.parse
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias

HOST = "127.0.0.1"
_LONGEST_LINE = 65536


@dataclass(frozen=True)
class ReceivedRequest:
    """One complete request. Header names are in lower case; repeated headers are joined by a comma."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    keep_alive: bool


@dataclass(frozen=True)
class Reply:
    """One answer. ``send`` adds ``Content-Length`` and ``Connection``."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


App: TypeAlias = "Callable[[ReceivedRequest, Wire], None]"


class BadRequest(Exception):
    """The client's bytes are not a request that this server understands: the answer is 400."""


class Wire:
    """Sends the answer of one request. Every method may raise OSError: the client has closed the connection."""

    def __init__(self, connection: socket.socket, stopping: threading.Event, request: ReceivedRequest | None) -> None:
        self._connection = connection
        self._stopping = stopping
        self._head_only = request is not None and request.method == "HEAD"
        self.keep_alive = request is not None and request.keep_alive

    def pause(self, seconds: float) -> None:
        """Waits. Raises ConnectionAbortedError when the server stops."""
        if self._stopping.wait(seconds):
            raise ConnectionAbortedError("the fake server is stopping")

    def hang_until(self, over: threading.Event) -> None:
        """Waits for an event. Raises ConnectionAbortedError when the client gives up or the server stops."""
        while True:
            is_over = over.wait(0.02)
            self.pause(0)
            if self._client_is_gone():
                raise ConnectionAbortedError("the client has closed the connection")
            if is_over:
                return

    def send(self, reply: Reply) -> None:
        """Sends the whole answer at once."""
        self._connection.sendall(self._head(reply) + self._body(reply))

    def send_in_drops(self, reply: Reply, interval: float) -> None:
        """Sends the answer byte by byte, ``interval`` seconds apart, so that no single read times out."""
        for byte in self._head(reply) + self._body(reply):
            self._connection.sendall(bytes((byte,)))
            self.pause(interval)

    def send_truncated(self, reply: Reply) -> None:
        """Announces the whole body, sends half of it and closes the connection."""
        self._connection.sendall(self._head(reply) + reply.body[: len(reply.body) // 2])
        self.keep_alive = False

    def stream(self, reply: Reply, chunks: Iterable[bytes], interval: float) -> None:
        """Sends the chunks in chunked transfer coding, ``interval`` seconds apart."""
        self._connection.sendall(self._head(reply, chunked=True))
        if self._head_only:
            return
        for chunk in chunks:
            self._connection.sendall(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            self.pause(interval)
        self._connection.sendall(b"0\r\n\r\n")

    def reset(self) -> None:
        """Ends the connection with a TCP reset. Always raises ConnectionResetError."""
        # With a linger time of zero, the close that follows is a reset.
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise ConnectionResetError("the fake server resets the connection")

    def _client_is_gone(self) -> bool:
        try:
            return self._connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False

    def _head(self, reply: Reply, *, chunked: bool = False) -> bytes:
        lines = [f"HTTP/1.1 {reply.status} {http.client.responses.get(reply.status, 'Status')}"]
        lines += [f"{name}: {value}" for name, value in reply.headers]
        if chunked:
            lines.append("Transfer-Encoding: chunked")
        elif reply.status not in (http.HTTPStatus.NO_CONTENT, http.HTTPStatus.NOT_MODIFIED):
            lines.append(f"Content-Length: {len(reply.body)}")
        lines.append(f"Connection: {'keep-alive' if self.keep_alive else 'close'}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def _body(self, reply: Reply) -> bytes:
        bodiless = self._head_only or reply.status in (http.HTTPStatus.NO_CONTENT, http.HTTPStatus.NOT_MODIFIED)
        return b"" if bodiless else reply.body


class LoopbackServer:
    """Accepts connections on 127.0.0.1 and serves each on its own thread until :meth:`stop`."""

    def __init__(self, app: App, port: int = 0) -> None:
        self._app = app
        self._stopping = threading.Event()
        self._conversations: dict[threading.Thread, socket.socket] = {}
        self._listener = socket.create_server((HOST, port), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, name=f"m2m-auth-fake-{self.port}", daemon=True)
        self._acceptor.start()

    def stop(self) -> None:
        """Closes the port and every connection, and waits for every thread."""
        self._stopping.set()
        # On some systems, closing a listener does not wake accept(). A last connection does.
        with suppress(OSError), socket.create_connection((HOST, self.port), timeout=5):
            self._acceptor.join()
        self._listener.close()
        for connection in self._conversations.values():
            with suppress(OSError):  # its own thread has closed it
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._conversations:
            thread.join()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._stopping.is_set():
                connection.close()
                return
            # Otherwise an answer in two writes waits for the client's delayed ACK.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            name = f"{self._acceptor.name}-client"
            thread = threading.Thread(target=self._converse, args=(connection,), name=name, daemon=True)
            alive = {thread: open_ for thread, open_ in self._conversations.items() if thread.is_alive()}
            self._conversations = {**alive, thread: connection}
            thread.start()

    def _converse(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            try:
                while self._serve_one(connection, stream):
                    pass
                # Ends the connection even if a forked child holds a copy of the socket.
                connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # the client closed the connection, a reset was wanted, or stop() was called

    def _serve_one(self, connection: socket.socket, stream: BinaryIO) -> bool:
        request = None
        try:
            request = _read_request(connection, stream)
            if request is None:
                return False
            wire = Wire(connection, self._stopping, request)
            self._app(request, wire)
        except BadRequest as error:
            wire = Wire(connection, self._stopping, request)
            wire.send(Reply(400, str(error).encode()))
        return wire.keep_alive


def _read_request(connection: socket.socket, stream: BinaryIO) -> ReceivedRequest | None:
    line = stream.readline(_LONGEST_LINE)
    if not line:
        return None
    try:
        method, target, version = line.decode("latin-1").split()
        message = http.client.parse_headers(stream)
    except (ValueError, http.client.HTTPException):
        raise BadRequest("not an HTTP/1.1 request") from None
    headers: dict[str, str] = {}
    for name, value in message.items():
        known = headers.get(name.lower())
        headers[name.lower()] = value if known is None else f"{known}, {value}"
    if headers.get("expect", "").lower() == "100-continue":
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = _read_body(stream, headers)
    path, _, query = target.partition("?")
    keep_alive = version == "HTTP/1.1" and "close" not in headers.get("connection", "").lower()
    return ReceivedRequest(method, urllib.parse.unquote(path), query, headers, body, keep_alive)


def _read_body(stream: BinaryIO, headers: dict[str, str]) -> bytes:
    coding, length = headers.get("transfer-encoding"), headers.get("content-length")
    if coding is not None:
        if coding.lower() != "chunked" or length is not None:
            raise BadRequest("a body needs either a Content-Length or the chunked transfer coding")
        return b"".join(iter(lambda: _read_chunk(stream), b""))
    if length is None:
        return b""
    if not length.isdecimal():
        raise BadRequest("Content-Length is not a number")
    return _read_exactly(stream, int(length))


def _read_chunk(stream: BinaryIO) -> bytes:
    size = stream.readline(_LONGEST_LINE).partition(b";")[0].strip()
    if not re.fullmatch(rb"[0-9A-Fa-f]{1,15}", size):
        raise BadRequest("a chunk does not begin with its size")
    if int(size, 16) == 0:
        while stream.readline(_LONGEST_LINE).strip():  # trailers
            pass
        return b""
    chunk = _read_exactly(stream, int(size, 16))
    if _read_exactly(stream, 2) != b"\r\n":
        raise BadRequest("a chunk is longer than its size")
    return chunk


def _read_exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise ConnectionAbortedError("the client closed the connection in the middle of its body")
    return data
