"""What the telemetry tests share: an authorization server that takes a quarter of a second on a fake clock."""

from __future__ import annotations

import itertools
import json
from typing import Any

from m2m_auth import TokenSource
from m2m_auth.events import Event, EventKind, Subscriber
from m2m_auth.oauth2.transport import HttpRequest, HttpResponse, TransportError
from m2m_auth.source.token_source import engine_of
from m2m_auth.testing import FakeClock

TOOK = 0.25
_numbers = itertools.count()


class SlowServer:
    """A transport: each answer takes `TOOK` seconds.

    `down` is its answer during an outage; `extra` is in each good answer.
    """

    def __init__(self, clock: FakeClock, lifetime: float = 1000) -> None:
        self.clock, self.lifetime = clock, lifetime
        self.down: str | None = None
        self.extra: dict[str, Any] = {}
        self.asked = 0
        self.tokens: list[str] = []

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer one token request."""
        self.asked += 1
        self.clock.advance(TOOK)
        if self.down == "connection":
            raise TransportError("connection refused", "connection")
        if self.down is not None:
            return HttpResponse(400, {"content-type": "application/json"}, json.dumps({"error": self.down}).encode())
        self.tokens.append(f"canary-token-{next(_numbers)}")
        body = {"access_token": self.tokens[-1], "token_type": "Bearer", "expires_in": self.lifetime, **self.extra}
        return HttpResponse(200, {"content-type": "application/json"}, json.dumps(body).encode())


def source_on(server: SlowServer, subscriber: Subscriber | None, client_id: str = "", **options: Any) -> TokenSource:
    """A source of a client of its own unless it is named."""
    return TokenSource(
        "https://tenant.example/oauth/token",
        client_id or f"telemetry-{next(_numbers)}-{id(server)}",
        options.pop("client_secret", "canary-secret"),
        transport=server,
        clock=server.clock,
        on_event=subscriber,
        **options,
    )


def settle(source: TokenSource) -> None:
    """Wait until no flight is under way."""
    flight = engine_of(source).state.flight
    if flight is not None:
        flight.wait(30)


def event(kind: EventKind, reason: str = "", seconds: float = 0.0, holds: float = 0.0, audience: str = "") -> Event:
    """An event of the client ``client``."""
    return Event(
        kind=kind,
        client_id="client",
        fingerprint="0a1b2c3d",
        reason=reason,
        seconds=seconds,
        holds=holds,
        audience=audience,
    )
