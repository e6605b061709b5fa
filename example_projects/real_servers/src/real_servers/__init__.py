"""Real servers for the tests and the demo: each is a process on a free loopback port.

>>> with start_authlib([ClientSpec("reports", "s3cr3t")], lifetime=5) as server, start_api(server) as api:
...     pass  # mint at server.token_endpoint, call api.base_url + "/hello", then read server.mints()
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from .process import ServerError, ServerProcess

__all__ = ["Api", "AuthorizationServer", "ClientSpec", "ServerError", "start_api", "start_authlib", "start_dot"]


@dataclass(frozen=True)
class ClientSpec:
    """A client to register when the server starts.

    Only Authlib's server uses `audiences`, of which the first is the default, and `public_key` (PEM, for
    private_key_jwt). `lifetime`, in seconds, replaces the server's for this client.
    """

    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    scopes: Sequence[str] = ("read", "write")
    audiences: Sequence[str] = ("https://api.example.com",)
    public_key: str | None = None
    lifetime: int | None = None

    @property
    def basic_authorization(self) -> str:
        """The `Authorization` header of RFC 6749 §2.3.1, percent-encoded."""
        pair = f"{quote(self.client_id, safe='')}:{quote(self.client_secret or '', safe='')}"
        return "Basic " + base64.b64encode(pair.encode()).decode()


class AuthorizationServer(ServerProcess):
    """A running authorization server, with the addresses and the counts that its clients and APIs need."""

    def __init__(
        self,
        module: str,
        config: dict[str, Any],
        clients: Sequence[ClientSpec],
        *,
        introspection_path: str,
        introspection_authorization: str,
        revocation_path: str | None = None,
        jwks_path: str | None = None,
    ) -> None:
        super().__init__(module, config)
        self.clients = tuple(clients)
        self.token_endpoint: str = self.base_url + config["token_path"]
        self.introspection_url = self.base_url + introspection_path
        self.introspection_authorization = introspection_authorization
        """The `Authorization` header that lets an API introspect."""
        self.jwks_url = self.base_url + jwks_path if jwks_path else None
        """The URL of the keys of JWT access tokens, or None if tokens are opaque."""
        self._revocation_url = self.base_url + revocation_path if revocation_path else None

    def stats(self) -> dict[str, Any]:
        """Return the counts of the token endpoint: mints, token_requests, by_client."""
        return self.get("/_stats")  # type: ignore[no-any-return]

    def mints(self, client_id: str | None = None) -> int:
        """Return how many tokens were issued, to all or to one client."""
        return self._count("mints", client_id)

    def token_requests(self, client_id: str | None = None) -> int:
        """Return how many token requests came in, refused ones included."""
        return self._count("token_requests", client_id)

    def reset(self) -> None:
        """Zero the counts. Tokens and revocations stay."""
        self.post("/_reset")

    def revoke(self, token: str, client: ClientSpec | None = None) -> None:
        """Revoke a token of this client (default: the first one). An API that introspects sees it."""
        if self._revocation_url is None:
            self.post("/_revoke", {"token": token})
        else:
            self.post_form(self._revocation_url, {"token": token}, (client or self.clients[0]).basic_authorization)

    def _count(self, name: str, client_id: str | None) -> int:
        """Return one number of the stats; 0 for a client without a request."""
        stats = self.stats()
        return int((stats if client_id is None else stats["by_client"].get(client_id, {name: 0}))[name])


class Api(ServerProcess):
    """A running protected API. api_server.py describes its paths."""

    def stats(self) -> dict[str, Any]:
        """Return the answers by path and status, and the number of distinct tokens seen."""
        return self.get("/_stats")  # type: ignore[no-any-return]

    def answers(self, path: str, status: int) -> int:
        """Return how often a path was answered with a status."""
        return int(self.stats()["answers"].get(path, {}).get(str(status), 0))

    def tokens(self) -> int:
        """Return how many distinct tokens were sent here."""
        return int(self.stats()["tokens"])

    def reject(self, token: str) -> None:
        """Refuse this token from now on, although the authorization server still accepts it."""
        self.post("/_reject", {"sha256": hashlib.sha256(token.encode()).hexdigest()})

    def reject_issued_before(self, epoch: float) -> None:
        """Refuse every token that was certainly issued, or already seen here, before this time."""
        self.post("/_reject", {"all_issued_before": epoch})

    def reset(self) -> None:
        """Forget the counts and the refusals."""
        self.post("/_reset")


def start_dot(clients: Sequence[ClientSpec], lifetime: int = 3600, *, fast_hash: bool = True) -> AuthorizationServer:
    """Start django-oauth-toolkit. `fast_hash=False` keeps Django's password hasher, which is slow on purpose."""
    introspection_token = secrets.token_urlsafe()
    config = {
        "clients": _with_lifetime(clients, lifetime),
        "fast_hash": fast_hash,
        "introspection_token": introspection_token,
        "token_path": "/o/token/",
    }
    return AuthorizationServer(
        "dot_server",
        config,
        clients,
        introspection_path="/o/introspect/",
        # The API has a token: with Basic, the server would hash a password for every call of the API.
        introspection_authorization=f"Bearer {introspection_token}",
        revocation_path="/o/revoke_token/",
    )


def start_authlib(clients: Sequence[ClientSpec], lifetime: int = 60) -> AuthorizationServer:
    """Start Authlib's server, which issues JWTs."""
    api = ClientSpec("resource-server", secrets.token_urlsafe(), scopes=())
    return AuthorizationServer(
        "authlib_server",
        {"clients": _with_lifetime([*clients, api], lifetime), "token_path": "/oauth/token"},
        clients,
        introspection_path="/introspect",
        introspection_authorization=api.basic_authorization,
        jwks_path="/.well-known/jwks.json",
    )


def start_api(server: AuthorizationServer, *, audience: str | None = None, introspect: bool = False) -> Api:
    """Start the API behind an authorization server.

    The API verifies JWTs itself, for `audience` if given. It introspects opaque tokens, and with `introspect` all
    tokens, on every call.
    """
    config = {
        "jwks_url": None if introspect else server.jwks_url,
        "issuer": server.base_url,
        "audience": audience,
        "introspection_url": server.introspection_url,
        "introspection_authorization": server.introspection_authorization,
    }
    return Api("api_server", config)


def _with_lifetime(clients: Sequence[ClientSpec], lifetime: int) -> list[dict[str, Any]]:
    """Return the clients as JSON values, each with its lifetime."""
    return [{**dataclasses.asdict(client), "lifetime": client.lifetime or lifetime} for client in clients]
