"""One process of the state machine: a source on its host's clock, and the checks that each call must pass."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from engine_steps import ClockedStore
from engine_support import ENDPOINT
from machine_world import BLIPS, HOLDS, HostClock, Server, World, secret_of, secrets_of

from m2m_auth import AccessToken, MintBudget, TokenSource, TokenUnavailable
from m2m_auth.events import Event
from m2m_auth.oauth2.transport import HttpRequest, HttpResponse
from m2m_auth.source.token_source import engine_of
from m2m_auth.source.token_state import HeldToken, TokenState
from m2m_auth.testing import FaultyCache

LEASE, POLL, EXPIRING_WAIT = 15.0, 0.15, 2.0
WHOLE = 10.0
"""Real seconds that no call may take: nothing here is slow on a real clock."""


class Taken(NamedTuple):
    """How wrong the host's clocks were when it took a token over."""

    held: HeldToken
    at: float
    skew: float
    suspended: float


class Caller:
    """A process: its source, its own way to the shared store, and what it may do."""

    def __init__(
        self, world: World, server: Server, clock: HostClock, audience: str, vault: list[str], budget: MintBudget | None
    ) -> None:
        self.world, self.server, self.clock, self.audience, self.vault = world, server, clock, audience, vault
        self._budget = budget
        self.events: list[Event] = []
        self.client_id = f"client-{id(world)}"
        self.mints: list[str] = []
        """The tokens that the server gave during this call."""
        self.requests = 0
        self.held_off: dict[str, float] = {}
        """Until when it pauses after a failure, for each secret: a new one passes at once."""
        self.blip = False
        """The call's first request met what may be a blip, and no token is held."""
        self.restart()

    def restart(self) -> None:
        """The process dies, and another takes its place: an empty state, the same store."""
        beside: ClockedStore = self.world.store.beside()
        self.cache = FaultyCache(beside)
        self.taken: Taken | None = None
        self.noops = 0
        self.held_off.clear()
        self.source = TokenSource(
            ENDPOINT,
            self.client_id,
            lambda: self.vault[-1],
            audience=self.audience,
            transport=self._transport,
            cache=self.cache,
            clock=self.clock,
            budget=self._budget,
            on_event=self.events.append,
        )
        self._engine = engine_of(self.source)
        self._states: list[TokenState] = [self._engine.state]

    def _transport(self, request: HttpRequest) -> HttpResponse:
        """One token request: recorded, and compared with the last failure's pause."""
        self.requests += 1
        secret, now = secret_of(request), self.clock.passed()
        early = self.held_off.pop(secret, now) - now
        again = self.requests == 2 and self.blip
        if not again and early > 1e-3:
            self.world.faults.append(f"{self.clock} asked {early} s too early")
        response, token, failed = self.server.respond(request, self.clock, again=again)
        self.blip = self.requests == 1 and failed in BLIPS and not self._engine.is_ready()
        if failed:
            self.held_off[secret] = self.clock.passed() + HOLDS.get(failed, 0.5)
        else:
            self.mints.append(token)
        if isinstance(response, Exception):
            raise response
        return response

    # what it does

    def call(self) -> AccessToken | None:
        """``token()`` under every check; None where it raised."""
        return self._held_to(self.source.token, forced=False)

    def renew(self) -> AccessToken | None:
        """``renew()``: one mint more than is due, whatever this process pauses for."""
        self.held_off.clear()
        return self._held_to(self.source.renew, forced=True)

    def reject(self, token: AccessToken) -> bool:
        """The API's 401; True if the token is no longer held."""
        before = self._engine.state.held
        self.source.reject(token)
        self._settle()
        self._take_note()
        return before is not None and self._engine.state.held is None

    def accept(self, token: AccessToken) -> None:
        """The API's 200, as front doors report it."""
        self._engine.accepted(token)
        self._settle()
        self._take_note()

    def _held_to(self, ask: Callable[[], AccessToken], forced: bool) -> AccessToken | None:
        state, held = self._engine.state, self._engine.state.held
        began, really = self.world.now, time.monotonic()
        good, due = self._engine.is_ready(), self._due()
        if self._left() > 1e-3:
            assert good, "a token that lives is not taken for a good one"
        self.mints.clear()
        self.requests = 0
        token: AccessToken | None = None
        try:
            token = ask()
        except TokenUnavailable as error:
            self._silent(error)
        took = self.world.now - began
        assert token or forced or not self._engine.is_ready(), "raised while a good token was held"
        self._settle()
        assert time.monotonic() - really < WHOLE, "it blocked"
        # Each read of a slow store takes its time: a flight makes 30 at most, and those of its polls.
        slack = self.world.lag * 60 + self.server.latency * 2 + 0.6 * (self.requests > 1)
        # One dead holder's lease; another for the key of a changed secret, or where "held" is a lie.
        leases = 1 if self.cache.lie is None and len(self.vault) == 1 else 2
        assert took <= (EXPIRING_WAIT if good and not forced else leases * (LEASE + POLL)) + slack, f"waited {took} s"
        if token is not None:
            self._good(token, began)
        self._frugal(state, held, due + forced)
        self._take_note()
        self.source.status()
        return token

    def _settle(self) -> None:
        """Waits until the flights have landed, those for an older secret included."""
        for _ in range(3):
            if self._engine.state not in self._states:
                self._states.append(self._engine.state)
            for state in self._states:
                for flight in (state.flight, state.beside):
                    if flight is not None:
                        flight.wait(30)

    # the checks

    def _good(self, token: AccessToken, began: float) -> None:
        """The token is not expired and of this caller's key. ``began``: a flight's waits do not count."""
        issued = self.server.tokens[token.value]
        assert issued.audience == self.audience, "a foreign token"
        overrun = began - issued.expires
        if self.taken is None or self.taken.held.token != token:  # else a flight may have landed since it was returned
            self._take_note()
        assert overrun < self._tolerance(token) + 1e-3, f"a token that expired {overrun} s ago"

    def _tolerance(self, token: AccessToken) -> float:
        """How long a process on this host may take an expired token for a good one, since it cannot know better.

        A token from a host whose clock was ahead looks younger than it is, by the difference; if it seems to come
        from the future, it is trusted for M at a time. A host that was suspended notices by its wall clock alone.
        """
        taken = self.taken
        if taken is None or taken.held.token != token:
            return 0.0
        issued = self.server.tokens[token.value]
        ahead = max(max(issued.wall_skews) - taken.skew, 0.0)
        seems = taken.at - issued.sent - ahead
        by_skew = min(issued.lifetime / 10, 60.0) + 1.0 if seems < 0.0 else ahead
        unnoticed = min(self.clock.suspended - taken.suspended, max(taken.skew - self.clock.skew, 0.0))
        return by_skew * (ahead > 0) + unnoticed

    def _left(self) -> float:
        """Seconds that the held token is good for, at least; negative where nothing can be said."""
        taken = self.taken
        if taken is None or self._engine.state.held is not taken.held:
            return -1.0
        issued = self.server.tokens[taken.held.token.value]
        if taken.skew < max(issued.wall_skews) - 1.0:
            return -1.0  # it seemed to come from the future
        behind = max(taken.skew - min(issued.wall_skews), 0.0) + max(self.clock.skew - taken.skew, 0.0)
        return issued.expires - self.world.now - behind

    def _due(self) -> int:
        """How many mints the next call may cause: one, if the held token is in its last quarter or missing."""
        taken = self.taken
        if taken is None or self._engine.state.held is not taken.held or self._left() < 0:
            return 1
        issued = self.server.tokens[taken.held.token.value]
        behind = max(taken.skew - min(issued.wall_skews), 0.0) + max(self.clock.skew - taken.skew, 0.0)
        lifetime = issued.expires - issued.sent
        return int(self.world.now + behind >= issued.expires - min(lifetime / 4, 3600.0) - 1e-3)

    def _frugal(self, state: TokenState, held: HeldToken | None, allowed: int) -> None:
        """No more mints than were due; a server that does not renew the token is asked twice more at most."""
        assert len(self.mints) <= allowed, f"{len(self.mints)} mints, {allowed} due"
        assert self.requests <= 2, f"{self.requests} token requests for one call"
        if held is None or self._engine.state.held is not held:
            self.noops = 0
        elif self._engine.state is state:
            self.noops += len(self.mints) * (allowed == 1)
            assert self.noops <= 3, "asked again and again for a token that is not renewed"

    def _take_note(self) -> None:
        held = self._engine.state.held
        if held is None:
            self.taken = None
        elif self.taken is None or self.taken.held is not held:
            self.taken = Taken(held, self.world.now, self.clock.skew, self.clock.suspended)

    def _silent(self, said: Any) -> None:
        shown = repr(said) + str(said)
        assert not [word for word in secrets_of(self.server, set(self.vault)) if word in shown]

    def check_events(self) -> None:
        """Nothing secret in its events and messages."""
        for event in self.events:
            self._silent(event)
        self.events.clear()
