"""A hard-coded header on httpx2: what everything is compared with."""

from __future__ import annotations

from collections.abc import Generator

import httpx2

from . import Client, drive

LIBRARY, IMPORTS, PERSISTS = "httpx2", "httpx2", False


class HardCoded(httpx2.Auth):
    def __init__(self, value: str) -> None:
        self.value = value

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        request.headers["Authorization"] = self.value
        yield request


def connect(server: str, folder: str | None) -> Client:
    auth = HardCoded("Bearer hard-coded-token-hard-coded-token-hard-cod")
    client = httpx2.Client(auth=auth)
    return Client(drive(auth), lambda: client.get(f"{server}/api/x").status_code, auth)
