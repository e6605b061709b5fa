"""m2m-auth on requests."""

from __future__ import annotations

import requests

from m2m_auth.requests import M2MAuth

from . import SCOPE, Client

TITLE = "m2m-auth"
LIBRARY, IMPORTS, PERSISTS = "requests", "m2m_auth.requests", True


def connect(server: str, folder: str | None) -> Client:
    cache = f"disk:{folder}" if folder else None
    session = requests.Session()
    auth = session.auth = M2MAuth(f"{server}/oauth/token", "client", "secret", scope=SCOPE, cache=cache)
    return Client(auth, lambda: session.get(f"{server}/api/x").status_code, auth)
