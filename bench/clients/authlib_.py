"""Authlib on requests; it renews what it has, so it begins with a token that has ended."""

from __future__ import annotations

from authlib.integrations.requests_client import OAuth2Session

from . import SCOPE, Client

TITLE = "authlib"
LIBRARY, IMPORTS, PERSISTS = "requests", "authlib.integrations.requests_client", False


def connect(server: str, folder: str | None) -> Client:
    ended = {"access_token": "ended", "token_type": "Bearer", "expires_at": 1}
    session = OAuth2Session(
        "client",
        "secret",
        scope=SCOPE,
        token_endpoint=f"{server}/oauth/token",
        grant_type="client_credentials",
        token=ended,
    )
    return Client(session.token_auth, lambda: session.get(f"{server}/api/x").status_code, session.token_auth)
