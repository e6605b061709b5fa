"""What the proxy's tests share: a proxy in front of a fake authorization server, and clients that know HTTP only.

``Asking`` sends its requests over a socket, and its client side has no code of m2m-auth.
"""

from __future__ import annotations

import base64
import http.client
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from live import serving

from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.oauth2.secrets import Secret
from m2m_auth.proxy import ProxyConfig, TokenProxy, UpstreamConfig, VendorConfig
from m2m_auth.proxy.secret_verifiers import verifier
from m2m_auth.serving import Request, wsgi
from m2m_auth.source.registry import forget_everything
from m2m_auth.testing import FakeAuthorizationServer

PEPPER = "a pepper that no test is to show"
AUDIENCE, OTHER = "https://api.example.com", "https://other.example.com"
ACME, RIGHT = "acme", "acme's secret"


@dataclass(frozen=True)
class Got:
    """An answer from the socket."""

    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes = field(repr=False)

    @property
    def json(self) -> dict[str, Any]:
        """The body."""
        return json.loads(self.body)  # type: ignore[no-any-return]

    @property
    def error(self) -> str:
        """The OAuth error code."""
        return str(self.json["error"])

    @property
    def token(self) -> str:
        """The access token of a successful answer."""
        assert self.status == 200, self.body
        return str(self.json["access_token"])


def basic(client_id: str, secret: str) -> dict[str, str]:
    """RFC 6749 §2.3.1's header."""
    pair = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


class Asking:
    """A client of the token endpoint at ``url``; each call is a connection of its own."""

    def __init__(self, url: str) -> None:
        self.url = url

    def send(self, body: bytes, headers: dict[str, str], method: str = "POST", path: str = "") -> Got:
        """Any request."""
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=60)
        try:
            connection.request(method, path or parts.path, body, headers)
            answer = connection.getresponse()
            given = {name.lower(): value for name, value in answer.getheaders()}
            return Got(answer.status, given, answer.read())
        finally:
            connection.close()

    def form(self, pairs: list[tuple[str, str]], headers: dict[str, str] | None = None) -> Got:
        """A form with these pairs."""
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.send(urlencode(pairs).encode(), {**kind, **(headers or {})})

    def token(
        self, client_id: str = ACME, secret: str = RIGHT, audience: str | None = AUDIENCE, **parameters: str
    ) -> Got:
        """The usual request, with HTTP Basic."""
        named = {} if audience is None else {"audience": audience}
        pairs = {"grant_type": "client_credentials", **named, **parameters}
        return self.form(list(pairs.items()), basic(client_id, secret))


def post(path: str, headers: dict[str, str], body: bytes) -> Request:
    """A request as the proxy gets it from a server: no socket is needed."""
    return Request(
        method="POST",
        path=path,
        query="",
        headers=headers,
        body=body,
        too_large=False,
        address="127.0.0.1",
        scheme="https",
    )


def vendor(client_id: str = ACME, secret: str = RIGHT, pepper: str = PEPPER, **options: Any) -> VendorConfig:
    """A vendor with a secret that the proxy gave it."""
    chosen = {"audiences": (AUDIENCE, OTHER), "scopes": ("read", "write"), **options}
    return VendorConfig(verifiers=(verifier(Secret(pepper), client_id, Secret(secret)),), **chosen)


def keeper(**options: Any) -> VendorConfig:
    """A vendor that keeps its upstream credentials."""
    return VendorConfig(**{"audiences": (AUDIENCE, OTHER), "scopes": ("read", "write"), **options})


def own_secrets(server: FakeAuthorizationServer, **options: Any) -> ProxyConfig:
    """The proxy is the one client upstream; ``acme`` and ``bolt`` have secrets that the proxy gave them."""
    vendors = {ACME: vendor(), "bolt": vendor("bolt", "bolt's secret")}
    return ProxyConfig(
        **{
            "upstreams": {
                "main": UpstreamConfig(token_endpoint=server.token_endpoint, client_id="client", client_secret="secret")
            },
            "vendors": vendors,
            "pepper": PEPPER,
            "cache": MemoryTokenCache(),
            **options,
        }
    )


def kept_secrets(server: FakeAuthorizationServer, **options: Any) -> ProxyConfig:
    """``acme`` and ``bolt`` are clients upstream, and keep their credentials."""
    server.clients = {ACME: RIGHT, "bolt": "bolt's secret"}
    return ProxyConfig(
        **{
            "upstreams": {"main": UpstreamConfig(token_endpoint=server.token_endpoint)},
            "vendors": {ACME: keeper(), "bolt": keeper()},
            "pepper": PEPPER,
            "cache": MemoryTokenCache(),
            **options,
        }
    )


@contextmanager
def running(config: ProxyConfig, **options: Any) -> Iterator[tuple[TokenProxy, Asking]]:
    """The proxy on a real WSGI server with a thread for each request, and no token from an earlier test."""
    forget_everything()
    proxy = TokenProxy(config, **options)
    try:
        with serving(wsgi(proxy, max_body=proxy.config.max_body)) as url:
            yield proxy, Asking(url + proxy.config.path)
    finally:
        proxy.close()


def unguessable() -> str:
    """A random secret that no client has."""
    return secrets.token_urlsafe()
