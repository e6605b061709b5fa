"""singleflight-auth on httpx: mints after a 401, with the user's own mint and memory; knows no lifetime."""

from __future__ import annotations

import httpx
from singleflight_auth import SingleFlightAuth

from . import SCOPE, Client, drive

TITLE = "singleflight-auth"
LIBRARY, IMPORTS, PERSISTS = "httpx", "singleflight_auth.httpx_auth", False


def connect(server: str, folder: str | None) -> Client:
    held: dict[str, str] = {}

    def mint() -> str:
        form = {"grant_type": "client_credentials", "scope": SCOPE}
        answer = httpx.post(f"{server}/oauth/token", data=form, auth=("client", "secret"), timeout=10)
        answer.raise_for_status()
        token = held["token"] = answer.json()["access_token"]
        return token

    auth = SingleFlightAuth(lambda: held.get("token", ""), mint)
    client = httpx.Client(auth=auth)
    return Client(drive(auth), lambda: client.get(f"{server}/api/x").status_code, auth)
