"""azure-identity: msal inside; gives a token, the caller makes the header."""

from __future__ import annotations

import os
from typing import Any

import requests
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import ClientSecretCredential, TokenCachePersistenceOptions

from . import SCOPE, Client
from .loopback import HOST, session_to

TITLE = "azure-identity"
LIBRARY, IMPORTS, PERSISTS = "requests", "azure.identity", True


def connect(server: str, folder: str | None) -> Client:
    options = {}
    if folder:
        os.environ["HOME"] = folder  # the only way to choose the place
        options["cache_persistence_options"] = TokenCachePersistenceOptions(allow_unencrypted_storage=True)
    credential = ClientSecretCredential(
        "tenant",
        "client",
        "secret",
        authority=f"https://{HOST}",
        disable_instance_discovery=True,
        transport=RequestsTransport(session=session_to(server), session_owner=False),
        **options,
    )
    session = requests.Session()

    def attach(request: Any) -> Any:
        request.headers["Authorization"] = f"Bearer {credential.get_token(SCOPE).token}"
        return request

    session.auth = attach
    return Client(attach, lambda: session.get(f"{server}/api/x").status_code, attach)
