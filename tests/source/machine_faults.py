"""What goes wrong around the state machine's processes, and how time passes: its rules, without its checks."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from machine_caller import Caller
from machine_world import OUTAGES, Server, World

LIFETIMES = st.sampled_from([2.0, 5.0, 60.0, 300.0, 3600.0, 86400.0])
SKEWS = st.floats(-300, 300).map(lambda seconds: round(seconds, 1))
CALLERS = st.integers(0, 3)


class Faults(RuleBasedStateMachine):
    """Time, clocks, caches and the authorization server; which parts lie is decided once per machine."""

    world: World
    server: Server
    vault: list[str]
    """The secret manager: the last one is current."""
    callers: list[Caller]
    clocks_lie = caches_fail = server_lies = False

    # time

    @rule(seconds=st.sampled_from([0.01, 0.3, 1.0, 2.0, 6.0, 20.0, 61.0, 400.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.world.advance(seconds)

    @rule(
        share=st.sampled_from([0.5, 0.749, 0.76, 0.85, 0.88, 0.899, 0.901, 0.95, 0.999, 1.0, 1.001, 1.5]), who=CALLERS
    )
    def wait_for_an_edge(self, share: float, who: int) -> None:
        """Until that share of the life of a process's token is over."""
        taken = self.callers[who].taken
        if taken is not None:
            issued = self.server.tokens[taken.held.token.value]
            self.world.advance(max(issued.sent + issued.lifetime * share - self.world.now, 0.0))

    @precondition(lambda self: self.clocks_lie)
    @rule(host=st.integers(0, 2), skew=SKEWS)
    def set_a_clock(self, host: int, skew: float) -> None:
        """A wall clock jumps."""
        self.world.clocks[host].set_wall(skew)

    @precondition(lambda self: self.clocks_lie)
    @rule(host=st.integers(0, 2), seconds=st.sampled_from([1.0, 60.0, 1000.0, 90_000.0]))
    def suspend(self, host: int, seconds: float) -> None:
        """A host sleeps, the others go on."""
        self.world.clocks[host].sleep_deeply(seconds)

    # the cache

    @precondition(lambda self: self.caches_fail)
    @rule()
    def lose_the_cache(self) -> None:
        """The cache server restarts, empty."""
        self.world.store.entries.clear()

    @precondition(lambda self: self.caches_fail)
    @rule(who=CALLERS, down=st.sampled_from([True, True, ("get",), ("set",), ("add",), ("delete_if",), ("increment",)]))
    def cache_down(self, who: int, down: Any) -> None:
        """One process cannot reach the cache, or only some of it works."""
        self.callers[who].cache.down = down

    @precondition(lambda self: self.caches_fail)
    @rule(who=CALLERS, lie=st.sampled_from(["garbage", "add_always_true", "add_always_false"]))
    def cache_lies(self, who: int, lie: Any) -> None:
        """One process's cache gives wrong answers."""
        self.callers[who].cache.lie = lie

    @precondition(lambda self: self.caches_fail)
    @rule(lag=st.sampled_from([0.001, 0.02]))
    def cache_slow(self, lag: float) -> None:
        """Every operation takes its time."""
        self.world.lag = min(lag, self.server.lifetime / 1000)

    @precondition(lambda self: self.caches_fail)
    @rule()
    def cache_well(self) -> None:
        """It works again, for all hosts."""
        self.world.lag = 0.0
        for caller in self.callers:
            caller.cache.down, caller.cache.lie = False, None

    @rule(ttl=st.sampled_from([0.2, 15.0]))
    def a_dead_holder(self, ttl: float) -> None:
        """A process that took the lease was killed."""
        for key in self.world.store.keys("t"):
            self.world.store.add(key.replace(".t.", ".l."), b"dead", ttl)

    # the server

    @rule(how=st.sampled_from(sorted(OUTAGES)))
    def outage(self, how: str) -> None:
        """The authorization server fails, or what is in front of it."""
        self.server.outage = how

    @rule()
    def outage_over(self) -> None:
        """It is back."""
        self.server.outage = None

    @rule(share=st.sampled_from([0.0, 0.01, 0.2]))
    def slow_server(self, share: float) -> None:
        """A token request takes that share of a token's life, 4 s at most."""
        self.server.latency = min(self.server.lifetime * share, 4.0)

    @precondition(lambda self: self.server_lies)
    @rule()
    def same_token_again(self) -> None:
        """The server caches tokens, or stops doing so."""
        self.server.repeats = not self.server.repeats

    @precondition(lambda self: self.server_lies)
    @rule(lifetime=LIFETIMES)
    def other_lifetime(self, lifetime: float) -> None:
        """Its operator has changed the tokens' lifetime."""
        self.server.lifetime = lifetime
        self.server.latency = 0.0

    @rule()
    def rotate(self) -> None:
        """The secret manager has a new secret, and the server takes both."""
        self.vault.append(f"secret-{len(self.vault)}")
        self.server.accepted.add(self.vault[-1])

    @rule()
    def old_secrets_end(self) -> None:
        """The server takes only the newest secret."""
        self.server.accepted = {self.vault[-1]}

    @rule()
    def rotate_late(self) -> None:
        """The server takes only a secret that the secret manager does not have yet."""
        self.server.accepted = {f"secret-{len(self.vault)}"}
