"""For clients that require https: their HTTP library, with an adapter that sends requests to the loopback server."""

from __future__ import annotations

from typing import Any

from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter

HOST = "login.bench.example"


class _ToLoopback(HTTPAdapter):
    def __init__(self, server: str) -> None:
        super().__init__(pool_maxsize=64)
        self.server = server

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        request.url = (request.url or "").replace(f"https://{HOST}", self.server, 1)
        return super().send(request, *args, **kwargs)


def session_to(server: str) -> Session:
    """A session for which ``https://login.bench.example`` is the bench's server."""
    session = Session()
    session.mount(f"https://{HOST}", _ToLoopback(server))
    return session
