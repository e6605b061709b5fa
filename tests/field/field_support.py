"""One call of each front door, and simulated hours of them, against the odd servers."""

from __future__ import annotations

import importlib
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from real_servers.odd_http import Answer, OddServer, plain_api, plain_token

from m2m_auth import TokenUnavailable
from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.source.token_source import engine_of
from m2m_auth.testing import FakeClock

NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients of an API without TLS: reading the usual certificates takes httpx longer than all of a test."""


def each_row(rows: Iterable[Any], named: Callable[[Any], str], both: Callable[[Any], bool]) -> pytest.MarkDecorator:
    """Parametrizes ``door`` and ``row``: every row with requests, and with httpx, too, what its own code reads.

    The rest of an answer is read by one code, whatever the library.
    """
    pairs = [(name, row) for row in rows for name in (("requests", "httpx") if both(row) else ("requests",))]
    given = [pytest.param(name, row, id=f"{name}-{named(row)}") for name, row in pairs]
    return pytest.mark.parametrize(("door", "row"), given, indirect=["door"])


class Door:
    """A client of requests or httpx with redirects on, and the front door for it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.library = importlib.import_module(name)
        self.M2MAuth: Any = importlib.import_module(f"m2m_auth.{name}").M2MAuth
        if name == "requests":
            self.client: Any = self.library.Session()
            self.client.trust_env = False
            self.error: type[Exception] = self.library.RequestException
        else:
            self.client = self.library.Client(follow_redirects=True, trust_env=False, timeout=20, verify=NO_AUTHORITIES)
            self.error = self.library.HTTPError

    def auth(self, server: OddServer, clock: FakeClock | None = None, **options: Any) -> Any:
        """An M2MAuth for the odd server, with a cache of its own unless one is given."""
        options = {"cache": MemoryTokenCache(), "clock": clock, "client_secret": "secret", **options}
        return self.M2MAuth(server.token_endpoint, options.pop("client_id", "client"), **options)

    def get(self, url: str, auth: Any, **options: Any) -> Any:
        """The response to a GET."""
        return self.client.get(url, auth=auth, **options)


def outcome(door: Door, url: str, auth: Any) -> int | str:
    """The status of a call, or the ``cause_code`` of the error that it raised; no flight runs afterwards."""
    try:
        return int(door.get(url, auth).status_code)
    except TokenUnavailable as error:
        return error.cause_code
    finally:
        settle(auth)


@dataclass
class Tally:
    """What a simulated time of calls came to."""

    statuses: list[int] = field(default_factory=list)
    errors: list[TokenUnavailable] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """The calls that did not get a 200."""
        return len(self.errors) + sum(status != 200 for status in self.statuses)


@contextmanager
def closing_door(name: str) -> Iterator[Door]:
    """A door whose client is closed in the end."""
    door = Door(name)
    try:
        yield door
    finally:
        door.client.close()


def settle(auth: Any) -> None:
    """Wait until no flight runs, so that a renewal in the background ends in the second of the clock when it began."""
    state, end = engine_of(auth.source).state, time.monotonic() + 10
    while (flight := state.flight) is not None:
        assert time.monotonic() < end, "the flight never landed"
        flight.wait(10)


def call_for(
    seconds: float, door: Door, auth: Any, server: OddServer, clock: FakeClock, *, step: float = 30.0, url: str = ""
) -> Tally:
    """A call every ``step`` seconds of the fake clock, for so many seconds."""
    tally = Tally()
    for _ in range(int(seconds / step)):
        try:
            tally.statuses.append(door.get(url or server.api_url, auth).status_code)
        except TokenUnavailable as error:
            tally.errors.append(error)
        settle(auth)
        clock.advance(step)
    return tally


@contextmanager
def odd_server(
    token: Answer = plain_token, api: Answer = plain_api, clock: FakeClock | None = None, **options: Any
) -> Iterator[OddServer]:
    """A running odd server on the fake clock."""
    now = time.time if clock is None else clock.true_time
    with OddServer(token, api, now=now, **options) as server:
        yield server
