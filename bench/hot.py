"""Attaching a held token, against a hard-coded header."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from clients import HARD, OURS, Client
from measure import API, Row, batch, prepared, ratio
from server import Server

GOAL = {"requests": 2.0, "httpx": 1.15, "httpx2": 1.15}
ROUNDS = 61


def rows(server: Server) -> Iterator[Row]:
    for name in OURS:
        ours = import_module(f"clients.{name}")
        hard = import_module(f"clients.{HARD[ours.LIBRARY]}")
        mine, theirs = minted(ours, server), hard.connect(server.url, None)
        requests = prepared(ours.LIBRARY, 1000)
        same = requests[:1] * 1000
        what = "auth(prepared)" if ours.LIBRARY == "requests" else "the auth flow alone"
        value = ratio(batch(mine.attach, same), batch(theirs.attach, same), ROUNDS)
        yield Row(f"{ours.LIBRARY}: {what}", value, "x", GOAL[ours.LIBRARY])
        value = ratio(batch(mine.attach, requests), batch(theirs.attach, requests), ROUNDS)
        yield Row("  the same on 1,000 different requests", value)
        whole = _whole_requests if ours.LIBRARY == "requests" else _whole_httpx
        value = ratio(whole(ours.LIBRARY, mine.auth), whole(ours.LIBRARY, theirs.auth), ROUNDS)
        goal = None if ours.LIBRARY == "requests" else GOAL[ours.LIBRARY]
        yield Row(f"{ours.LIBRARY}: a whole get(), answered in memory", value, "x", goal)


def minted(ours: Any, server: Server) -> Client:
    """M2MAuth that holds a token. Equal sources share their state; this one has seen only the bench's origin."""
    ours.connect(server.url, None).call()
    client: Client = ours.connect(server.url, None)
    return client


def _timed(get: Callable[[], Any], times: int = 30) -> Callable[[], float]:
    def seconds() -> float:
        begin = time.perf_counter()
        for _ in range(times):
            get()
        return time.perf_counter() - begin

    return seconds


def _whole_httpx(library: str, auth: Any) -> Callable[[], float]:
    module = import_module(library)
    transport = module.MockTransport(lambda _: module.Response(200, text="ok"))
    client = module.Client(transport=transport, auth=auth)
    return _timed(lambda: client.get(API))


def _whole_requests(library: str, auth: Any) -> Callable[[], float]:
    module = import_module(library)

    class InMemory(module.adapters.BaseAdapter):  # type: ignore[misc, name-defined]
        def send(self, request: Any, **kwargs: Any) -> Any:
            response = module.Response()
            response.status_code, response.request, response.url = 200, request, request.url
            response._content, response.connection = b"ok", self
            return response

        def close(self) -> None:
            pass

    session = module.Session()
    session.trust_env = False
    session.mount("https://", InMemory())
    session.auth = auth
    return _timed(lambda: session.get(API))
