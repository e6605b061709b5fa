"""m2m-auth on httpx."""

from __future__ import annotations

import httpx

from m2m_auth.httpx import M2MAuth

from . import SCOPE, Client, drive

TITLE = "m2m-auth"
LIBRARY, IMPORTS, PERSISTS = "httpx", "m2m_auth.httpx", True


def connect(server: str, folder: str | None) -> Client:
    cache = f"disk:{folder}" if folder else None
    auth = M2MAuth(f"{server}/oauth/token", "client", "secret", scope=SCOPE, cache=cache)
    client = httpx.Client(auth=auth)
    return Client(drive(auth), lambda: client.get(f"{server}/api/x").status_code, auth)
