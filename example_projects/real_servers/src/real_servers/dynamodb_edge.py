"""An HTTP server in front of DynamoDB: it passes requests on, remembers them, and fails if a test asks for it."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from typing_extensions import Self

JSON = "application/x-amz-json-1.0"


class Seen(NamedTuple):
    """A request: the action by its IAM name, and its parameters."""

    action: str
    parameters: dict[str, Any]


class Edge:
    """An HTTP server on a loopback port, in front of the server on the port ``target``.

    Attributes:
        seen: every request, in the order of arrival.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.seen: list[Seen] = []
        self._reply: tuple[int, bytes] | None = None
        self._actions: frozenset[str] = frozenset()
        self._open: set[socket.socket] = set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def endpoint(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def fail(self, code: str, message: str = "words of the server", *, status: int = 400, only: str = "") -> None:
        """Answer all actions, or those named in ``only``, with DynamoDB's error of this code."""
        error = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message}
        self.answer(json.dumps(error).encode(), status=status, only=only)

    def answer(self, body: bytes, *, status: int = 200, only: str = "") -> None:
        """Answer with these bytes."""
        self._actions = frozenset(only.split())
        self._reply = (status, body)

    def recover(self) -> None:
        """Pass everything on."""
        self._reply = None

    def count(self, action: str) -> int:
        """The number of requests of this action."""
        return sum(each.action == action for each in self.seen)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        edge = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1

            def handle(self) -> None:
                edge._open.add(self.connection)
                with contextlib.suppress(OSError):
                    super().handle()
                edge._open.discard(self.connection)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                action = self.headers["X-Amz-Target"].rpartition(".")[2]
                edge.seen.append(Seen(action, json.loads(body)))
                reply = edge._reply
                if reply is None or (edge._actions and action not in edge._actions):
                    reply = edge.ask(dict(self.headers), body)
                self.send_response(reply[0])
                self.send_header("Content-Type", JSON)
                self.send_header("Content-Length", str(len(reply[1])))
                self.end_headers()
                self.wfile.write(reply[1])
                self.wfile.flush()

            def log_message(self, *arguments: Any) -> None:
                """Nothing."""

        return Handler

    def ask(self, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """The status and body of the real server's answer."""
        real = http.client.HTTPConnection("127.0.0.1", self.target, timeout=20)
        with contextlib.closing(real):
            unlike = {"content-length", "connection"}
            same = {name: value for name, value in headers.items() if name.lower() not in unlike}
            real.request("POST", "/", body, {**same, "Connection": "close"})
            response = real.getresponse()
            return response.status, response.read()
