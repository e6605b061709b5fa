"""Authlib's authorization server in a small Flask app; started by `real_servers.start_authlib`.

JWT access tokens (RFC 9068), audience and resource, client_secret_basic and _post, and private_key_jwt (RFC 7523).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import threading
from typing import TYPE_CHECKING, Any

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import ClientMixin, InvalidScopeError, grants
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator, JWTIntrospectionEndpoint
from flask import Flask, Response, jsonify, request
from joserfc.jwk import KeySet, RSAKey

from .child import Config, run
from .counting import MintCounter

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


class InvalidTargetError(OAuth2Error):
    """RFC 8707's error for an unknown audience or resource. Authlib has no class for it."""

    error = "invalid_target"
    description = "The requested audience or resource is unknown."


class Client(ClientMixin):
    """A registered client, in memory."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.client_id: str = spec["client_id"]
        self.secret: str | None = spec["client_secret"]
        self.scopes: list[str] = spec["scopes"]
        self.audiences: list[str] = spec["audiences"]
        self.lifetime: int = spec["lifetime"]
        self.public_key = RSAKey.import_key(spec["public_key"]) if spec["public_key"] else None

    def get_client_id(self) -> str:
        """Return the client's id."""
        return self.client_id

    def check_client_secret(self, client_secret: str) -> bool:
        """Compare in constant time. A client without a secret never matches."""
        return self.secret is not None and hmac.compare_digest(self.secret.encode(), client_secret.encode())

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """Say whether the client holds what this method needs."""
        return (self.public_key if method == PrivateKeyJWT.CLIENT_AUTH_METHOD else self.secret) is not None

    def check_grant_type(self, grant_type: str) -> bool:
        """Allow client credentials only."""
        return grant_type == "client_credentials"

    def get_allowed_scope(self, scope: str | None) -> str:
        """Return the requested scope, or all scopes; refuse a scope that this client may not have."""
        asked = (scope or "").split() or self.scopes
        if not set(asked) <= set(self.scopes):
            raise InvalidScopeError
        return " ".join(asked)


class PrivateKeyJWT(JWTBearerClientAssertion):
    """Client assertions, each accepted once."""

    CLIENT_AUTH_METHOD = "private_key_jwt"

    def __init__(self, audiences: list[str]) -> None:
        super().__init__()
        self._audiences = audiences
        self._used: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def get_audiences(self) -> list[str]:
        """Return the audiences that an assertion may name: the token endpoint and the issuer."""
        return self._audiences

    def resolve_client_public_key(self, client: Client) -> RSAKey | KeySet:
        """Return the registered key, or an empty set, which verifies no assertion."""
        return client.public_key or KeySet([])

    def validate_jti(self, claims: dict[str, Any], jti: str) -> bool:
        """Say whether this assertion is new."""
        with self._lock:
            known = len(self._used)
            self._used.add((claims["sub"], jti))
            return len(self._used) > known


class ClientCredentials(grants.ClientCredentialsGrant):
    """The grant, with every client authentication and a check of audience and resource."""

    # The assertion comes first: it is the only method that recognizes its own requests.
    TOKEN_ENDPOINT_AUTH_METHODS = [PrivateKeyJWT.CLIENT_AUTH_METHOD, "client_secret_basic", "client_secret_post"]  # noqa: RUF012

    def validate_token_request(self) -> None:
        """Refuse targets that the client may not have, before a token is issued."""
        super().validate_token_request()
        if not set(requested_targets()) <= set(self.client.audiences):
            raise InvalidTargetError


def requested_targets() -> list[str]:
    """Return the audiences and resources of the current token request, in their order."""
    return request.form.getlist("audience") + request.form.getlist("resource")


def build(config: Config, base_url: str) -> WSGIApplication:
    """Return the authorization server as one WSGI application that counts its mints."""
    os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # plain http, on loopback only
    token_endpoint = base_url + config["token_path"]
    clients = {spec["client_id"]: Client(spec) for spec in config["clients"]}
    revoked: set[str] = set()
    keys = KeySet([RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256"}, auto_kid=True)])

    class Tokens(JWTBearerTokenGenerator):
        """JWTs for the requested targets, or for the client's default audience."""

        def get_jwks(self) -> KeySet:
            """Return the key to sign with."""
            return keys

        def get_audiences(self, client: Client, user: Any, scope: str) -> str | list[str]:
            """Return `aud`: a string for one target, a list for several."""
            targets = requested_targets() or client.audiences[:1]
            return targets[0] if len(targets) == 1 else targets

    class Introspection(JWTIntrospectionEndpoint):
        """RFC 7662, for every client with a secret."""

        def get_jwks(self) -> KeySet:
            """Return the key to verify with."""
            return keys

        def check_permission(self, token: Any, client: Client, request: Any) -> bool:
            """Return False for a revoked token: Authlib then answers "inactive"."""
            return digest(request.form["token"]) not in revoked

    app = Flask(__name__)
    server = AuthorizationServer(app, query_client=clients.get, save_token=lambda token, request: None)
    server.register_token_generator("default", Tokens(base_url, expires_generator=lambda client, _: client.lifetime))
    server.register_client_auth_method(PrivateKeyJWT.CLIENT_AUTH_METHOD, PrivateKeyJWT([token_endpoint, base_url]))
    server.register_grant(ClientCredentials)
    server.register_endpoint(Introspection(base_url))

    @app.post(config["token_path"])
    def token() -> Response:
        return server.create_token_response()

    @app.post("/introspect")
    def introspect() -> Response:
        # Authlib answers None instead of "inactive" if the token is no JWT.
        return server.create_endpoint_response("introspection") or jsonify(active=False)

    @app.get("/.well-known/jwks.json")
    def jwks() -> Response:
        return jsonify(keys.as_dict(private=False))

    @app.post("/_revoke")
    def revoke() -> Response:
        revoked.add(digest(request.get_json()["token"]))
        return jsonify({})

    return MintCounter(app, config["token_path"])


def digest(token: str) -> str:
    """Return the SHA-256 of a token. The revocation list holds digests only."""
    return hashlib.sha256(token.encode()).hexdigest()


if __name__ == "__main__":
    run(build)
