"""APIs that refuse tokens, by the day: how many mints they cost, and how soon everything works again.

Reports of this kind: a service account's key in kubernetes#76158, golang/oauth2#320, snowflake-connector-python#3032.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import pytest
from api_calls import API, OTHER, call, everything, nothing
from engine_steps import ClockedStore, eventually
from engine_support import ScriptedServer, kinds, settle, source_on

from m2m_auth import AccessToken, TokenSource, TokenUnavailable
from m2m_auth.events import Event
from m2m_auth.source.token_source import engine_of
from m2m_auth.testing import FakeClock

HOUR, DAY = 3600.0, 86_400.0


class Fleet:
    """Processes of one client, each with a token state of its own; ``shared``: one cache for all of them."""

    def __init__(self, clock: FakeClock, lifetime: float, processes: int, *, shared: bool = True) -> None:
        self.clock, self.server = clock, ScriptedServer(lifetime)
        self.events: list[Event] = []
        self.store = ClockedStore(clock.monotonic)
        self.sources = [self.another(shared) for _ in range(processes)]

    def another(self, shared: bool = True) -> TokenSource:
        """One more process."""
        cache = self.store.beside() if shared else ClockedStore(self.clock.monotonic)
        return source_on(self.server, self.clock, self.events, client_id=f"fleet-{id(self)}", cache=cache)

    @property
    def mints(self) -> int:
        """How many tokens the server has minted."""
        return len(self.server.minted)

    def latest(self, value: str) -> bool:
        """An API of a server that keeps one token alive."""
        return value == self.server.minted[-1]


@pytest.mark.parametrize("processes", [1, 4])
@pytest.mark.parametrize("lifetime", [60, 300, HOUR, DAY])
def test_an_api_that_refuses_everything_keeps_the_quota(clock: FakeClock, lifetime: float, processes: int) -> None:
    """One call a minute and process: 2 mints at once, and fewer than 20 in a day; there were 74 in six hours."""
    fleet = Fleet(clock, lifetime, processes)
    for minute in range(1440):
        for source in fleet.sources:
            call(source, nothing)
        assert minute or fleet.mints == 2
        clock.advance(60)
    assert 10 < fleet.mints < 20


@pytest.mark.parametrize("every", [60, 600])
@pytest.mark.parametrize(("lifetime", "at_most"), [(DAY, 19), (HOUR, 24 + 19)])
def test_processes_that_start_meanwhile_know_the_ban(
    clock: FakeClock, lifetime: float, at_most: float, every: int
) -> None:
    """A crash loop, one call a process, costs no more: the ban, its level, and the token's past are shared.

    A new process a minute minted 241 tokens in a day, of an hour each: its ban began anew with 60 s each time.
    """
    fleet = Fleet(clock, lifetime, 1)
    for _ in range(86_400 // every):
        fleet.sources = [fleet.another()]
        call(fleet.sources[0], nothing)
        clock.advance(every)
    assert fleet.mints <= at_most


@pytest.mark.parametrize("processes", [1, 3])
@pytest.mark.parametrize(("lifetime", "at_most"), [(DAY, 20), (HOUR, 24 * 4 / 3 + 20)])
@pytest.mark.parametrize("paths", [(everything, nothing), (everything, nothing, everything)])
def test_an_api_with_one_path_that_works(
    clock: FakeClock, lifetime: float, at_most: float, processes: int, paths: tuple[Callable[[str], bool], ...]
) -> None:
    """/health says 200 and /orders 401: /health always gets a token, and no more mints are forced than without it.

    Four processes minted 5,759 tokens in that day where each asked for /health afterwards, too: one process did not
    know that another one's /orders had refused the token, took its own 200 for a proof, and ended the row of bans.
    """
    fleet = Fleet(clock, lifetime, processes)
    for _ in range(1440):
        for source in fleet.sources:
            for takes in paths:
                assert bool(call(source, takes)) == takes("")
        clock.advance(60)
    assert fleet.mints <= at_most


def test_another_api_of_the_same_audience_is_not_harmed(clock: FakeClock) -> None:
    """One API refuses everything, another takes everything: its calls always have a token, and end no ban.

    Its tokens are renewed before their end, so no call waits, and an outage of the token endpoint is not noticed.
    """
    fleet = Fleet(clock, HOUR, 2)
    for minute in range(1440):
        for source in fleet.sources:
            assert not minute or engine_of(source).is_ready()
            assert call(source, everything, OTHER)
            assert not call(source, nothing, API)
        clock.advance(60)
    assert fleet.mints <= 24 * 4 / 3 + 20
    assert "forced_mint_ban_ended" not in kinds(fleet.events)


def test_the_next_good_call_ends_the_ban(clock: FakeClock) -> None:
    """Three processes, hours of refusals, then the API works: so does each call, and a revocation costs one mint."""
    fleet = Fleet(clock, DAY, 3)
    for _ in range(300):
        for source in fleet.sources:
            call(source, nothing)
        clock.advance(60)
    held_off = [engine_of(source).state.ban_holds(clock.monotonic()) for source in fleet.sources]
    assert held_off == [True] * 3
    assert call(fleet.sources[0], everything)
    assert "forced_mint_ban_ended" in kinds(fleet.events)
    clock.advance(61)
    before, revoked = fleet.mints, fleet.server.minted[-1]
    assert all(call(source, revoked.__ne__) or call(source, revoked.__ne__) for source in fleet.sources)
    assert fleet.mints == before + 1
    for _ in range(100):
        clock.advance(60)
        assert all(call(source, revoked.__ne__) for source in fleet.sources)
    assert fleet.mints == before + 1


def test_calls_that_would_only_cost_a_mint_are_refused(clock: FakeClock) -> None:
    """The last token has expired during the ban: this API gets none until its end, and the error says why."""
    fleet = Fleet(clock, 60, 1)
    source = fleet.sources[0]
    for _ in range(8):
        call(source, nothing)
        clock.advance(60)
    with pytest.raises(TokenUnavailable, match=r"https://api\.example:443 refuses every new token") as caught:
        engine_of(source).refuse_banned_call(API)
    assert caught.value.cause_code == "forced_mint_ban"
    assert 0 < (caught.value.retry_after or 0) <= 14_400
    engine_of(source).refuse_banned_call(OTHER)
    before = fleet.mints
    assert source.token().value == fleet.server.minted[before]


@pytest.mark.parametrize("age", [0.0, 0.5, 4.9, 300.0, HOUR * 0.7])
def test_a_revoked_token_of_any_age_recovers_in_the_same_call(clock: FakeClock, age: float) -> None:
    """django-rest-framework#4680: a token younger than 5 s was kept, and each call refused for the next minute."""
    fleet = Fleet(clock, HOUR, 2)
    one, two = fleet.sources
    assert call(one, everything)
    assert call(two, everything)
    clock.advance(age)
    revoked = fleet.server.minted[0]
    assert call(one, revoked.__ne__)
    assert call(two, revoked.__ne__)
    assert fleet.mints == 2
    assert [event.reason for event in fleet.events if event.kind == "minted"] == ["cold", "rejected"]


