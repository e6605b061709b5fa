"""Any interleaving of calls, expiries, clock jumps, cache loss, outages, rotations and rejections.

Three processes on three hosts, and a fourth that asks for another audience, share one store and one authorization
server. Each call is checked in ``machine_caller.py``, against what the server knows, by true time:

- never an expired token, nor one of another audience; what may pass unnoticed between clocks that differ is computed
  in ``Caller._tolerance``;
- a good held token is always served: ``token()`` does not raise;
- mints: a call causes one at most, and only where the process holds no good token or is in the last quarter of its
  life (``W = L/4``); ``renew()`` allows one more. So a process mints at most ``1 + t/(0.75 L)`` tokens in ``t``
  seconds, plus one per restart, forced renewal and accepted rejection; a server that renews nothing is asked at E-W,
  at E-M and at E;
- attempts: after a failure none before its pause, two requests per call at most (the second with a changed secret, or
  after a blip, where no token is held);
- a token that was minted in place of a refused one, and is refused at once, bans forced mints for a minute at least,
  unless a token works meanwhile;
- as long as no clock lies and no cache fails, the same holds for the fleet as one;
- waits: without a token a dead holder's lease and a mint (two where the secret changed as well), 2 s with one, and
  never 10 real seconds;
- nothing secret in events and errors; ``status()`` always answers; and when all is well again, every process works.
"""

from __future__ import annotations

from typing import Any

import pytest
from engine_support import OUTAGE, ScriptedServer, source_on
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule
from machine_caller import Caller
from machine_faults import CALLERS, LIFETIMES, SKEWS, Faults
from machine_world import HostClock, Server, World

from m2m_auth import AccessToken, MintBudget, TokenEndpointUnavailable
from m2m_auth.source.registry import forget_everything
from m2m_auth.source.token_source import engine_of
from m2m_auth.source.token_state import TokenState
from m2m_auth.testing import FakeClock

BUDGETS = st.sampled_from([None, None, None, MintBudget(per_month=6)])


