"""m2m-auth on httpx2."""

from __future__ import annotations

import httpx2

from m2m_auth.httpx2 import M2MAuth

from . import SCOPE, Client, drive

TITLE = "m2m-auth"
LIBRARY, IMPORTS, PERSISTS = "httpx2", "m2m_auth.httpx2", True


def connect(server: str, folder: str | None) -> Client:
    cache = f"disk:{folder}" if folder else None
    auth = M2MAuth(f"{server}/oauth/token", "client", "secret", scope=SCOPE, cache=cache)
    client = httpx2.Client(auth=auth)
    return Client(drive(auth), lambda: client.get(f"{server}/api/x").status_code, auth)
