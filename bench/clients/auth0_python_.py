"""auth0-python: the token provider of its ManagementClient; the client makes the header."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import httpx
from auth0.management import token_provider

from . import Client

TITLE = "auth0-python"
LIBRARY, IMPORTS, PERSISTS = "httpx", "auth0.management", False
_HOST = "login.bench.example"


class _ToLoopback(httpx.HTTPTransport):
    def __init__(self, server: httpx.URL) -> None:
        super().__init__()
        self.server = server

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        server = self.server
        request.url = request.url.copy_with(scheme=server.scheme, host=server.host, port=server.port)
        return super().handle_request(request)


def connect(server: str, folder: str | None) -> Client:
    url = httpx.URL(server)
    # It requires https and its own client, so that client's last step is redirected to the loopback server.
    token_provider.httpx = SimpleNamespace(Client=lambda: httpx.Client(transport=_ToLoopback(url)))
    provider = token_provider.TokenProvider(domain=_HOST, client_id="client", client_secret="secret")
    client = httpx.Client()

    def attach(request: Any) -> Any:
        request.headers["Authorization"] = f"Bearer {provider.get_token()}"
        return request

    return Client(attach, lambda: client.get(f"{server}/api/x", auth=attach).status_code, attach)
