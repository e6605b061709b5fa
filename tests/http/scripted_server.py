"""A server that follows a script on each connection, and the transports that the tests send through."""

from __future__ import annotations

import contextlib
import importlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from m2m_auth.http.transports import as_transport
from m2m_auth.oauth2.transport import HttpRequest, HttpResponse

GRANT = b'{"access_token": "t", "token_type": "Bearer", "expires_in": 3600}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
WHOLE = HEAD + b"Content-Length: %d\r\n\r\n" % len(GRANT) + GRANT
Script = Callable[[Any], None]
"""What the server does with a connection, once the request is read (or at once, for ``raw`` servers)."""


class ScriptedServer:
    """Runs ``script`` for each connection on a thread of its own; keeps each request's head and body.

    Args:
        script: gets the connection after the request.
        context: TLS.
        raw: run the script before anything is read.
        port: a port, if not any.
    """

    def __init__(self, script: Script, *, context: ssl.SSLContext | None = None, raw: bool = False) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self._script, self._context, self._raw = script, context, raw
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http{'s' if context else ''}://127.0.0.1:{self.port}/token"
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def __enter__(self) -> ScriptedServer:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for connection in self._open:
            connection.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._open.append(connection)
                self.connections += 1
                thread = threading.Thread(target=self._serve, args=[connection], daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, connection: Any) -> None:
        with contextlib.suppress(OSError):
            if self._context is not None:
                connection = self._context.wrap_socket(connection, server_side=True)
                self._open.append(connection)
            if not self._raw:
                self.requests.append(read_request(connection))
            self._script(connection)


def read_request(connection: Any) -> bytes:
    """The whole request, head and body."""
    request = b""
    while b"\r\n\r\n" not in request:
        piece = connection.recv(65536)
        if not piece:
            raise OSError("closed")
        request += piece
    head, _, body = request.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def answers(data: bytes, *, after: float = 0.0, close: bool = True) -> Script:
    """A script that sends ``data`` after some seconds, and closes the connection or holds it."""

    def script(connection: Any) -> None:
        time.sleep(after)
        connection.sendall(data)
        if close:
            connection.shutdown(socket.SHUT_RDWR)

    return script


def drips(data: bytes, interval: float = 0.05) -> Script:
    """A script that sends ``data`` byte by byte, for as long as the other side listens."""

    def script(connection: Any) -> None:
        for place in range(len(data)):
            connection.sendall(data[place : place + 1])
            time.sleep(interval)

    return script


def library_named(name: str) -> Any:
    """The HTTP library, or a skip where it is not installed."""
    return pytest.importorskip(name)


@contextlib.contextmanager
def users_client(name: str, **options: Any) -> Iterator[Any]:
    """The library's session or client, as a user makes it."""
    library: Any = importlib.import_module(name)
    client = library.Session() if name == "requests" else library.Client(**options)
    if name == "requests":
        for option, value in options.items():
            setattr(client, option, value)
    with client:
        yield client


def send(transport: Any, url: str, timeout: float = 5.0, **headers: str) -> HttpResponse:
    """One token request."""
    own = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": "Basic Y2xpZW50OnNlY3JldA=="}
    body = b"grant_type=client_credentials&client_secret=s3cr3t"
    response: HttpResponse = transport(HttpRequest("POST", url, {**own, **headers}, body, timeout))
    return response


def private(name: str, **options: Any) -> Any:
    """The private transport of a library."""
    return as_transport(None, name, **options)
