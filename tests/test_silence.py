"""No token, secret, key or assertion shows in reprs, logs, errors, tracebacks, events, warnings or pickles."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import canaries
import pytest
import requests
from canaries import SECRET, TOKEN, Needles, recorded, shown_by, shown_by_error, shown_by_frame
from front_doors import INSTALLED

from m2m_auth import RenewalPolicy, TokenSource, TokenUnavailable
from m2m_auth.caches.disk.disk_token_cache import DiskTokenCache
from m2m_auth.http.transports import as_transport
from m2m_auth.source.registry import forget_everything
from m2m_auth.source.token_source import engine_of
from m2m_auth.testing import FakeAuthorizationServer, FakeClock, FaultyCache

pytestmark = pytest.mark.loopback

CALLERS = [*INSTALLED, *(f"{name}-async" for name in INSTALLED if name != "requests"), "source"]
POLICY = RenewalPolicy(mint_deadline=0.3, lease=1.0, max_wait=2.0)


@pytest.fixture
def needles() -> Needles:
    """The texts that must not show."""
    return Needles(SECRET, TOKEN)


@pytest.fixture
def server() -> Iterator[FakeAuthorizationServer]:
    """A server that mints only the canary token, for one client with the canary secret."""
    forget_everything()
    with FakeAuthorizationServer(clients={"client": SECRET}) as server:
        server.extra_response["access_token"] = TOKEN
        server.accept_tokens = "all"
        yield server


def get(caller: str, source: TokenSource, url: str) -> object:
    """One API call through the front door, or only a token; returns the answer."""
    library, _, is_async = caller.partition("-")
    if library == "source":
        return source.token()
    auth = importlib.import_module(f"m2m_auth.{library}").M2MAuth.from_source(source)
    if library == "requests":
        return requests.get(url, auth=auth, timeout=10)
    http: Any = importlib.import_module(library)
    if not is_async:
        with http.Client(auth=auth) as client:
            return client.get(url)

    async def main() -> object:
        async with http.AsyncClient(auth=auth) as client:
            return await client.get(url)

    return anyio.run(main)


def source_of(server: FakeAuthorizationServer, **options: Any) -> TokenSource:
    """A source with the canary secret."""
    options = {"policy": POLICY, "client_secret": SECRET, **options}
    return TokenSource(server.token_endpoint, "client", **options)


# Faults of the token endpoint. The answers hold the secret and the token wherever they can.
Spoil = Callable[[FakeAuthorizationServer], None]
ECHO = f"you sent {SECRET} for {TOKEN}"
FAILURES: dict[str, Spoil] = {
    "wrong secret": lambda server: server.clients.update(client="another"),
    "invalid_client": lambda server: server.fail("invalid_client"),
    "oauth error": lambda server: server.fail("oauth_error", error="invalid_scope", description="no such scope"),
    "500 with an echo": lambda server: server.fail("500", body=ECHO),
    "429": lambda server: server.fail("429", retry_after=5),
    "empty 403": lambda server: server.fail("empty_403"),
    "redirect": lambda server: server.fail("redirect", location="https://elsewhere.example/"),
    "hang": lambda server: server.fail("hang"),
    "slow drip": lambda server: server.fail("slow_drip", interval=0.05),
    "reset": lambda server: server.fail("reset"),
    "truncated token": lambda server: server.fail("truncated"),
    "200 with an echo": lambda server: server.fail("500", status=200, body=ECHO),
    "not JSON": lambda server: server.fail("not_json"),
    "another token type": lambda server: server.extra_response.update(token_type=f"mac {TOKEN}"[:20]),
    "control characters": lambda server: server.extra_response.update(access_token=f"{TOKEN}\r\nX: y"),
    "token in a list": lambda server: server.extra_response.update(access_token=[TOKEN]),
    "refused connection": lambda server: server.stop(),
}
OF_THE_TRANSPORT = {"redirect", "hang", "slow drip", "reset", "truncated token", "refused connection"}
"""The failures that each HTTP library reports in its own way. The others are answers, judged in one place for all."""


def failing_calls() -> Iterator[tuple[str, str, str]]:
    """The caller, the client authentication and the failure of each case, where the code that runs differs."""
    for mode in FAILURES:
        callers = INSTALLED if mode in OF_THE_TRANSPORT else ["requests"]
        yield from ((caller, "client_secret_basic", mode) for caller in callers)
    for mode in ("wrong secret", "hang"):
        yield from ((caller, "client_secret_basic", mode) for caller in CALLERS if caller not in INSTALLED)
        yield from ((caller, "client_secret_post", mode) for caller in INSTALLED)


@pytest.mark.parametrize(("caller", "method", "mode"), list(failing_calls()))
def test_errors(server: FakeAuthorizationServer, needles: Needles, caller: str, method: str, mode: str) -> None:
    """No secret in an error that reaches a caller: its chain, its attributes, each local of its tracebacks."""
    url = server.base_url + "/api/things"
    FAILURES[mode](server)
    with recorded() as record:
        source = source_of(server, client_authentication=method, on_event=record.on_event)
        with pytest.raises(TokenUnavailable) as caught:
            get(caller, source, url)
        record.shown += shown_by(source.status())
        flight = engine_of(source).state.flight
        if flight is not None:  # the caller gave up before the flight ended
            server.stop()
            flight.wait(20)
    shown = [*record.shown, *shown_by_error(caught.value, __file__)]
    assert [text for text in shown if needles.found_in(text)] == []
    assert "m2m_auth" in record.loggers
    assert not server.api_calls


@pytest.mark.parametrize("field", ["expires_in", "expires_at", "scope"])
def test_a_token_in_another_field_is_used_in_silence(
    server: FakeAuthorizationServer, needles: Needles, field: str
) -> None:
    """A confused server repeats the token where its lifetime belongs: the warning about that does not."""
    server.extra_response.update({"expires_in": None, field: TOKEN})
    with recorded() as record:
        source = source_of(server, on_event=record.on_event)
        token = source.token()
        record.shown += [*shown_by(source.status()), repr(token)]
    assert [text for text in record.shown if needles.found_in(text)] == []
    assert token.expires_at - token.issued_at == 300.0


@pytest.mark.parametrize("caller", CALLERS)
def test_a_server_that_echoes_the_secret(server: FakeAuthorizationServer, needles: Needles, caller: str) -> None:
    """The error shows the server's words without the secret in them."""
    server.fail("oauth_error", error="invalid_client", description=f"you sent {SECRET}, and that is wrong", status=401)
    with recorded() as record, pytest.raises(TokenUnavailable) as caught:
        get(caller, source_of(server, on_event=record.on_event), server.base_url + "/api/things")
    shown = [*record.shown, *shown_by_error(caught.value, __file__)]
    assert "and that is wrong" in str(caught.value)
    assert [text for text in shown if needles.found_in(text)] == []


