"""APIs that refuse tokens in ways of their own: what one call costs, and what a day of refusals costs."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from field_support import Door, call_for, odd_server, outcome
from real_servers.odd_http import Asked, OddServer, Reply

from m2m_auth import RenewalPolicy
from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.testing import FakeClock

pytestmark = pytest.mark.loopback

REQUESTS = pytest.mark.parametrize("door", ["requests"], indirect=True)

HOUR, DAY = 3600.0, 86400.0

REJECTIONS = {
    "no challenge at all": None,
    "DRF, BasicAuthentication first (encode/django-rest-framework#4680)": 'Basic realm="api"',
    "DRF, TokenAuthentication": "Token",
    "DRF, simplejwt: Bearer with a realm": 'Bearer realm="api"',
    "JWT (flask-jwt, django-rest-framework-jwt)": 'JWT realm="api"',
    "OAuth (Facebook, OAuth drafts)": 'OAuth "Facebook Platform" "invalid_token" "expired"',
    "Negotiate (IIS)": "Negotiate",
    "expired_token": 'Bearer error="expired_token", error_description="The access token expired"',
    "token_expired": 'Bearer realm="api", error="token_expired"',
    "Spring Security": 'Bearer error="invalid_token", error_description="Jwt expired", error_uri="https://tools.ietf.org/html/rfc6750#section-3.1"',
    "Kong, an unquoted error": "Bearer error=invalid_token",
    "unauthorized": 'Bearer error="unauthorized"',
    "two challenges (encode/django-rest-framework#9242)": 'Basic realm="api", Bearer error="invalid_token"',
}
NO_REJECTIONS = {
    "insufficient_scope": 'Bearer error="insufficient_scope", scope="admin"',
    "invalid_request": 'Bearer error="invalid_request"',
}


def refusing(challenge: str | None) -> Callable[[OddServer, Asked], Reply]:
    """An API whose 401 has this challenge."""

    def api(server: OddServer, asked: Asked) -> Reply:
        if server.is_live(asked.bearer):
            return Reply({"ok": True})
        return Reply({"ok": False}, 401, {} if challenge is None else {"WWW-Authenticate": challenge})

    return api


def always_401(server: OddServer, asked: Asked) -> Reply:
    """An API that refuses every token."""
    return Reply({"ok": False}, 401, {"WWW-Authenticate": 'Bearer error="invalid_token"'})


# one call


@pytest.mark.parametrize(
    ("challenge", "age"),
    [
        *[pytest.param(challenge, 12 * HOUR, id=name) for name, challenge in REJECTIONS.items()],
        *[pytest.param(None, age, id=f"a token {age:g} s old") for age in (0.0, 3.0)],
    ],
)
def test_the_first_401_is_one_mint_and_one_replay(
    door: Door, clock: FakeClock, challenge: str | None, age: float
) -> None:
    """A revoked 24 h token was served for 23 h, and a young one for a minute: now the same call recovers."""
    with odd_server(api=refusing(challenge), clock=clock, lifetime=DAY) as server:
        auth = door.auth(server, clock)
        assert door.get(server.api_url, auth).status_code == 200
        clock.advance(age)
        server.revoke_all()
        response = door.get(server.api_url, auth)
    assert (response.status_code, [old.status_code for old in response.history]) == (200, [401])
    assert (server.mints, len(server.api_calls)) == (2, 3)


@pytest.mark.parametrize("challenge", NO_REJECTIONS.values(), ids=NO_REJECTIONS)
def test_a_401_that_is_about_the_request_costs_nothing(door: Door, clock: FakeClock, challenge: str) -> None:
    """RFC 6750 §3.1: a new token does not help there. Neither does it after a 403."""
    with odd_server(api=refusing(challenge), clock=clock) as server:
        auth = door.auth(server, clock)
        door.get(server.api_url, auth)
        server.revoke_all()
        statuses = [door.get(server.api_url, auth).status_code for _ in range(3)]
        server.api = lambda server, asked: Reply({"ok": False}, 403)
        statuses.append(door.get(server.api_url, auth).status_code)
    assert statuses == [401, 401, 401, 403]
    assert server.mints == 1


@REQUESTS
@pytest.mark.parametrize("pause", [2.0, 20.0], ids=lambda pause: f"{pause:g} s apart")
def test_two_deployments_that_revoke_all_tokens(door: Door, clock: FakeClock, pause: float) -> None:
    """Each deployment of the API ends all tokens, also those of a moment ago: no call of the next minute fails."""
    with odd_server(clock=clock) as server:
        auth = door.auth(server, clock)
        tally = call_for(60, door, auth, server, clock, step=1)
        server.revoke_all()
        tally.statuses += call_for(pause, door, auth, server, clock, step=1).statuses
        server.revoke_all()
        tally.statuses += call_for(60, door, auth, server, clock, step=1).statuses
    assert (tally.failed, len(tally.statuses)) == (0, 120 + int(pause))
    assert server.mints == 3


@REQUESTS
def test_a_prepared_request_sent_again_three_lifetimes_later(door: Door, clock: FakeClock) -> None:
    """Its header is of a token of three lifetimes ago, which is still ours: the 401 recovers, without a mint."""
    import requests

    with odd_server(clock=clock) as server:
        auth = door.auth(server, clock)
        prepared = door.client.prepare_request(requests.Request("GET", server.api_url, auth=auth))
        assert door.client.send(prepared).status_code == 200
        assert call_for(3 * HOUR, door, auth, server, clock, step=300).failed == 0
        mints = server.mints
        response = door.client.send(prepared)
    assert response.status_code == 200
    assert (mints >= 4, server.mints - mints) == (True, 0)


def test_the_replay_carries_the_cookies_of_the_401(door: Door, clock: FakeClock) -> None:
    """A load balancer pins the client by a cookie of its first answer (jnunemaker/httparty#312), here the 401."""

    def api(server: OddServer, asked: Asked) -> Reply:
        if server.is_live(asked.bearer) and (server.mints == 1 or "node=b" in asked.headers.get("cookie", "")):
            return Reply({"ok": True})
        return Reply({"ok": False}, 401, [("Set-Cookie", "node=b; Path=/"), ("Set-Cookie", "seen=1; Path=/")])

    with odd_server(api=api, clock=clock) as server:
        auth = door.auth(server, clock)
        door.get(server.api_url, auth)
        server.revoke_all()
        assert door.get(server.api_url, auth).status_code == 200
    assert "seen=1" in server.api_calls[-1].headers["cookie"]
    assert server.mints == 2


def login_redirect(server: OddServer, asked: Asked) -> Reply:
    """An API behind a single sign-on page: it redirects where it should say 401."""
    if asked.path.startswith("/login"):
        return Reply(b"<html>Sign in</html>")
    if server.is_live(asked.bearer):
        return Reply({"ok": True})
    return Reply(b"", 302, {"Location": f"{server.url}/login?next=/orders"})


def test_a_redirect_to_a_login_page_is_a_rejection_where_the_user_says_so(door: Door, clock: FakeClock) -> None:
    """``is_rejection`` sees the 302, in httpx as in requests, though the client follows redirects."""

    def to_login(status: int, headers: Any) -> bool:
        return status == 302 and "/login" in headers.get("Location", "")

    with odd_server(api=login_redirect, clock=clock) as server:
        auth = door.auth(server, clock, is_rejection=to_login)
        assert door.get(server.api_url, auth).json() == {"ok": True}
        server.revoke_all()
        assert door.get(server.api_url, auth).json() == {"ok": True}
    assert server.mints == 2


def marketo(server: OddServer, asked: Asked) -> Reply:
    """Marketo: 200 with code 601 (invalid) or 602 (expired)."""
    if server.is_live(asked.bearer):
        return Reply({"success": True, "result": [1]})
    return Reply({"success": False, "errors": [{"code": "602", "message": "Access token expired"}]})


def test_marketos_602_is_a_rejection_where_the_user_asks_for_the_body(door: Door, clock: FakeClock) -> None:
    """Marketo's documentation: 200 with code 601 or 602. A predicate of three arguments gets the body."""

    def is_602(status: int, headers: Any, body: bytes) -> bool:
        return status == 200 and any(code in body for code in (b'"601"', b'"602"'))

    with odd_server(api=marketo, clock=clock) as server:
        auth = door.auth(server, clock, is_rejection=is_602)
        assert door.get(server.api_url, auth).json()["success"] is True
        server.revoke_all()
        assert door.get(server.api_url, auth).json() == {"success": True, "result": [1]}
    assert (server.mints, len(server.api_calls)) == (2, 3)


@pytest.mark.parametrize("read", ["stream", "async"])
def test_the_body_can_still_be_read_after_the_predicate_has_seen_it(clock: FakeClock, read: str) -> None:
    """A streamed response, and one of an asynchronous client: the caller reads the whole body as ever."""
    import httpx

    from m2m_auth.httpx import M2MAuth

    def is_602(status: int, headers: Any, body: bytes) -> bool:
        return b'"602"' in body

    async def asynchronous(url: str, auth: Any) -> bytes:
        async with httpx.AsyncClient(auth=auth) as client, client.stream("GET", url) as response:
            return await response.aread()

    def streamed(url: str, auth: Any) -> bytes:
        with httpx.Client(auth=auth) as client, client.stream("GET", url) as response:
            return response.read()

    with odd_server(api=marketo, clock=clock) as server:
        auth = M2MAuth(
            server.token_endpoint, "client", "secret", cache=MemoryTokenCache(), clock=clock, is_rejection=is_602
        )
        for mints in (1, 2):
            body = (
                asyncio.run(asynchronous(server.api_url, auth)) if read == "async" else streamed(server.api_url, auth)
            )
            assert json.loads(body) == {"success": True, "result": [1]}
            assert server.mints == mints
            server.revoke_all()


@REQUESTS
def test_a_streamed_response_of_requests_can_still_be_read(door: Door, clock: FakeClock) -> None:
    """``stream=True`` and ``iter_content`` work after the predicate has seen the body."""
    with odd_server(api=marketo, clock=clock) as server:
        auth = door.auth(server, clock, is_rejection=lambda status, headers, body: b'"602"' in body)
        door.get(server.api_url, auth)
        server.revoke_all()
        with door.get(server.api_url, auth, stream=True) as response:
            assert json.loads(b"".join(response.iter_content(4))) == {"success": True, "result": [1]}
    assert server.mints == 2


def test_an_api_gateways_403_is_a_rejection_where_the_user_says_so(door: Door, clock: FakeClock) -> None:
    """AWS API Gateway's authorizer answers 403 to an expired token: ``is_rejection`` of two arguments."""

    def api(server: OddServer, asked: Asked) -> Reply:
        return Reply({}) if server.is_live(asked.bearer) else Reply({"message": "Forbidden"}, 403)

    with odd_server(api=api, clock=clock) as server:
        auth = door.auth(server, clock, is_rejection=lambda status, headers: status == 403)
        door.get(server.api_url, auth)
        server.revoke_all()
        assert door.get(server.api_url, auth).status_code == 200
    assert server.mints == 2


# a day


@REQUESTS
@pytest.mark.parametrize("lifetime", [HOUR, DAY], ids=lambda lifetime: f"tokens of {lifetime / HOUR:g} h")
def test_a_day_of_refusals_costs_few_mints(door: Door, clock: FakeClock, lifetime: float) -> None:
    """74 mints in six hours were counted: now fewer than 20 in a day. Then the API recovers, and so do the calls."""
    with odd_server(api=always_401, clock=clock, lifetime=lifetime) as server:
        auth = door.auth(server, clock)
        first = call_for(60, door, auth, server, clock, step=5)
        assert server.mints == 2
        day = call_for(DAY - 60, door, auth, server, clock, step=180)
        assert server.mints < 20
        assert first.failed + day.failed == len(first.statuses + day.statuses + day.errors + first.errors)
        assert {error.cause_code for error in day.errors} <= {"forced_mint_ban"}
        server.api = refusing(None)
        server.revoke_all()
        after = call_for(4 * HOUR + 360, door, auth, server, clock, step=180)
        assert (after.statuses or [0])[-1] == 200
        assert call_for(2 * HOUR, door, auth, server, clock, step=180).failed == 0
        mints = server.mints
        server.revoke_all()
        assert door.get(server.api_url, auth).status_code == 200, "a token that worked has ended the ban"
        assert server.mints == mints + 1


@REQUESTS
def test_one_good_path_does_not_make_a_bad_one_cheap(door: Door, clock: FakeClock) -> None:
    """``/health`` accepts and ``/orders`` refuses every token: a day costs no more than where all is refused."""

    def api(server: OddServer, asked: Asked) -> Reply:
        return Reply({"ok": True}) if asked.path == "/health" else always_401(server, asked)

    with odd_server(api=api, clock=clock, lifetime=DAY) as server:
        auth = door.auth(server, clock)
        outcomes: set[int | str] = set()
        for _ in range(360):
            outcomes |= {outcome(door, server.url + path, auth) for path in ("/health", "/orders")}
            clock.advance(240)
    assert outcomes <= {200, 401, "forced_mint_ban"}
    assert 2 <= server.mints < 20


@REQUESTS
def test_another_api_of_the_same_token_goes_on(door: Door, clock: FakeClock) -> None:
    """The ban is the refusing origin's: the calls of another origin get tokens, also after the first has expired."""
    with odd_server(api=always_401, clock=clock) as server, odd_server(api=server.api, clock=clock) as good:
        good.api = lambda _, asked: refusing(None)(server, asked)
        auth = door.auth(server, clock)
        refused: set[int | str] = set()
        accepted: set[int | str] = set()
        for _ in range(100):
            refused.add(outcome(door, server.api_url, auth))
            accepted.add(outcome(door, good.api_url, auth))
            clock.advance(60)
    assert refused <= {401, "forced_mint_ban"}
    assert accepted == {200}
    assert server.mints < 20


@REQUESTS
def test_a_fleet_pays_no_more_than_one_process(door: Door, clock: FakeClock) -> None:
    """Five processes with one cache, at an API that refuses every token: fewer than 20 mints a day, as for one."""
    with odd_server(api=always_401, clock=clock, lifetime=DAY) as server:
        cache = MemoryTokenCache()
        # Sources with different policies know nothing of each other but what is in the cache, as processes do.
        fleet = [
            door.auth(server, clock, cache=cache, policy=RenewalPolicy(max_wait=20 + number)) for number in range(5)
        ]
        outcomes: set[int | str] = set()
        for _ in range(144):
            outcomes |= {outcome(door, server.api_url, auth) for auth in fleet}
            clock.advance(600)
        assert outcomes <= {401, "forced_mint_ban"}
        assert 2 <= server.mints < 20
        server.api = refusing(None)
        server.revoke_all()
        for _ in range(26):
            last = [outcome(door, server.api_url, auth) for auth in fleet]
            clock.advance(600)
    assert last == [200] * 5


@REQUESTS
def test_a_node_that_refuses_every_token(door: Door, clock: FakeClock) -> None:
    """One of two nodes behind a load balancer has old keys: each replay works, and still few mints are made a day."""
    turn = itertools.count()

    def api(server: OddServer, asked: Asked) -> Reply:
        return always_401(server, asked) if next(turn) % 2 else refusing(None)(server, asked)

    with odd_server(api=api, clock=clock, lifetime=DAY) as server:
        auth = door.auth(server, clock)
        outcomes = [outcome(door, server.api_url, auth) for _ in range(480) if clock.advance(180) is None]
    assert set(outcomes) <= {200, 401, "forced_mint_ban"}
    assert outcomes.count(200) >= 200, "the good node's calls go on"
    assert server.mints < 30


@REQUESTS
def test_two_hosts_that_end_each_others_token(door: Door, clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """One live token per client (Zoom: jrchamp/moodle-mod_zoom#473, Jericho/ZoomNet#269), and no shared cache.

    Each host's mint ends the other's token. The log gives the likely reason, the event is one of its own, and six
    hours cost far fewer mints than calls.
    """
    events: list[str] = []
    with odd_server(clock=clock, one_live_token=True) as server:
        hosts = [
            door.auth(server, clock, client_id="zoom", on_event=lambda event: events.append(event.kind))
            for _ in range(2)
        ]
        with caplog.at_level(logging.WARNING, "m2m_auth"):
            for _ in range(180):
                for auth in hosts:
                    outcome(door, server.api_url, auth)
                clock.advance(120)
    assert "refused_early" in events
    said = " ".join(record.getMessage() for record in caplog.records)
    assert "another client" in said.lower()
    assert server.mints < 60
