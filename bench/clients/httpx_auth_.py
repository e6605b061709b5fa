"""httpx-auth; its JSON file holds tokens in plain text."""

from __future__ import annotations

import httpx
from httpx_auth import JsonTokenFileCache, OAuth2, OAuth2ClientCredentials
from httpx_auth._oauth2.tokens import TokenMemoryCache

from . import SCOPE, Client, drive

TITLE = "httpx-auth"
LIBRARY, IMPORTS, PERSISTS = "httpx", "httpx_auth", True


def connect(server: str, folder: str | None) -> Client:
    # The cache belongs to the class, so to the whole process.
    OAuth2.token_cache = JsonTokenFileCache(f"{folder}/tokens.json") if folder else TokenMemoryCache()
    auth = OAuth2ClientCredentials(f"{server}/oauth/token", "client", "secret", scope=SCOPE)
    client = httpx.Client(auth=auth)
    return Client(drive(auth), lambda: client.get(f"{server}/api/x").status_code, auth)