class Fleet(Faults):
    """What the processes do meanwhile, and what always holds."""

    @initialize(
        lifetime=LIFETIMES,
        seed=st.integers(0, 2**16),
        skews=st.lists(SKEWS, min_size=3, max_size=3),
        clocks_lie=st.booleans(),
        caches_fail=st.booleans(),
        server_lies=st.booleans(),
        budget=BUDGETS,
    )
    def begin(
        self,
        lifetime: float,
        seed: int,
        skews: list[float],
        clocks_lie: bool,
        caches_fail: bool,
        server_lies: bool,
        budget: MintBudget | None,
    ) -> None:
        """A cold fleet, and what may go wrong in its world."""
        forget_everything()
        self.world = World()
        self.server = Server(self.world, lifetime)
        self.vault = ["secret-0"]
        self.clocks_lie, self.caches_fail, self.server_lies = clocks_lie, caches_fail, server_lies
        self.budget = budget
        clocks = [HostClock(self.world, skews[host] * clocks_lie, seed + host) for host in range(3)]
        homes = [(clocks[0], "orders"), (clocks[1], "orders"), (clocks[2], "orders"), (clocks[0], "stock")]
        self.callers = [
            Caller(self.world, self.server, clock, audience, self.vault, budget) for clock, audience in homes
        ]
        self.calm = not (clocks_lie or caches_fail or server_lies)
        self.server.watchful = self.calm
        self.banned_until: dict[TokenState, float] = {}
        """Until when a process may force no mint, since its API refused a new token too."""
        self.out: set[str] = set()
        """Tokens that an API has refused."""
        self.api_refuses = False

    # what callers do

    @rule(who=CALLERS)
    def call(self, who: int) -> None:
        """One call of the API, as a front door makes it: a refused token is replaced, and the call replayed once."""
        caller, dropped = self.callers[who], False
        for _ in range(2):
            state = engine_of(caller.source).state
            token = self._one_for_all(caller, caller.call)
            if token is None:
                return
            if not self.api_refuses:
                self._take(caller, token)
                return
            same_key = state is engine_of(caller.source).state
            dropped = self._refuse(caller, token, new=dropped and same_key and token.value in caller.mints)

    def _take(self, caller: Caller, token: AccessToken) -> None:
        state, now = engine_of(caller.source).state, caller.clock.monotonic()
        if not state.on_trial:
            return
        known = state.ban_holds(now)
        caller.accept(token)
        if not state.ban_holds(now):
            self.banned_until.clear()
        else:  # or another process has begun one, and this one has just learnt that
            ban = state.forced_mint_ban
            assert not known or (ban is not None and ban.firm), "a token that works ends the ban"

    def _refuse(self, caller: Caller, token: AccessToken, new: bool = False) -> bool:
        """The API's 401; True if another token takes the place of this one."""
        state, now = engine_of(caller.source).state, caller.clock.monotonic()
        passed, free = caller.clock.passed(), not state.ban_holds(now)
        dropped = caller.reject(token)
        if dropped:
            self.out.add(token.value)
            assert not new, "its API refuses new tokens"
            assert passed >= self.banned_until.get(state, passed), "an API that refuses every token uses up the quota"
        elif new and free:
            assert state.ban_holds(now), "the ban begins"
            self.banned_until[state] = passed + 60 - 1e-3
        return dropped

    @rule(who=CALLERS, gap=st.sampled_from([0.05, 0.3, 1.0, 7.0]))
    def steady_calls(self, who: int, gap: float) -> None:
        """Ten calls, one after the other."""
        for _ in range(10):
            self.call(who)
            self.world.advance(gap)

    @rule()
    def all_call(self) -> None:
        """Every process calls, one after the other."""
        for who in range(4):
            self.call(who)

    @rule(who=CALLERS)
    def revoked(self, who: int) -> None:
        """An API refuses this process's token, and takes a new one."""
        caller = self.callers[who]
        token = self._one_for_all(caller, caller.call)
        if token is not None:
            self._refuse(caller, token)

    @rule(who=CALLERS)
    def renew(self, who: int) -> None:
        """A forced renewal."""
        self.callers[who].renew()

    @rule(who=CALLERS)
    def restart(self, who: int) -> None:
        """A process is replaced."""
        self.callers[who].restart()

    def _one_for_all(self, caller: Caller, ask: Any) -> Any:
        """Where nothing lies, a call mints only if the fleet's latest token is in its last quarter, or refused."""
        before = dict(self.server.latest)
        token = ask()
        for value in caller.mints if self.calm else ():
            minted = self.server.tokens[value]
            latest = before.get((minted.audience, minted.secret), "")
            if latest and latest not in self.out:
                assert minted.sent >= self.server.tokens[latest].sent + minted.lifetime * 0.75 - 1e-3, "minted twice"
        return token

    @rule()
    def api_turns(self) -> None:
        """The API refuses every token from now on, or stops doing so."""
        self.api_refuses = not self.api_refuses

    # always

    @invariant()
    def promises(self) -> None:
        """What flights saw, what events and log lines said, and what the ledger's budget allows."""
        assert not self.world.faults, self.world.faults
        for caller in self.callers:
            caller.check_events()
        if self.budget is not None and not self.caches_fail and not self.clocks_lie and not self.server_lies:
            assert len(self.server.tokens) <= (self.budget.per_month or 0), "over the budget"

    def teardown(self) -> None:
        """Everything works again: so does every process, once all pauses are over."""
        if not hasattr(self, "world"):
            return
        self.cache_well()
        self.server.outage, self.server.latency, self.server.repeats = None, 0.0, False
        self.rotate()
        self.api_refuses = False
        self.world.advance(4000)
        for caller in self.callers:
            token = caller.call()
            assert token is not None or self.budget is not None, "it has stopped for ever"
        self.promises()
        forget_everything()


Fleet.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)


class TestFleet(Fleet.TestCase):
    """In any order of events, every call passes its checks."""


def test_a_suspended_host_fails_fast_in_an_outage() -> None:
    """Found by the state machine: pauses are monotonic, so a suspended host saw no pause and kept sending requests."""
    clock, server = FakeClock(), ScriptedServer()
    source = source_on(server, clock)
    source.token()
    clock.suspend(1000)
    server.down = OUTAGE
    for _ in range(3):
        with pytest.raises(TokenEndpointUnavailable):
            source.token()
    assert len(server.requests) == 3, "one mint, one attempt, and one more after a blip"
