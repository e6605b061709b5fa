"""``Retry-After`` on any refusal: obeyed, and shared with the client's other requests at the same endpoint."""

from __future__ import annotations

import json
from typing import Any

import pytest
from engine_support import OUTAGE, ScriptedServer, SharedMemory, answer, refusal, settle, source_on

from m2m_auth import TokenEndpointUnavailable, TokenSource, TokenUnavailable
from m2m_auth.oauth2.transport import HttpResponse
from m2m_auth.testing import FakeClock

WAIT = {"retry-after": "600"}
REFUSALS = [
    pytest.param(answer(503, {}, WAIT), id="503"),
    pytest.param(answer(403, {}, WAIT), id="403"),
    pytest.param(answer(400, {}, WAIT), id="400"),
    pytest.param(answer(400, {"error": "invalid_scope"}, WAIT), id="invalid_scope"),
    pytest.param(answer(400, {"error": "slow_down"}, WAIT), id="a code of its own"),
    pytest.param(answer(401, {"error": "invalid_client"}, WAIT), id="401"),
    pytest.param(answer(502, {}, WAIT), id="502"),
    pytest.param(answer(302, {}, WAIT), id="302"),
    pytest.param(answer(200, {"ok": False, "error": "ratelimited"}, WAIT), id="Slack"),
    pytest.param(answer(429, {}, WAIT), id="429"),
    pytest.param(answer(429, {}, {"x-rate-limit-reset": str(1_700_000_000 + 600)}), id="Okta"),
]


@pytest.fixture
def clock() -> FakeClock:
    """A fake clock."""
    return FakeClock()


def calls(clock: FakeClock, seconds: int, *sources: TokenSource) -> int:
    """A call of every source each second; how many of them failed."""
    failed = 0
    for _ in range(seconds):
        for source in sources:
            try:
                source.token()
            except TokenUnavailable:
                failed += 1
            settle(source)
        clock.advance(1.0)
    return failed


@pytest.mark.parametrize("refused", REFUSALS[:-1])
def test_an_hour_of_refusals_is_six_requests(clock: FakeClock, refused: HttpResponse) -> None:
    """Ten minutes each time: 6 requests and not 586 (kubernetes#26871: a Retry-After that a client did not obey)."""
    server = ScriptedServer()
    server.down = refused
    assert calls(clock, 3600, source_on(server, clock)) == 3600
    assert len(server.requests) == 6


@pytest.mark.parametrize("refused", REFUSALS)
@pytest.mark.parametrize("shared", [False, True])
def test_other_audiences_wait_too(clock: FakeClock, refused: HttpResponse, shared: bool) -> None:
    """The wait is the client's at this endpoint, in the process and in the shared cache."""
    server, base = ScriptedServer(), SharedMemory()
    server.down = refused
    client = f"audiences-{id(server)}-{shared}"
    sources = [
        source_on(server, clock, client_id=client, audience=f"a{n}", cache=SharedMemory(base) if shared else None)
        for n in range(5)
    ]
    errors = []
    for source in sources:
        with pytest.raises(TokenUnavailable) as caught:
            source.token()
        errors.append(caught.value)
    assert len(server.requests) == 1
    assert all(590 <= (error.retry_after or 0) <= 680 for error in errors)
    clock.advance(500)
    calls(clock, 1, *sources)
    assert len(server.requests) == 1


@pytest.mark.parametrize("draw", [0.0, 1.0])
@pytest.mark.parametrize("held", [False, True])
def test_all_return_within_5_s_of_the_wait(clock: FakeClock, draw: float, held: bool) -> None:
    """The jitter is drawn once: another audience, and another process, adds none to that of the first to hear."""
    clock.uniform = lambda: draw  # type: ignore[method-assign]
    server, base = ScriptedServer(lifetime=36_000), SharedMemory()
    client = f"returns-{id(server)}"
    sources = [
        source_on(server, clock, client_id=client, audience=audience, cache=SharedMemory(base))
        for audience in ("a", "a", "b", "b")
    ]
    if held:
        calls(clock, 1, *sources)
        clock.advance(36_000 - 1_700)
    server.down = answer(429, {}, WAIT)
    calls(clock, 1, *sources)
    server.down, asked = None, len(server.requests)
    calls(clock, 598, *sources)
    assert len(server.requests) == asked
    clock.advance(6.1)
    for source in sources:
        assert source.token().value in server.minted
        settle(source)
    assert len(server.requests) == asked + 2


def test_another_client_does_not_wait(clock: FakeClock) -> None:
    """The limit is one client's."""
    server = ScriptedServer()
    server.script = [answer(429, {}, WAIT)]
    with pytest.raises(TokenEndpointUnavailable):
        source_on(server, clock).token()
    assert source_on(server, clock).token().value == server.minted[0]


def test_other_audiences_hear_of_the_wait_and_not_of_the_scope(clock: FakeClock) -> None:
    """A configuration error blocks no other request; the wait does, and says so."""
    server = ScriptedServer()
    server.down = answer(400, {"error": "invalid_scope"}, WAIT)
    client = f"scopes-{id(server)}"
    with pytest.raises(TokenUnavailable, match="invalid_scope"):
        source_on(server, clock, client_id=client, scope="a").token()
    with pytest.raises(TokenEndpointUnavailable, match="asked this client to wait") as caught:
        source_on(server, clock, client_id=client, scope="b").token()
    assert (caught.value.cause_code, caught.value.status) == ("throttled", 400)


