"""The README's guarantees on real servers: Authlib (JWTs) and django-oauth-toolkit (opaque tokens)."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from callers import Caller, clients
from real_servers import Api, AuthorizationServer

from m2m_auth import TokenRequestRejected
from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.testing import FakeClock


def attached(caller: Caller, server: AuthorizationServer, client: str = "client", **options: Any) -> Any:
    """An M2MAuth for one of the registered clients, on the caller's client."""
    options.setdefault("cache", MemoryTokenCache())
    auth = caller.front_door.M2MAuth(server.token_endpoint, client, "secret", **options)
    caller.attach(auth)
    return auth


def test_fifty_calls_cost_one_mint(caller: Caller, real_server: AuthorizationServer, protected_api: Api) -> None:
    """The first call mints, the other 49 do not, and each reaches the API with a token that it accepts."""
    attached(caller, real_server)
    assert caller.get(protected_api.base_url + "/hello").status == 200
    assert real_server.mints() == 1
    assert {caller.get(protected_api.base_url + "/hello").status for _ in range(49)} == {200}
    assert (real_server.token_requests(), protected_api.answers("/hello", 200), protected_api.tokens()) == (1, 50, 1)


def test_a_new_auth_for_every_call_still_mints_once(
    caller: Caller, real_server: AuthorizationServer, protected_api: Api
) -> None:
    """auth= per request, each with an M2MAuth of its own: equal ones share one token."""
    cache = MemoryTokenCache()  # this test's own world
    for _ in range(20):
        auth = caller.front_door.M2MAuth(real_server.token_endpoint, "client", "secret", cache=cache)
        assert caller.get(protected_api.base_url + "/hello", auth=auth).status == 200
    assert (real_server.mints(), protected_api.tokens()) == (1, 1)


@clients("requests", "httpx2-trio")
def test_an_expired_token_is_replaced_before_use(
    caller: Caller, real_server: AuthorizationServer, protected_api: Api
) -> None:
    """With 2 s tokens, calls over 3 s: no call is refused, and mints follow lifetimes, not calls."""
    attached(caller, real_server, "brief")
    end = time.monotonic() + 3
    calls = 0
    while time.monotonic() < end:
        assert caller.get(protected_api.base_url + "/hello").status == 200
        calls += 1
        time.sleep(0.02)
    assert protected_api.answers("/hello", 401) == 0
    assert 2 <= real_server.mints() <= 6 < calls


@clients("requests", "httpx2-trio")
def test_a_token_that_died_unused_is_replaced(
    caller: Caller, real_server: AuthorizationServer, protected_api: Api
) -> None:
    """A token that is not used is not renewed; after its end the next call mints, without trying the dead token."""
    attached(caller, real_server, "brief")
    caller.get(protected_api.base_url + "/hello")
    time.sleep(2.2)
    assert real_server.mints() == 1
    assert caller.get(protected_api.base_url + "/hello").status == 200
    assert (real_server.mints(), protected_api.answers("/hello", 401)) == (2, 0)


def test_a_rejected_token_costs_one_mint_and_one_replay(
    caller: Caller, real_server: AuthorizationServer, protected_api: Api
) -> None:
    """The API refuses a token that the server finds good: the caller sees 200, and its body arrived."""
    clock = FakeClock(wall=time.time())
    auth = attached(caller, real_server, clock=clock)
    protected_api.reject(auth.source.token().value)
    clock.advance(30)  # by our clock the token is no longer young
    answer = caller.post(protected_api.base_url + "/echo", content=b"x" * 1000)
    assert (answer.status, answer.statuses) == (200, [401])
    assert b'"length":1000' in answer.body.replace(b" ", b"")
    assert (protected_api.answers("/echo", 401), protected_api.answers("/echo", 200)) == (1, 1)
    assert real_server.mints() == 2


def test_a_revoked_token_too(caller: Caller, dot_server: AuthorizationServer, dot_api: Api) -> None:
    """The same where the authorization server itself has revoked the token and the API introspects it."""
    dot_server.reset()
    dot_api.reset()
    clock = FakeClock(wall=time.time())
    auth = attached(caller, dot_server, clock=clock)
    dot_server.revoke(auth.source.token().value)
    clock.advance(30)
    answer = caller.get(dot_api.base_url + "/hello")
    assert (answer.status, answer.statuses) == (200, [401])
    assert dot_server.mints() == 2


def test_a_decorator_that_says_403(caller: Caller, dot_server: AuthorizationServer) -> None:
    """django-oauth-toolkit's decorator answers a bad token with 403: is_rejection= makes that a reason to renew."""
    dot_server.reset()
    clock = FakeClock(wall=time.time())
    auth = attached(caller, dot_server, clock=clock, is_rejection=lambda status, headers: status in (401, 403))
    url = dot_server.base_url + "/api/protected"
    assert caller.get(url).status == 200
    dot_server.revoke(auth.source.token().value)
    clock.advance(30)
    answer = caller.get(url)
    assert (answer.status, answer.statuses) == (200, [403])
    assert dot_server.mints() == 2


@pytest.mark.parametrize("path", ["/forbidden", "/insufficient"])
def test_a_403_goes_to_the_caller(
    caller: Caller, real_server: AuthorizationServer, protected_api: Api, path: str
) -> None:
    """A 403 does not refuse the token: no mint, no replay."""
    clock = FakeClock(wall=time.time())
    auth = attached(caller, real_server, clock=clock)
    auth.source.token()
    clock.advance(30)
    assert [caller.get(protected_api.base_url + path).status for _ in range(3)] == [403] * 3
    assert (real_server.mints(), protected_api.answers(path, 403)) == (1, 3)


def test_threads_share_one_mint(caller: Caller, real_server: AuthorizationServer, protected_api: Api) -> None:
    """Eight threads start cold on one client: one mint, eight good answers."""
    attached(caller, real_server)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: caller.get(protected_api.base_url + "/hello").status, range(8)))
    assert answers == [200] * 8
    assert real_server.mints() == 1


def test_a_wrong_secret_reaches_no_api(caller: Caller, real_server: AuthorizationServer, protected_api: Api) -> None:
    """invalid_client is raised with its code and remembered; no call is sent."""
    caller.attach(caller.front_door.M2MAuth(real_server.token_endpoint, "client", "wrong", cache=MemoryTokenCache()))
    for _ in range(5):
        with pytest.raises(TokenRequestRejected, match="401 invalid_client") as caught:
            caller.get(protected_api.base_url + "/hello")
        assert isinstance(caught.value, caller.error)
    assert (real_server.token_requests(), protected_api.stats()["answers"]) == (1, {})
