"""An hour against each odd answer of servers in the field: mints and failed calls, ours beside two peers.

The hour is simulated: a call every minute of a clock that the bench moves. The requests are real, over loopback, to
``real_servers.odd_http``, whose tokens live and die by the same clock.
"""

from __future__ import annotations

import datetime
import logging
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import requests
from measure import HERE

sys.path.append(str(Path(HERE).parent / "example_projects" / "real_servers" / "src"))

import httpx_auth._oauth2.tokens
import requests_oauth2client.tokens
import requests_oauth2client.utils
from httpx_auth import OAuth2, OAuth2ClientCredentials
from httpx_auth._oauth2.tokens import TokenMemoryCache
from real_servers.odd_answers import ANSWERS
from real_servers.odd_http import Answer, Asked, OddServer, Reply, plain_api, plain_token
from real_servers.odd_refusals import THROTTLES, WRONG_SECRET
from requests_oauth2client import OAuth2Client, OAuth2ClientCredentialsAuth

from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.requests import M2MAuth
from m2m_auth.source.token_source import engine_of
from m2m_auth.testing import FakeClock

HOUR, STEP = 3600, 60
HEADINGS = ("", "m2m-auth", "requests-oauth2client", "httpx-auth")


class OurCaller:
    """m2m-auth on requests, with the clock as its ``clock=``."""

    def __init__(self, server: OddServer, clock: FakeClock, scope: str | None, secret: Callable[[], str]) -> None:
        cache = MemoryTokenCache()  # each row begins cold
        self._session = requests.Session()
        self._auth = self._session.auth = M2MAuth(
            server.token_endpoint, "client", secret, scope=scope, cache=cache, clock=clock
        )

    def call(self, url: str) -> int:
        """The status of one call; a renewal in the background ends before the clock goes on."""
        try:
            return self._session.get(url).status_code
        finally:
            while engine_of(self._auth.source).state.flight is not None:
                time.sleep(0.0005)

    def close(self) -> None:
        """Closes the connections."""
        self._session.close()


class RequestsOauth2client:
    """requests-oauth2client, as its documentation has it. It takes a secret, not a way to fetch one."""

    def __init__(self, server: OddServer, clock: FakeClock, scope: str | None, secret: Callable[[], str]) -> None:
        client = OAuth2Client(server.token_endpoint, client_id="client", client_secret=secret(), testing=True)
        self._session = requests.Session()
        self._session.auth = OAuth2ClientCredentialsAuth(client, scope=scope)

    def call(self, url: str) -> int:
        """The status of one call."""
        return self._session.get(url).status_code

    def close(self) -> None:
        """Closes the connections."""
        self._session.close()


class HttpxAuth:
    """httpx-auth, as its documentation has it. It takes a secret, not a way to fetch one."""

    def __init__(self, server: OddServer, clock: FakeClock, scope: str | None, secret: Callable[[], str]) -> None:
        OAuth2.token_cache = TokenMemoryCache()  # it belongs to the class, so each row gets a new one
        auth = OAuth2ClientCredentials(server.token_endpoint, "client", secret(), scope=scope)
        self._client = httpx.Client(auth=auth)

    def call(self, url: str) -> int:
        """The status of one call."""
        return self._client.get(url).status_code

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()


CALLERS = (OurCaller, RequestsOauth2client, HttpxAuth)


def table() -> Iterator[tuple[str, ...]]:
    """The lines of the table; the first are its headings. A cell is token requests / failed calls."""
    logging.getLogger("m2m_auth").setLevel(logging.CRITICAL)
    yield HEADINGS
    for answer in ANSWERS:
        # RFC 9449 §7.1: an API refuses a bound token that comes as a Bearer token.
        yield (answer.name, *_hours(answer.token, _refusing if answer.fails else plain_api, answer.scope))
    for refusal in WRONG_SECRET[:7]:
        yield (f"secret rotated, {refusal.who}", *_hours(_rotating(refusal.reply), plain_api))
    for throttle in THROTTLES:
        yield (f"600 s, by {throttle.name}", *_hours(throttle.token(600), plain_api))
    for name, challenge in (("Basic", "Basic"), ("expired_token", 'Bearer error="expired_token"'), ("none", None)):
        yield (f"revoked at half time, challenge {name}", *_hours(plain_token, _revoking(challenge), lifetime=86400))
    yield ("an API that refuses every token", *_hours(plain_token, _refusing, lifetime=86400))


def _hours(token: Answer, api: Answer, scope: str | None = None, lifetime: float = HOUR) -> list[str]:
    return [_hour(caller, token, api, scope, lifetime) for caller in CALLERS]


def _hour(caller: Any, token: Answer, api: Answer, scope: str | None, lifetime: float) -> str:
    """One client's hour: its token requests, and those of its calls that got no 200."""
    clock = FakeClock()
    _set_the_peers_clock(clock)
    with OddServer(token, api, now=clock.true_time, lifetime=lifetime) as server:
        client = caller(server, clock, scope, lambda: _secret(server))
        failed = 0
        for _ in range(HOUR // STEP):
            try:
                failed += client.call(server.api_url) != 200
            except Exception:  # each library's own, whatever it is: the call did not come through
                failed += 1
            clock.advance(STEP)
        client.close()
        return f"{len(server.token_requests)} / {failed}"


def _began(server: OddServer) -> float:
    return server.token_requests[0].time if server.token_requests else server.now()


def _secret(server: OddServer) -> str:
    """What the secret manager says: it rotates at half time."""
    return "new" if server.now() - _began(server) >= HOUR / 2 else "old"


def _rotating(refuse: Callable[[], Reply]) -> Answer:
    """A token endpoint that knows only the current secret; its tokens live for ten minutes."""

    def token(server: OddServer, asked: Asked) -> Reply:
        if asked.secret != _secret(server):
            return refuse()
        return Reply({"access_token": server.mint(600), "token_type": "Bearer", "expires_in": 600})

    return token


def _revoking(challenge: str | None) -> Answer:
    """An API that ends the first token at half time."""

    def api(server: OddServer, asked: Asked) -> Reply:
        old = asked.bearer.startswith("odd-token-1-")
        if server.is_live(asked.bearer) and not (old and server.now() - _began(server) >= HOUR / 2):
            return Reply({})
        return Reply({}, 401, {"WWW-Authenticate": challenge} if challenge else {})

    return api


def _refusing(server: OddServer, asked: Asked) -> Reply:
    return Reply({}, 401, {"WWW-Authenticate": 'Bearer error="invalid_token"'})


def _set_the_peers_clock(clock: FakeClock) -> None:
    """The peers read ``datetime.now()``: the name in their modules becomes a class that reads the bench's clock."""

    class Clocked(datetime.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Clocked:
            return cls.fromtimestamp(clock.wall(), tz)

    for module in (requests_oauth2client.tokens, requests_oauth2client.utils):
        module.datetime = Clocked  # type: ignore[attr-defined,misc,assignment]
    httpx_auth._oauth2.tokens.datetime = SimpleNamespace(  # type: ignore[attr-defined,assignment]
        datetime=Clocked, timezone=datetime.timezone, timedelta=datetime.timedelta
    )
