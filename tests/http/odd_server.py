"""A token endpoint that answers as it is told to, and an API beside it that knows one token."""

from __future__ import annotations

import http.server
import threading
from types import TracebackType
from typing import Any

from typing_extensions import Self


class OddServer:
    """On a real socket: POST anything is the token endpoint, GET anything the API, which wants ``token``.

    Args:
        status: the token endpoint's status.
        headers: its headers; a Content-Length is added.
        body: its body, byte for byte.
        token: the token that the API accepts.
    """

    def __init__(self, status: int, headers: dict[str, str], body: bytes, token: str = "t0k3n") -> None:
        self.mints = 0
        self.calls = 0
        odd = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                odd.mints += 1
                self._send(status, headers, body)

            def do_GET(self) -> None:
                odd.calls += 1
                good = self.headers["Authorization"] == f"Bearer {token}"
                self._send(200 if good else 403, {}, b"hello")

            def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                """Logs nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def base_url(self) -> str:
        """The URL of the API."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def token_endpoint(self) -> str:
        """The URL of the token endpoint."""
        return f"{self.base_url}/token"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
