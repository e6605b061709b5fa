"""A hard-coded header on requests: what everything is compared with."""

from __future__ import annotations

import requests
from requests.auth import AuthBase

from . import Client

LIBRARY, IMPORTS, PERSISTS = "requests", "requests", False


class HardCoded(AuthBase):
    def __init__(self, value: str) -> None:
        self.value = value

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self.value
        return request


def connect(server: str, folder: str | None) -> Client:
    session = requests.Session()
    auth = session.auth = HardCoded("Bearer hard-coded-token-hard-coded-token-hard-cod")
    return Client(auth, lambda: session.get(f"{server}/api/x").status_code, auth)
