"""singleflight-auth on requests: mints after a 401, with the user's own mint and memory; knows no lifetime."""

from __future__ import annotations

import requests
from singleflight_auth import RequestsSingleFlightAuth

from . import SCOPE, Client

TITLE = "singleflight-auth"
LIBRARY, IMPORTS, PERSISTS = "requests", "singleflight_auth.requests_auth", False


def connect(server: str, folder: str | None) -> Client:
    held: dict[str, str] = {}

    def mint() -> str:
        form = {"grant_type": "client_credentials", "scope": SCOPE}
        answer = requests.post(f"{server}/oauth/token", data=form, auth=("client", "secret"), timeout=10)
        answer.raise_for_status()
        token = held["token"] = answer.json()["access_token"]
        return token

    auth = RequestsSingleFlightAuth(lambda: held.get("token", ""), mint)
    session = requests.Session()
    session.auth = auth
    return Client(auth, lambda: session.get(f"{server}/api/x").status_code, auth)
