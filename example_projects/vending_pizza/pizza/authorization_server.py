"""A small authorization server: Authlib in a Flask app. You have your own.

It issues JWTs (RFC 9068) that live one hour, and it narrows: a client that asks for fewer scopes gets fewer.
"""

from __future__ import annotations

import hmac
from collections import Counter
from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, InvalidScopeError, grants
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from flask import Flask, Response, jsonify
from joserfc.jwk import KeySet, RSAKey

AUDIENCE = "https://orders.example"
SCOPES = ("orders:subscribe", "orders:publish")
"""Both clients may have both scopes: the page's token is narrow because the shop requests only one scope."""


class Client(ClientMixin):
    """A registered client."""

    def __init__(self, client_id: str, secret: str) -> None:
        self.client_id, self.secret = client_id, secret

    def get_client_id(self) -> str:
        """The client's id."""
        return self.client_id

    def check_client_secret(self, client_secret: str) -> bool:
        """True for its secret, compared in constant time."""
        return hmac.compare_digest(self.secret.encode(), client_secret.encode())

    def check_endpoint_auth_method(self, method: str, _endpoint: str) -> bool:
        """HTTP Basic only."""
        return method == "client_secret_basic"

    def check_grant_type(self, grant_type: str) -> bool:
        """Client credentials only."""
        return grant_type == "client_credentials"

    def get_allowed_scope(self, scope: str | None) -> str:
        """The requested scope, or all scopes. An unknown scope is refused."""
        asked = (scope or "").split() or SCOPES
        if not set(asked) <= set(SCOPES):
            raise InvalidScopeError
        return " ".join(asked)


def create_app(issuer: str, secrets: dict[str, str]) -> Flask:
    """The server; ``secrets`` by client id. ``GET /mints`` returns the number of tokens issued to each."""
    clients = {name: Client(name, secret) for name, secret in secrets.items()}
    keys = KeySet([RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)])
    mints: Counter[str] = Counter()

    class Tokens(JWTBearerTokenGenerator):
        """JWTs for the orders API, one hour each."""

        def get_jwks(self) -> KeySet:
            """The key to sign with."""
            return keys

        def get_audiences(self, _client: Client, _user: Any, _scope: str) -> str:
            """The orders API."""
            return AUDIENCE

    app = Flask("authorization_server")
    server = AuthorizationServer(
        app, query_client=clients.get, save_token=lambda _, request: mints.update([request.client.client_id])
    )
    server.register_token_generator("default", Tokens(issuer, expires_generator=lambda *_: 3600))
    server.register_grant(grants.ClientCredentialsGrant)

    @app.post("/oauth/token")
    def token() -> Response:
        return server.create_token_response()

    @app.get("/jwks.json")
    def jwks() -> Response:
        return jsonify(keys.as_dict(private=False))

    @app.get("/mints")
    def minted() -> Response:
        return jsonify(mints)

    return app
