"""A hand-written mint on requests: ``requests.post``, then a header; nothing is renewed or shared."""

from __future__ import annotations

import requests

from . import SCOPE, Client
from .hard_requests import HardCoded

LIBRARY, IMPORTS, PERSISTS = "requests", "requests", False


def connect(server: str, folder: str | None) -> Client:
    def call() -> int:
        form = {"grant_type": "client_credentials", "scope": SCOPE}
        answer = requests.post(f"{server}/oauth/token", data=form, auth=("client", "secret"), timeout=10)
        answer.raise_for_status()
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return session.get(f"{server}/api/x").status_code

    return Client(HardCoded(""), call)
