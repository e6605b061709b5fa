"""msal: gives a token, the caller makes the header. On disk: msal-extensions' file, in plain text."""

from __future__ import annotations

from typing import Any

import msal
import requests

from . import SCOPE, Client
from .loopback import HOST, session_to

TITLE = "msal"
LIBRARY, IMPORTS, PERSISTS = "requests", "msal", True


def connect(server: str, folder: str | None) -> Client:
    cache = None
    if folder:
        from msal_extensions import FilePersistence, PersistedTokenCache

        cache = PersistedTokenCache(FilePersistence(f"{folder}/msal.json"))
    app = msal.ConfidentialClientApplication(
        "client",
        client_credential="secret",
        authority=f"https://{HOST}/tenant",
        instance_discovery=False,
        http_client=session_to(server),
        token_cache=cache,
    )
    scopes = [SCOPE]
    session = requests.Session()

    def attach(request: Any) -> Any:
        request.headers["Authorization"] = f"Bearer {app.acquire_token_for_client(scopes)['access_token']}"
        return request

    session.auth = attach
    return Client(attach, lambda: session.get(f"{server}/api/x").status_code, attach)