@pytest.mark.parametrize("pause", [0, 100])
def test_revocations_in_a_row(clock: FakeClock, pause: float) -> None:
    """Five deployments within minutes each revoke the tokens: each costs one mint and no refused call."""
    fleet = Fleet(clock, HOUR, 1)
    source = fleet.sources[0]
    call(source, everything)
    for _ in range(5):
        clock.advance(pause)
        revoked = fleet.server.minted[-1]
        assert call(source, revoked.__ne__)
    assert fleet.mints == 6
    assert "forced_mint_ban" not in kinds(fleet.events)


def test_a_revocation_during_a_renewal(clock: FakeClock) -> None:
    """A server that restarts revokes the token, and the one that it has just minted: the call recovers all the same.

    The new token was asked for before the old one was refused, so its refusal does not say that new tokens are no help.
    """
    fleet = Fleet(clock, HOUR, 1)
    source, engine = fleet.sources[0], engine_of(fleet.sources[0])
    old = source.token()
    fleet.server.gate.clear()
    clock.advance(HOUR * 0.89)
    assert source.token() == old
    eventually(lambda: len(fleet.server.requests) == 2)
    engine.reject(old, API)
    fleet.server.gate.set()
    assert call(source, lambda value: value not in fleet.server.minted[:2])
    assert fleet.mints == 3
    assert not call(source, nothing)
    assert fleet.mints == 4
    assert "forced_mint_ban" in kinds(fleet.events)


