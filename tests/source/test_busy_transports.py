"""A session of the user's own that retries and sleeps for a minute: callers learn the cause at the mint's deadline."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from engine_steps import at_once, eventually
from engine_support import ScriptedServer, kinds, refusal, settle, source_on

from m2m_auth import RenewalPolicy, TokenEndpointUnavailable, TokenSource
from m2m_auth.events import Event
from m2m_auth.runtime.clock import Clock
from m2m_auth.source.token_source import engine_of
from m2m_auth.testing import FakeClock

POLICY = RenewalPolicy(mint_deadline=0.3, lease=10.0)
"""Callers wait for 1.3 s at most; the flight may last for several times as long, on a busy machine, too."""
BUSY = r"the transport \(transport=\) is still busy after 0\.3 s \(policy\.mint_deadline\)"


class Sleeper:
    """A transport that sleeps between its retries, until the test lets it go on."""

    def __init__(self, server: ScriptedServer) -> None:
        self.server, self.go_on, self.calls = server, threading.Event(), 0

    def __call__(self, request: Any) -> Any:
        """Answers when it may go on."""
        self.calls += 1
        assert self.go_on.wait(30)
        return self.server(request)


@pytest.fixture
def sleeper() -> Sleeper:
    """The transport; it lives on until the test has ended."""
    return Sleeper(ScriptedServer(3600))


def sleepy(sleeper: Sleeper, clock: Clock | None = None, events: list[Event] | None = None) -> TokenSource:
    """A source on the real clock, unless another one is given."""
    return source_on(sleeper.server, clock or Clock(), events, transport=sleeper, policy=POLICY)


def test_callers_are_woken_with_the_real_cause(sleeper: Sleeper) -> None:
    """Not "No token came within 20 s" after 20 s: the deadline and a little more, and the error names the transport."""
    events: list[Event] = []
    source = sleepy(sleeper, events=events)

    def ask() -> float:
        began = time.monotonic()
        with pytest.raises(TokenEndpointUnavailable, match=BUSY) as caught:
            source.token()
        assert caught.value.cause_code == "timeout"
        assert 0 < (caught.value.retry_after or 0) <= POLICY.flight_deadline
        return time.monotonic() - began

    assert max(at_once(8, ask)) < POLICY.flight_deadline / 2
    assert min(ask() for _ in range(3)) < 0.2, "further calls fail fast"
    assert sleeper.calls == 1, "from the same cause, without a flight of their own"
    assert kinds(events).count("renewal_failed") == 1
    sleeper.go_on.set()
    settle(source)
    assert source.token().value == sleeper.server.minted[0], "the late token is used"
    assert sleeper.calls == 1


def test_the_same_for_asyncio(sleeper: Sleeper) -> None:
    """The event loop is not blocked meanwhile."""
    source = sleepy(sleeper)

    async def ask() -> None:
        with pytest.raises(TokenEndpointUnavailable, match=BUSY):
            await source.atoken()

    asyncio.run(asyncio.wait_for(ask(), 5))
    sleeper.go_on.set()
    settle(source)


def test_after_the_flights_deadline_another_one_starts(sleeper: Sleeper) -> None:
    """Until then there is none; then one more at a time, beside the one that hangs."""
    clock = FakeClock()
    source = sleepy(sleeper, clock)
    state = engine_of(source).state

    def ask() -> None:
        with pytest.raises(TokenEndpointUnavailable, match=BUSY):
            source.token()

    caller = threading.Thread(target=ask)
    caller.start()
    eventually(lambda: sleeper.calls == 1)
    clock.advance(1.5)
    caller.join(10)
    for _ in range(10):
        ask()
    assert sleeper.calls == 1
    hanging = state.flight
    clock.advance(POLICY.flight_deadline)
    sleeper.go_on.set()
    assert source.token().value in sleeper.server.minted
    assert hanging is not None
    hanging.wait(10)


def test_callers_with_a_good_token_do_not_notice(sleeper: Sleeper, clock: FakeClock) -> None:
    """A renewal that hangs is in the background until the token's end."""
    source = sleepy(sleeper, clock)
    sleeper.go_on.set()
    token = source.token()
    sleeper.go_on.clear()
    for _ in range(8):
        clock.advance(440)
        began = time.monotonic()
        assert source.token() == token
        assert time.monotonic() - began < 1.0
    sleeper.go_on.set()
    settle(source)
    clock.advance(100)
    assert source.token().value != token.value


def test_renew_is_woken_too(sleeper: Sleeper) -> None:
    """It raises for its caller; the held token stays."""
    source = sleepy(sleeper)
    sleeper.go_on.set()
    token = source.token()
    sleeper.go_on.clear()
    with pytest.raises(TokenEndpointUnavailable, match=BUSY):
        source.renew()
    assert source.token() == token
    sleeper.go_on.set()
    settle(source)
    assert source.token() != token


@pytest.mark.parametrize("refused", [False, True], ids=["the first", "after a refusal"])
def test_a_secret_that_does_not_come_is_named(refused: bool) -> None:
    """The callable that fetches the secret is the user's as well."""
    gate, server = threading.Event(), ScriptedServer()
    answers = [refusal("invalid_client", 401)] if refused else []
    server.script = answers[:]
    known = iter(["s3cr3t-s3cr3t"] * len(answers))

    def fetch() -> str:
        for secret in known:
            return secret
        assert gate.wait(30)
        return "s3cr3t-5ecret"

    source = source_on(server, Clock(), client_secret=fetch, policy=POLICY)
    with pytest.raises(TokenEndpointUnavailable, match=r"fetches the secret \(client_secret=\) is still busy after"):
        source.token()
    fetching = engine_of(source).state.flight
    gate.set()
    assert fetching is not None
    fetching.wait(10)
    assert source.token().value == server.minted[0]
