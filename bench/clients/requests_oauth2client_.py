"""requests-oauth2client: an AuthBase with a memory of its own."""

from __future__ import annotations

import requests
from requests_oauth2client import OAuth2Client, OAuth2ClientCredentialsAuth

from . import SCOPE, Client

TITLE = "requests-oauth2client"
LIBRARY, IMPORTS, PERSISTS = "requests", "requests_oauth2client", False


def connect(server: str, folder: str | None) -> Client:
    client = OAuth2Client(f"{server}/oauth/token", client_id="client", client_secret="secret", testing=True)
    session = requests.Session()
    auth = session.auth = OAuth2ClientCredentialsAuth(client, scope=SCOPE)
    return Client(auth, lambda: session.get(f"{server}/api/x").status_code, auth)