@pytest.mark.parametrize("caller", CALLERS)
def test_success_replay_and_cache_faults(
    server: FakeAuthorizationServer, needles: Needles, caller: str, tmp_path: Path
) -> None:
    """A mint, calls, a 401 with its replay, a renewal and a failing cache leave no secret in any log."""
    clock, cache = FakeClock(), FaultyCache(DiskTokenCache(tmp_path / "cache"))
    url = server.base_url + "/api/things"
    with recorded() as record:
        source = source_of(server, on_event=record.on_event, cache=cache, clock=clock)
        answer = get(caller, source, url)
        clock.advance(100)
        second = server.extra_response["access_token"] = TOKEN[::-1]
        needles.add(second)
        server.accept_tokens = "none"
        get(caller, source, url)
        cache.lie = "garbage"
        clock.advance(3000)
        source.renew()
        cache.lie, cache.down = None, True
        clock.advance(3000)
        source.token()
        record.shown += [*shown_by(source.status()), *shown_by(source.token()), *shown_by(cache)]
    assert caller == "source" or server.api_calls[0].token == TOKEN
    assert caller == "source" or repr(answer) == "<Response [200]>" or repr(answer) == "<Response [200 OK]>"
    assert [text for text in record.shown if needles.found_in(text)] == []
    source.close()


@pytest.mark.parametrize("caller", [caller for caller in CALLERS if caller != "source"])
def test_an_api_that_is_down(server: FakeAuthorizationServer, needles: Needles, caller: str) -> None:
    """The library's error for an API call holds the request with its header; frames of m2m_auth show no token."""
    with FakeAuthorizationServer() as api:
        url = api.base_url + "/api/things"
    with pytest.raises(Exception, match=r".") as caught:
        get(caller, source_of(server), url)
    texts = [str(caught.value), repr(caught.value), repr(getattr(caught.value, "request", None))]
    for frame in canaries.frames(caught.value, __file__):
        if frame.f_globals.get("__name__", "").startswith("m2m_auth"):
            texts += shown_by_frame(frame)
    assert [text for text in texts if needles.found_in(text)] == []


@pytest.mark.parametrize("library", INSTALLED)
def test_stacks_during_a_token_request(server: FakeAuthorizationServer, needles: Needles, library: str) -> None:
    """During a token request, a profiler that prints the locals of m2m_auth's frames sees no secret."""
    transport = as_transport(None, library)
    server.fail("hang")
    source = source_of(server, transport=transport, policy=RenewalPolicy(max_wait=0.2, mint_deadline=5, lease=6))
    with pytest.raises(TokenUnavailable):
        source.token()
    running = list(canaries.stacks())
    texts = [text for frame in running for text in shown_by_frame(frame, deep=False)]
    server.recover()
    assert "_exchange" in {frame.f_code.co_name for frame in running}
    assert [text for text in texts if needles.found_in(text)] == []


@pytest.mark.parametrize("broken", ["raises", "raises its secret as the exception", "blank"])
def test_secret_callables(server: FakeAuthorizationServer, needles: Needles, broken: str) -> None:
    """The exception of a secret manager may hold anything: only its type is shown, and it is not chained."""

    def fetch() -> str:
        if broken == "blank":
            return f" {SECRET} "
        raise RuntimeError(SECRET)

    with recorded() as record, pytest.raises(TokenUnavailable) as caught:
        source_of(server, client_secret=fetch, on_event=record.on_event).token()
    shown = [*record.shown, *shown_by_error(caught.value, __file__)]
    assert [text for text in shown if needles.found_in(text)] == []
