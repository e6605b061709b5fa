"""One process, many threads: one mint; and a problem with one key does not affect another."""

from __future__ import annotations

import contextvars
import gc
import os
import signal
import threading
import time
import weakref
from typing import Any

import httpx
import pytest
import requests
from engine_steps import at_once, eventually, land, run_python, source

import m2m_auth.httpx
import m2m_auth.requests
from m2m_auth import RenewalPolicy, TokenSource
from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.errors import TokenRequestRejected, TokenUnavailable
from m2m_auth.oauth2.client_authentication.client_secret_basic import ClientSecretBasic
from m2m_auth.oauth2.grants import ClientCredentials
from m2m_auth.oauth2.transport import HttpRequest, HttpResponse
from m2m_auth.source.registry import forget_everything
from m2m_auth.source.token_source import engine_of
from m2m_auth.testing import FakeAuthorizationServer, FakeClock


@pytest.mark.loopback
def test_64_threads_on_a_cold_source(server: FakeAuthorizationServer) -> None:
    """64 threads at the same moment: one token request, one token."""
    server.latency = 0.3
    tokens = at_once(64, source(server).token)
    assert len({token.value for token in tokens}) == 1
    assert server.token_requests == 1


@pytest.mark.loopback
def test_64_threads_on_64_sources(server: FakeAuthorizationServer) -> None:
    """The same with a new, equal source in each thread."""
    server.latency = 0.3
    tokens = at_once(64, lambda: source(server).token())
    assert len({token.value for token in tokens}) == 1
    assert server.token_requests == 1


@pytest.mark.loopback
def test_threads_at_the_moment_of_renewal(timed_server: FakeAuthorizationServer, clock: FakeClock) -> None:
    """16 threads that find the token stale, then expiring: they start one flight each time."""
    it = source(timed_server, clock=clock)
    it.token()
    for moment in (2705, 3590):
        timed_server.latency = 0.3
        clock.advance(moment)
        assert len(at_once(16, it.token)) == 16
        land(it)
    assert timed_server.token_requests == 3


@pytest.mark.loopback
def test_a_new_auth_per_request(server: FakeAuthorizationServer) -> None:
    """Code that builds a new M2MAuth of any HTTP library for every request mints once."""
    url = server.base_url + "/api/things"
    for _ in range(10):
        auth = m2m_auth.requests.M2MAuth(server.token_endpoint, "client", "secret")
        assert requests.get(url, auth=auth, timeout=10).status_code == 200
        other = m2m_auth.httpx.M2MAuth(server.token_endpoint, "client", "secret")
        assert httpx.get(url, auth=other).status_code == 200
    assert server.token_requests == 1
    assert len({call.token for call in server.api_calls}) == 1


@pytest.mark.loopback
def test_a_private_memory_cache_opts_out(server: FakeAuthorizationServer) -> None:
    """Each MemoryTokenCache() is separate; sources with the same one share its token."""
    mine, yours = MemoryTokenCache(), MemoryTokenCache()
    tokens = {source(server, cache=cache).token().value for cache in (mine, yours, None, mine)}
    assert len(tokens) == 3
    assert server.token_requests == 3


@pytest.mark.loopback
@pytest.mark.parametrize("cache", [None, "disk"])
def test_a_wrong_secret_never_shares(server: FakeAuthorizationServer, cache: str | None, tmp_path: Any) -> None:
    """A caller with another secret gets no token, though the process and the shared cache hold one."""
    url = f"disk:{tmp_path / 'cache'}" if cache else None
    right = source(server, cache=url)
    right.token()
    wrong = source(server, cache=url, client_secret="wrong")
    with pytest.raises(TokenRequestRejected) as caught:
        wrong.token()
    assert caught.value.error == "invalid_client"
    assert wrong.status().state == "none"
    assert right.token().value
    assert server.token_requests == 2


@pytest.mark.loopback
@pytest.mark.parametrize("cache", [None, "disk"])
def test_other_parameters_never_share(server: FakeAuthorizationServer, cache: str | None, tmp_path: Any) -> None:
    """Each parameter of the token request is a part of the key, in the process and in the shared cache."""
    url = f"disk:{tmp_path / 'cache'}" if cache else None
    server.clients["other"] = "secret"
    variants: list[dict[str, Any]] = [
        {},
        {"audience": "a"},
        {"audience": "b"},
        {"resource": "https://a.example"},
        {"resource": ["https://a.example", "https://b.example"]},
        {"scope": "a"},
        {"scope": "a b"},
        {"extra_parameters": {"organization": "a"}},
        {"extra_parameters": {"organization": "b"}},
        {"extra_parameters": {"tenant": "a"}},
        {"client_authentication": "client_secret_post"},
        {"client_authentication": ClientSecretBasic(encoding="raw")},
        {"grant": ClientCredentials(encoding="json")},
    ]
    tokens = {source(server, cache=url, **variant).token().value for variant in variants}
    tokens.add(TokenSource(server.token_endpoint, "other", "secret", cache=url).token().value)
    tokens.add(TokenSource(server.token_endpoint + "?tenant=x", "client", "secret", cache=url).token().value)
    assert len(tokens) == server.mints == len(variants) + 2
    forget_everything()
    again = {source(server, cache=url, **variant).token().value for variant in variants}
    assert again <= tokens if cache else not again & tokens


