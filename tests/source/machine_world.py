"""A small world for the state machine: true time, hosts with clocks of their own, and one authorization server.

Nothing in it runs by itself. Time passes when a rule says so, when a flight polls for a lease, while the server takes
its time, and with each operation of a slow cache; so every run can be repeated.
"""

from __future__ import annotations

import base64
import json
from random import Random
from typing import NamedTuple
from urllib.parse import parse_qs, unquote

from engine_steps import ClockedStore
from engine_support import OUTAGE, answer, refusal

from m2m_auth.oauth2.transport import HttpRequest, HttpResponse, TransportError
from m2m_auth.testing import FakeClock

START = 1_700_000_000.0
RETRY_AFTER = 40.0


class World:
    """True time, what the processes share, and what went wrong so far."""

    def __init__(self) -> None:
        self.now = START
        self.clocks: list[HostClock] = []
        self.lag = 0.0
        """Seconds that each look at the store takes."""
        self.store = ClockedStore(self._store_time)
        self.faults: list[str] = []
        """Broken promises that were seen on a flight's thread, where an assertion would be swallowed."""

    def _store_time(self) -> float:
        self.advance(self.lag)
        return self.now

    def advance(self, seconds: float, asleep: HostClock | None = None) -> None:
        """Time passes for all hosts; on a host that is ``asleep`` the monotonic clock stands still."""
        self.now += seconds
        for clock in self.clocks:
            (clock.suspend if clock is asleep else clock.advance)(seconds)


class HostClock(FakeClock):
    """One host's clocks: the wall clock is wrong by ``skew``, the jitter is seeded, and sleeping moves the world."""

    def __init__(self, world: World, skew: float, seed: int) -> None:
        super().__init__(wall=world.now + skew)
        self._world, self._random = world, Random(seed)
        self.skew = skew
        self.suspended = self.set_ahead = 0.0
        """Seconds in all; pauses and bans end that much sooner."""
        world.clocks.append(self)

    def uniform(self) -> float:
        """The next number of this host's sequence."""
        return self._random.random()

    def sleep(self, seconds: float) -> None:
        """Time passes for all hosts."""
        self._world.advance(seconds)

    def passed(self) -> float:
        """A time for pauses and bans, which end by the later of the two clocks."""
        return self.monotonic() + self.suspended + self.set_ahead

    def set_wall(self, skew: float) -> None:
        """Sets this host's wall clock wrong by ``skew`` seconds."""
        self.set_ahead += max(skew - self.skew, 0.0)
        self.jump_wall(skew - self.skew)
        self.skew = skew

    def sleep_deeply(self, seconds: float) -> None:
        """The host is suspended."""
        self._world.advance(seconds, asleep=self)
        self.suspended += seconds


class Issued(NamedTuple):
    """The server's record of a token."""

    audience: str
    secret: str
    sent: float
    lifetime: float
    expires: float
    """In true time."""
    wall_skews: list[float]
    """How wrong the wall clocks were of the processes that asked for it."""


OUTAGES: dict[str, HttpResponse | Exception] = {
    "connection": OUTAGE,
    "timeout": TransportError("too slow", "timeout"),
    "503": answer(503, {}),
    "429": answer(429, {}, {"retry-after": f"{RETRY_AFTER:g}"}),
    "malformed": HttpResponse(200, {"content-type": "text/html"}, b"<html>"),
}
BLIPS = ("connection", "503")
"""Failures after which a flight without a token tries once more."""
HOLDS = {"429": RETRY_AFTER, "invalid_client": 30.0}
"""Seconds without another request after these failures, at least; after the others half a second."""


class Server:
    """The authorization server. It uses true time, and keeps the record that the checks compare with."""

    def __init__(self, world: World, lifetime: float) -> None:
        self.world, self.lifetime = world, lifetime
        self.latency = 0.0
        self.outage: str | None = None
        self.repeats = False
        """It gives the same token again while half of its life is left."""
        self.accepted = {"secret-0"}
        self.watchful = False
        """True: a request of any process during the pause after a failure is a broken promise."""
        self.pauses: dict[tuple[str, str], float] = {}
        self.tokens: dict[str, Issued] = {}
        self.latest: dict[tuple[str, str], str] = {}

    def respond(
        self, request: HttpRequest, clock: HostClock, *, again: bool
    ) -> tuple[HttpResponse | Exception, str, str]:
        """The response, the new or repeated token (or ``""``), and how it failed (or ``""``).

        ``again``: it is the second attempt of one flight, after a blip.
        """
        sent = self.world.now
        secret = secret_of(request)
        audience = parse_qs(request.body.decode())["audience"][0]
        if self.watchful and not again and sent < self.pauses.get((audience, secret), sent) - 1e-3:
            self.world.faults.append("asked in a pause that the fleet shares")
        self.world.advance(self.latency)
        failed = self.outage or ("" if secret in self.accepted else "invalid_client")
        if failed:
            self.pauses[audience, secret] = self.world.now + HOLDS.get(failed, 0.5)
            return OUTAGES.get(failed) or refusal("invalid_client", 401), "", failed
        self.pauses.pop((audience, secret), None)
        value, left = self._token(audience, secret, sent, clock)
        return answer(200, {"access_token": value, "token_type": "Bearer", "expires_in": left}), value, ""

    def _token(self, audience: str, secret: str, sent: float, clock: HostClock) -> tuple[str, float]:
        latest = self.latest.get((audience, secret), "")
        if self.repeats and latest and self.tokens[latest].expires - sent > self.tokens[latest].lifetime / 2:
            self.tokens[latest].wall_skews.append(clock.skew)
            return latest, self.tokens[latest].expires - sent
        value = f"token-{len(self.tokens)}-for-{audience}"
        self.tokens[value] = Issued(audience, secret, sent, self.lifetime, sent + self.lifetime, [clock.skew])
        self.latest[audience, secret] = value
        return value, self.lifetime


def secret_of(request: HttpRequest) -> str:
    """The client's secret in a token request."""
    return unquote(base64.b64decode(request.headers["Authorization"].split()[1]).decode().split(":")[1])


def secrets_of(server: Server, known: set[str]) -> list[str]:
    """What no event, message or repr may show."""
    encoded = [base64.b64encode(secret.encode()).decode() for secret in known]
    return [*server.tokens, *known, *encoded, json.dumps("access_token")]
