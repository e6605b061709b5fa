"""What the engine's tests share: a scripted authorization server behind a transport, and sources on a fake clock."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable
from typing import Any

from m2m_auth import TokenSource
from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.caches.protocol import Capabilities
from m2m_auth.events import Event
from m2m_auth.oauth2.transport import HttpRequest, HttpResponse, TransportError
from m2m_auth.runtime.clock import Clock
from m2m_auth.source.token_source import engine_of

ENDPOINT = "https://tenant.example/oauth/token"
_clients = itertools.count()
Answer = Callable[[HttpRequest], HttpResponse]


def answer(status: int, data: Any, headers: dict[str, str] | None = None) -> HttpResponse:
    """A response with a JSON body."""
    return HttpResponse(status, {"content-type": "application/json", **(headers or {})}, json.dumps(data).encode())


def refusal(error: str, status: int = 400) -> HttpResponse:
    """An OAuth error."""
    return answer(status, {"error": error})


class ScriptedServer:
    """An authorization server as a transport: mints t1, t2, … unless `script` holds other answers."""

    def __init__(self, lifetime: float = 100.0) -> None:
        self.lifetime = lifetime
        self.extra: dict[str, Any] = {}
        self.headers: dict[str, str] = {}
        self.script: list[HttpResponse | Exception] = []
        self.down: HttpResponse | Exception | None = None
        self.requests: list[HttpRequest] = []
        self.minted: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self._lock = threading.Lock()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer one token request."""
        with self._lock:
            self.requests.append(request)
            given = self.script.pop(0) if self.script else self.down
        assert self.gate.wait(30)
        if isinstance(given, Exception):
            raise given
        if given is not None:
            return given
        with self._lock:
            self.minted.append(f"t{len(self.minted) + 1}-{id(self)}")
            value = self.minted[-1]
        data = {"access_token": value, "token_type": "Bearer", "expires_in": self.lifetime, **self.extra}
        return answer(200, data, self.headers)


OUTAGE = TransportError("connection refused", "connection")


def source_on(server: ScriptedServer, clock: Clock, events: list[Event] | None = None, **options: Any) -> TokenSource:
    """A source of a client of its own, so that no other test shares its token state."""
    options.setdefault("client_secret", "s3cr3t-s3cr3t")
    client_id = options.pop("client_id", f"client-{next(_clients)}-{id(server)}")
    subscriber = options.pop("on_event", events.append if events is not None else None)
    options.setdefault("transport", server)
    return TokenSource(ENDPOINT, client_id, clock=clock, on_event=subscriber, **options)


def settle(*sources: TokenSource) -> None:
    """Wait until no flight is under way: background renewals have landed, and what is done beside them."""
    for source in sources:
        state = engine_of(source).state
        for flight in (state.flight, state.beside):
            if flight is not None:
                flight.wait(30)


class SharedMemory(MemoryTokenCache):
    """One memory that passes for a shared cache: sources with different objects have different token states."""

    capabilities = Capabilities(shared=True)

    def __init__(self, base: SharedMemory | None = None) -> None:
        super().__init__()
        if base is not None:
            self._entries, self._lock = base._entries, base._lock


def kinds(events: list[Event]) -> list[str]:
    """The kinds of the events, in order."""
    return [event.kind for event in events]