@pytest.mark.parametrize("lifetime", [HOUR, DAY])
def test_two_hosts_whose_mints_end_each_others_token(
    clock: FakeClock, caplog: pytest.LogCaptureFixture, lifetime: float
) -> None:
    """``disk:`` on two hosts, one live token per client at the server: few mints, and the log says why."""
    fleet = Fleet(clock, lifetime, 2, shared=False)
    with caplog.at_level(logging.WARNING, "m2m_auth"):
        for _ in range(1440):
            for source in fleet.sources:
                call(source, fleet.latest)
                clock.advance(7)
            clock.advance(46)
    assert fleet.mints < 24 * 4 / 3 * 2, "no more than without any trouble"
    early = [event for event in fleet.events if event.kind == "refused_early"]
    assert early
    assert early[0].reason == "3"
    assert "another client mints with these credentials, and the server keeps one token alive" in caplog.text
    assert caplog.text.count("another client mints") < 40


def test_refusals_that_nothing_accepts_are_no_other_client(clock: FakeClock) -> None:
    """An API that refuses everything is not said to be another client's fault."""
    fleet = Fleet(clock, DAY, 2)
    for _ in range(300):
        for source in fleet.sources:
            call(source, nothing)
        clock.advance(60)
    assert "refused_early" not in kinds(fleet.events)


def test_no_renewal_while_the_ban_holds(clock: FakeClock) -> None:
    """A token that is known to be refused is not renewed early: the renewal would be refused, too."""
    fleet = Fleet(clock, 100, 1)
    source = fleet.sources[0]
    call(source, nothing)
    clock.advance(61)
    call(source, nothing)
    assert engine_of(source).state.ban_holds(clock.monotonic() + 119)
    token, before = source.token(), fleet.mints
    for _ in range(98):
        clock.advance(1)
        assert source.token() == token
        assert engine_of(source).renew_if_due()[0] > 20
        settle(source)
    assert fleet.mints == before


def test_a_slow_shared_cache_is_off_the_callers_path(clock: FakeClock) -> None:
    """The end of a ban is shared by a thread of its own: the call whose token worked does not wait."""
    gate = threading.Event()

    class SlowStore(ClockedStore):
        def get(self, key: str) -> bytes | None:
            assert gate.wait(30)
            return super().get(key)

    server = ScriptedServer(DAY)
    source = source_on(server, clock, cache=SlowStore(clock.monotonic))
    gate.set()
    call(source, nothing)
    state, token = engine_of(source).state, source.token()
    gate.clear()
    engine_of(source).accepted(token, API)
    assert not state.on_trial
    assert not state.ban_holds(clock.monotonic())
    assert state.beside is not None
    assert not state.beside.future.done()
    gate.set()
    settle(source)


def test_an_accepted_token_lives_no_longer_in_the_cache(clock: FakeClock) -> None:
    """Found by the state machine: it was shared anew for the life that a clock five minutes behind its own gave it."""
    ahead, fleet = FakeClock(wall=clock.wall() + 300), Fleet(clock, 100, 1)
    minter = source_on(fleet.server, ahead, client_id=f"fleet-{id(fleet)}", cache=fleet.store.beside())
    minter.reject(minter.token())
    minter.token()
    for each in (clock, ahead):
        each.advance(50)
    assert call(fleet.sources[0], everything)
    assert fleet.mints == 2
    clock.advance(51)
    assert fleet.store.get(fleet.store.key("t")) is None


@pytest.mark.parametrize("find", [lambda token: token.value, lambda token: token.authorization])
def test_eight_earlier_tokens_are_remembered(clock: FakeClock, find: Callable[[AccessToken], str]) -> None:
    """A request that is prepared once and sent again hours later may carry any of the latest eight."""
    fleet = Fleet(clock, HOUR, 1)
    source, engine = fleet.sources[0], engine_of(fleet.sources[0])
    tokens = [source.token()]
    for _ in range(9):
        clock.advance(1)
        tokens.append(source.renew())
    assert [engine.token_sent_as(find(token)) for token in tokens] == [None, *tokens[1:]]
    assert engine.token_sent_as("Bearer other") is None
    assert engine.token_sent_as(None) is None


def test_entries_without_the_flag_still_read() -> None:
    """A token that an older version shared."""
    from m2m_auth.shared_cache.entries import Entry

    old = {"value": "t", "scope": None, "issued_at": 1.0, "lifetime": 2.0, "rejected": ["f"], "quota_low": False}
    assert Entry.from_json(old) == Entry("t", None, 1.0, 2.0, ("f",))
    entry = Entry("t", replaced=None).without("f")
    assert Entry.from_json(entry._asdict()) == entry