@pytest.mark.parametrize("shared", [False, True])
def test_a_success_ends_the_wait(clock: FakeClock, shared: bool) -> None:
    """After the wait one audience mints, and nothing is left of the record."""
    server, base = ScriptedServer(), SharedMemory()
    server.script = [answer(429, {}, {"retry-after": "30"})]
    client = f"ends-{id(server)}"
    first, second = (
        source_on(server, clock, client_id=client, audience=name, cache=SharedMemory(base) if shared else None)
        for name in "ab"
    )
    with pytest.raises(TokenUnavailable):
        first.token()
    clock.advance(40)
    assert first.token().value == server.minted[0]
    assert second.token().value == server.minted[1]
    assert not [key for key in base._entries._entries if key.startswith("m2m1.w.")]


def test_a_new_secret_passes_during_the_wait(clock: FakeClock) -> None:
    """A 403 with Retry-After may mean the secret: the new one has a record of its own."""
    server = ScriptedServer()
    server.script = [answer(403, {}, WAIT)]
    secrets = iter(["secret-1", "secret-2"])
    assert source_on(server, clock, client_secret=lambda: next(secrets)).token().value == server.minted[0]


def test_a_held_token_is_served_during_the_wait(clock: FakeClock) -> None:
    """No call notices; the token is renewed when the wait is over."""
    server = ScriptedServer(lifetime=3600)
    source = source_on(server, clock)
    source.token()
    server.down = answer(503, {}, WAIT)
    clock.advance(3600 - 440)
    assert calls(clock, 430, source) == 0
    assert len(server.requests) == 2


def test_renew_waits_too(clock: FakeClock) -> None:
    """A forced mint is a request like any other."""
    server = ScriptedServer()
    source = source_on(server, clock)
    source.token()
    server.down = answer(429, {}, WAIT)
    for _ in range(3):
        with pytest.raises(TokenEndpointUnavailable):
            source.renew()
    assert len(server.requests) == 2


def test_the_wait_is_sealed(clock: FakeClock) -> None:
    """The record in a shared cache holds the server's words."""
    server, base = ScriptedServer(), SharedMemory()
    server.down = answer(403, {"message": "a-canary-of-words"}, WAIT)
    with pytest.raises(TokenUnavailable, match="canary"):
        source_on(server, clock, cache=base).token()
    assert any(key.startswith("m2m1.w.") for key in base._entries._entries)
    assert b"canary" not in b"".join(value for value, _ in base._entries.values())


def test_a_429_without_a_time_is_a_minute(clock: FakeClock) -> None:
    """For the client's other audiences, too."""
    server = ScriptedServer()
    server.down = answer(429, {})
    client = f"minute-{id(server)}"
    sources = [source_on(server, clock, client_id=client, audience=name) for name in "ab"]
    calls(clock, 3600, *sources)
    assert 50 <= len(server.requests) <= 120


def test_resets_on_ordinary_refusals_do_not_count(clock: FakeClock) -> None:
    """GitHub and others send the reset of their limit with every answer."""
    server = ScriptedServer()
    server.down = answer(401, {"error": "invalid_client"}, {"x-ratelimit-reset": "900", "x-ratelimit-remaining": "50"})
    with pytest.raises(TokenUnavailable) as caught:
        source_on(server, clock).token()
    assert caught.value.retry_after == pytest.approx(30.0)


def test_an_outage_without_a_time_is_the_keys_own(clock: FakeClock) -> None:
    """Other audiences find out by themselves: one upstream of several may be down."""
    server = ScriptedServer()
    server.script = [OUTAGE, OUTAGE, refusal("invalid_scope")]  # a cold start tries twice
    client = f"own-{id(server)}"
    with pytest.raises(TokenUnavailable):
        source_on(server, clock, client_id=client, audience="a").token()
    with pytest.raises(TokenUnavailable):
        source_on(server, clock, client_id=client, audience="b").token()
    assert source_on(server, clock, client_id=client, audience="c").token().value == server.minted[0]


@pytest.mark.parametrize("wrong", [b"", b"null", json.dumps({"failure": {"kind": "newer"}}).encode()])
def test_a_record_of_another_version_is_a_miss(clock: FakeClock, wrong: Any) -> None:
    """A newer process may know more kinds of failure."""
    server, base = ScriptedServer(), SharedMemory()
    client = f"newer-{id(base)}"
    server.script = [answer(429, {}, WAIT)]
    with pytest.raises(TokenUnavailable):
        source_on(server, clock, client_id=client, cache=SharedMemory(base), audience="a").token()
    for key in list(base._entries._entries):
        if key.startswith("m2m1.w."):
            base.set(key, wrong, 600)
    other = source_on(server, clock, client_id=client, cache=SharedMemory(base), audience="b")
    assert other.token().value == server.minted[0]
