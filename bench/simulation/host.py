"""One simulated host: the library's own TokenSource in a process that is called, crashes and starts again."""

from __future__ import annotations

import math
from functools import partial
from random import Random

from m2m_auth import TokenSource, TokenUnavailable
from m2m_auth.lifecycle.decision import Action, decide
from m2m_auth.lifecycle.policy import RenewalPolicy
from m2m_auth.source.token_source import engine_of

from .hub import Hub, Process
from .measures import Measures
from .surroundings import AuthorizationServer, Link, Store
from .world import World

__all__ = ["ENDPOINT", "Host"]

ENDPOINT = "https://tenant.example/oauth/token"
EPOCH = 1.7e9
POLICY = RenewalPolicy()


class HostClock:
    """The library's clock on one host: virtual time, and a wall clock that is off by ``skew``."""

    def __init__(self, process: Process, skew: float, rng: Random) -> None:
        self._hub, self._offset = process.hub, EPOCH + skew
        self.sleep = process.sleep
        self.uniform = rng.random

    def monotonic(self) -> float:
        return self._hub.now

    def wall(self) -> float:
        return self._hub.now + self._offset


class Host:
    """A machine whose service calls an API at random times."""

    def __init__(
        self, hub: Hub, world: World, rng: Random, store: Store, server: AuthorizationServer, measures: Measures
    ) -> None:
        self._hub, self._world, self._rng = hub, world, rng
        self._store, self._server, self._measures = store, server, measures
        self._skew = world.draw_skew(rng)
        self._lives = 0
        self._plan = 0
        self._process = Process(hub)
        hub.at(rng.uniform(0.0, world.start_spread), self.start)

    def start(self) -> None:
        """A new process, with empty memory."""
        self._lives += 1
        hub, world, rng = self._hub, self._world, self._rng
        process = self._process = Process(hub, self._plan_call)
        link = Link(process, self._store, world, rng, partial(self._holder_dies, self._lives))
        self._source = TokenSource(
            ENDPOINT,
            "client",
            "secret",
            cache=link,
            transport=partial(self._server.answer, link, process),
            clock=HostClock(process, self._skew, rng),  # type: ignore[arg-type]
            policy=POLICY,
            on_event=self._measures.event,
        )
        hub.at(hub.now + rng.expovariate(1 / world.mean_time_to_crash), self._crash, self._lives)
        self._plan_call()

    def _crash(self, life: int) -> None:
        if life != self._lives:
            return
        self._lives += 1
        self._plan += 1
        self._process.die()
        self._measures.crashes += 1
        self._hub.at(self._hub.now + self._rng.expovariate(1 / self._world.downtime), self.start)

    def _holder_dies(self, life: int) -> None:
        self._measures.holder_deaths += 1
        self._crash(life)

    def end(self) -> None:
        """The run is over: threads that still wait end."""
        self._process.end()

    # calls

    def _plan_call(self) -> None:
        """Schedules the next call that can change anything.

        Calls are a Poisson process, so after any instant the next one is an exponential time away, whatever came
        before. A call whose decision is USE or FAIL changes nothing and waits for nothing, so from such a decision
        to the next edge (of the schedule, or the end of the pause) calls need not be simulated one by one. When a
        flight lands it may have moved the edges, and this is called again.
        """
        self._plan += 1
        state, now = engine_of(self._source).state, self._hub.now
        held, pause, flight = state.held, state.pause, state.flight
        edges = held.edges if held is not None else None
        decision = decide(edges, now, POLICY, pause, flight.started if flight is not None else None)
        since = now
        if decision.action in (Action.USE, Action.FAIL):
            ends = [*(edges or ()), pause.until if pause is not None else -math.inf]
            since = min(end for end in ends if end > now)
        self._hub.at(since + self._rng.expovariate(self._world.calls), self._call, self._plan)

    def _call(self, plan: int) -> None:
        if plan == self._plan:
            self._process.run(partial(self._one_call, self._process))
            self._plan_call()

    def _one_call(self, process: Process) -> None:
        begin, held_one = self._hub.now, engine_of(self._source).is_ready()
        self._measures.calls += 1
        try:
            self._source.token()
        except TokenUnavailable:
            self._measures.failed += 1
        waited = self._hub.now - begin
        if waited > 0:
            (self._measures.waits_holding if held_one else self._measures.waits_without).append(waited)
