"""google-auth: a service account; its signed assertion is taken by the server, which does not verify it."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth.transport.requests import AuthorizedSession, Request
from google.oauth2 import service_account

from . import SCOPE, Client

TITLE = "google-auth"
LIBRARY, IMPORTS, PERSISTS = "requests", "google.auth.transport.requests", False


def connect(server: str, folder: str | None) -> Client:
    pem = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    credentials = service_account.Credentials.from_service_account_info(
        {"client_email": "client", "private_key": pem.decode(), "token_uri": f"{server}/jwt-bearer/token"},
        scopes=[SCOPE],
    )
    session, request_token = AuthorizedSession(credentials), Request()

    def attach(request: Any) -> Any:
        credentials.before_request(request_token, "GET", request.url, request.headers)
        return request

    return Client(attach, lambda: session.get(f"{server}/api/x").status_code)
