"""An API on a real socket that answers as a function of the test says."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Received:
    """A request as the API got it."""

    method: str
    path: str
    headers: Mapping[str, str]
    """Names in any case, as an ``email.message.Message`` takes them."""
    body: bytes


@dataclass
class ScriptedApi:
    """The running API."""

    base_url: str
    requests: list[Received] = field(default_factory=list)

    def paths(self) -> list[str]:
        """The path of each request."""
        return [request.path for request in self.requests]

    def sent(self, header: str) -> list[str | None]:
        """The value of a header in each request."""
        return [request.headers.get(header) for request in self.requests]


Answering = Callable[[Received], tuple[int, list[tuple[str, str]], bytes]]


@contextmanager
def scripted_api(answer: Answering) -> Iterator[ScriptedApi]:
    """An API on 127.0.0.1; ``answer`` returns the status, the headers and the body."""
    running = ScriptedApi("")

    class Handler(http.server.BaseHTTPRequestHandler):
        """Records, and answers."""

        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            received = Received(self.command, self.path, self.headers, self.rfile.read(length))  # type: ignore[arg-type]
            running.requests.append(received)
            status, headers, body = answer(received)
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            chunked = ("Transfer-Encoding", "chunked") in headers
            if not chunked:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if chunked else body)

        do_GET = do_POST = do_PUT = answer

        def log_message(self, *args: Any) -> None:
            """Logs nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        running.base_url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield running
        finally:
            server.shutdown()
            thread.join()