@pytest.mark.loopback
def test_order_and_repetition_of_scopes_do_not_matter(server: FakeAuthorizationServer) -> None:
    """Scopes are a set."""
    for scope in ("a b", "b a", ["a", "b", "a"], ("b", "a")):
        source(server, scope=scope).token()
    assert server.token_requests == 1


@pytest.mark.loopback
def test_the_registry_is_bounded(server: FakeAuthorizationServer) -> None:
    """Of 2,000 sources that came and went most states are gone; a state in use is found, however old it is."""
    live = source(server)
    value = live.token().value
    states = [weakref.ref(engine_of(source(server, audience=f"a{number}")).state) for number in range(2000)]
    gc.collect()
    alive = sum(state() is not None for state in states)
    assert 0 < alive <= 1024
    assert states[0]() is None
    again = source(server)
    assert engine_of(again).state is engine_of(live).state
    assert again.token().value == value
    assert server.token_requests == 1


@pytest.mark.loopback
def test_an_interrupted_caller_poisons_nothing(server: FakeAuthorizationServer) -> None:
    """A caller killed by a signal's exception while it waits: the flight goes on, and its token is there."""
    it = source(server)
    server.latency = 0.5

    class Killed(BaseException):
        """What the signal handler raises."""

    def kill(*_: object) -> None:
        raise Killed

    def aim() -> None:
        server.wait_for_token_requests(1)
        os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, kill)
    killer = threading.Thread(target=aim)
    try:
        killer.start()
        with pytest.raises(Killed):
            it.token()
    finally:
        killer.join()
        signal.signal(signal.SIGUSR1, before)
    assert server.is_active(it.token().value)
    assert server.token_requests == 1


@pytest.mark.loopback
def test_a_caller_that_gives_up_stops_no_flight(server: FakeAuthorizationServer) -> None:
    """With a small max_wait the caller gets an error after it; the token comes all the same, with no second request."""
    it = source(server, policy=RenewalPolicy(max_wait=0.1))
    server.latency = 0.6
    with pytest.raises(TokenUnavailable) as caught:
        it.token()
    assert caught.value.cause_code == "max_wait"
    eventually(lambda: it.status().state == "fresh")
    assert server.is_active(it.token().value)
    assert server.token_requests == 1


@pytest.mark.loopback
def test_contextvars_are_visible_in_the_transport(server: FakeAuthorizationServer) -> None:
    """Tracing goes on: the flight runs in the context of the call that started it, and does not change it."""
    trace: contextvars.ContextVar[str] = contextvars.ContextVar("trace", default="none")
    seen: list[str] = []

    def transport(request: HttpRequest) -> HttpResponse:
        seen.append(trace.get())
        trace.set("changed in the flight")
        return HttpResponse(200, {}, b'{"access_token": "t", "expires_in": 60}')

    trace.set("of the caller")
    assert source(server, transport=transport).token().value == "t"
    assert seen == ["of the caller"]
    assert trace.get() == "of the caller"


@pytest.mark.processes
def test_flights_are_daemons(server: FakeAuthorizationServer) -> None:
    """A process whose only work left is a token request that hangs ends at once."""
    server.fail("hang")
    code = """if True:
        import sys, threading, time
        from m2m_auth import TokenSource
        from m2m_auth.source.token_source import engine_of
        source = TokenSource(sys.argv[1], "client", "secret")
        threading.Thread(target=source.token, daemon=True).start()
        while engine_of(source).state.flight is None: time.sleep(0.01)
        print("done")
    """
    start = time.monotonic()
    assert run_python(code, server.token_endpoint) == "done"
    assert time.monotonic() - start < 9, "it waited for the flight's deadline"


@pytest.mark.processes
@pytest.mark.parametrize("cache", ["memory:", "disk"])
def test_a_token_at_interpreter_shutdown(server: FakeAuthorizationServer, cache: str, tmp_path: Any) -> None:
    """An atexit handler gets a token, where no thread may be started any more, and the process ends."""
    code = """if True:
        import atexit, sys
        import requests
        from m2m_auth import TokenSource
        source = TokenSource(sys.argv[1], "client", "secret", cache=sys.argv[2])
        @atexit.register
        def last_call():
            with source:
                print(source.token().expires_at > 0)
    """
    url = cache if cache == "memory:" else f"disk:{tmp_path / 'cache'}"
    assert run_python(code, server.token_endpoint, url) == "True"
    assert server.mints == 1


@pytest.mark.loopback
@pytest.mark.parametrize("wild", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_a_transport_that_raises_a_base_exception(server: FakeAuthorizationServer, wild: type[BaseException]) -> None:
    """SystemExit, gevent's Timeout and the like are a failed attempt, recorded as such: not a storm of flights."""
    calls: list[HttpRequest] = []

    def transport(request: HttpRequest) -> HttpResponse:
        calls.append(request)
        raise wild("no words of this")

    it = source(server, transport=transport, policy=RenewalPolicy(max_wait=0.5))
    with pytest.raises(TokenUnavailable) as caught:
        it.token()
    assert len(calls) == 1
    assert wild.__name__ in str(caught.value)
    assert "no words" not in str(caught.value)
