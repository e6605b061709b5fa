"""A WSGI application on a real loopback port, a thread for each call."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer


class _Server(ThreadingMixIn, WSGIServer):
    request_queue_size = 128

    def get_app(self) -> Any:
        """The application."""
        return self.application


class _Quiet(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        """Logs nothing."""


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """The application's base URL, while the block runs."""
    with _Server(("127.0.0.1", 0), _Quiet) as server:
        server.set_app(app)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
