"""Lifetimes that a server does not say, and tokens that it gives again: never a loop, and never an error."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from engine_support import ScriptedServer, SharedMemory, answer, kinds, settle, source_on

from m2m_auth import AnswerRules, RenewalPolicy
from m2m_auth.events import Event
from m2m_auth.testing import FakeClock


def hours(clock: FakeClock, source: Any, count: float, step: float = 5.0) -> set[str]:
    """A call every few seconds for so many hours; the tokens that the calls got."""
    got: set[str] = set()
    for _ in range(int(count * 3600 / step)):
        clock.advance(step)
        got.add(source.token().value)
        settle(source)
    return got


class CountingDown(ScriptedServer):
    """Gives the same token until its end, with the whole seconds that are left, as Entra's metadata service does."""

    def __init__(self, clock: FakeClock, lifetime: float = 3600.0) -> None:
        super().__init__(lifetime)
        self.clock = clock
        self.ends = float("-inf")

    def __call__(self, request: Any) -> Any:
        """Answer one token request."""
        self.requests.append(request)
        if self.clock.wall() >= self.ends:
            self.ends = self.clock.wall() + self.lifetime
            self.minted.append(f"t{len(self.minted) + 1}")
        left = int(self.ends - self.clock.wall())
        return answer(200, {"access_token": self.minted[-1], "expires_in": left})


def test_a_known_token_with_nothing_left_is_at_its_end(clock: FakeClock) -> None:
    """The server's token ends a moment after this process thinks: the flight asks again, and calls get the next one."""
    server = CountingDown(clock)
    events: list[Event] = []
    source = source_on(server, clock, events)
    first = source.token()
    server.ends += 0.5  # the server's clock started later
    clock.advance(3600.0)
    assert source.token() != first
    assert clock.sleeps == [1.0]
    assert len(server.minted) == 2
    assert "lifetime_assumed" not in kinds(events)


def test_a_server_that_counts_down_costs_few_requests(clock: FakeClock) -> None:
    """Three looks at each token (E-W, E-M, E) at most, and one more where it has ended a moment later."""
    server = CountingDown(clock)
    source = source_on(server, clock)
    source.token()
    hours(clock, source, 10)
    assert len(server.minted) <= 11
    assert len(server.requests) <= 4 * len(server.minted)


@pytest.mark.parametrize("expires_in", [0, -1, "", None, "soon"])
def test_a_server_that_never_says_does_not_loop(clock: FakeClock, expires_in: object) -> None:
    """One token for ever: it is used for the default lifetime, again and again, and three looks at it in each."""
    server = ScriptedServer()
    server.down = answer(200, {"access_token": "static", "expires_in": expires_in})
    source = source_on(server, clock)
    source.token()
    assert hours(clock, source, 2) == {"static"}
    assert len(server.requests) <= 3 * 2 * 3600 / 300 + 3
    assert clock.sleeps == []


@pytest.mark.parametrize("expires_in", [0, ""])
def test_new_tokens_without_a_lifetime_are_renewed_in_time(clock: FakeClock, expires_in: object) -> None:
    """Each is another token: one mint in each default lifetime."""
    server = ScriptedServer()
    server.extra = {"expires_in": expires_in}
    source = source_on(server, clock)
    source.token()
    hours(clock, source, 2)
    assert len(server.requests) <= 2 * 3600 / 225 + 2


def test_the_warning_is_given_once(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """Every mint is an event; the log has one line, also where other processes adopt tokens in between."""
    server = ScriptedServer()
    server.extra = {"expires_in": 0}
    events: list[Event] = []
    base = SharedMemory()
    with caplog.at_level(logging.WARNING, "m2m_auth"):
        for _ in range(12):
            for each in (events, None):
                cache = SharedMemory(base)
                source_on(server, clock, each, cache=cache, client_id=f"once-{id(server)}").token()
            clock.advance(300)
    happened = [event for event in events if event.kind == "lifetime_assumed"]
    assert len(happened) == len(server.minted) > 5
    assert {(event.reason, event.holds) for event in happened} == {("expires_in is 0 or less", 300.0)}
    (line,) = [record.getMessage() for record in caplog.records]
    assert "(expires_in is 0 or less): 300 s are assumed. Fix: policy.default_lifetime, or answers=AnswerRules(" in line


def test_the_default_is_the_policys(clock: FakeClock) -> None:
    """``default_lifetime`` answers for a server that says nothing, and ``never_expires`` for one that says 0."""
    server = ScriptedServer()
    server.extra = {"expires_in": 0}
    policy = RenewalPolicy(default_lifetime=900.0, max_lifetime=7200.0)
    token = source_on(server, clock, policy=policy).token()
    assert token.expires_at - token.issued_at == 900.0
    events: list[Event] = []
    token = source_on(server, clock, events, policy=policy, answers=AnswerRules(never_expires=0)).token()
    assert token.expires_at - token.issued_at == 7200.0
    assert "lifetime_assumed" not in kinds(events)


def test_sources_with_other_rules_have_other_tokens(clock: FakeClock) -> None:
    """They read the same answer as another token; equal rules share it, a view's lambda too."""
    server = ScriptedServer()
    server.extra = {"token": "other"}

    def built(**rules: Any) -> str:
        answers = AnswerRules(**rules) if rules else None
        return source_on(server, clock, client_id=f"rules-{id(server)}", answers=answers).token().value

    assert built() == built(token_field="access_token") == server.minted[0]
    assert built(token_field="token") == "other"
    assert len(server.minted) == 2
    for _ in range(3):
        assert built(adapt=lambda fields: {"access_token": fields["token"]}) == "other"
    assert len(server.minted) == 3
