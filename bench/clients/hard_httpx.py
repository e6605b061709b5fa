"""A hard-coded header on httpx: what everything is compared with."""

from __future__ import annotations

from collections.abc import Generator

import httpx

from . import Client, drive

LIBRARY, IMPORTS, PERSISTS = "httpx", "httpx", False


class HardCoded(httpx.Auth):
    def __init__(self, value: str) -> None:
        self.value = value

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = self.value
        yield request


def connect(server: str, folder: str | None) -> Client:
    auth = HardCoded("Bearer hard-coded-token-hard-coded-token-hard-cod")
    client = httpx.Client(auth=auth)
    return Client(drive(auth), lambda: client.get(f"{server}/api/x").status_code, auth)
