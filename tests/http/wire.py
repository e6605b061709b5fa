"""A server that answers with given bytes, for answers that no HTTP server sends; and one with TLS."""

from __future__ import annotations

import http.server
import json
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, ClassVar


class Wire:
    """Answers the n-th request with the n-th of ``replies``, then holds the connection; keeps each request's head.

    A reply that ends in the middle of its body leaves the client waiting for the rest.
    """

    def __init__(self, replies: Sequence[bytes]) -> None:
        self._replies = iter(replies)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connections: list[socket.socket] = []
        self.heads: list[bytes] = []
        self.base_url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        for connection in self._connections:
            connection.close()

    def _accept(self) -> None:
        with suppress(OSError, StopIteration):
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                head = b""
                while b"\r\n\r\n" not in head:
                    head += connection.recv(65536)
                self.heads.append(head)
                connection.sendall(next(self._replies))


def reply(status: int, body: bytes = b"", *headers: str, length: int | None = None) -> bytes:
    """The bytes of an answer; ``length`` promises another length than the body's."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


class _Handler(http.server.BaseHTTPRequestHandler):
    """Mints at POST, and answers a GET with ``answer`` if it carries the token."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[tuple[str, str, str | None]]]
    answer: ClassVar[Any]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._send(200, {"access_token": "over-tls", "token_type": "Bearer", "expires_in": 3600})

    def do_GET(self) -> None:
        good = self.headers["Authorization"] == "Bearer over-tls"
        self._send(200 if good else 401, self.answer if good else {})

    def _send(self, status: int, value: Any) -> None:
        body = json.dumps(value).encode()
        self.seen.append((self.command, self.path, self.headers["Authorization"]))
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Logs nothing."""


@contextmanager
def tls_server(context: ssl.SSLContext, answer: Any) -> Iterator[tuple[int, list[tuple[str, str, str | None]]]]:
    """A token endpoint (any POST) and an API (any GET, for its token) over TLS: the port, and the requests."""
    handler = type("Handler", (_Handler,), {"seen": [], "answer": answer})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server.server_address[1], handler.seen
        finally:
            server.shutdown()
            thread.join()
