"""What the hosts share: the cache and the authorization server."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from random import Random

from m2m_auth.caches.protocol import Capabilities
from m2m_auth.errors import CacheUnavailable
from m2m_auth.oauth2.transport import HttpRequest, HttpResponse, TransportError

from .hub import Hub, Process
from .world import STEPS, World

__all__ = ["AuthorizationServer", "Link", "Store"]

CACHE_DEADLINE = 0.1


class Store:
    """The shared cache's memory, and how many operations it has seen in each second."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._entries: dict[str, tuple[bytes, float]] = {}
        self.operations: Counter[int] = Counter()

    def live(self, key: str) -> bytes | None:
        """The value under ``key`` now."""
        self.operations[int(self._hub.now)] += 1
        value, until = self._entries.get(key, (None, 0.0))
        return value if self._hub.now < until else None

    def put(self, key: str, value: bytes, ttl: float) -> None:
        self._entries[key] = (value, self._hub.now + ttl)

    def drop(self, key: str) -> None:
        self._entries.pop(key, None)


class Link:
    """One process's connection to the store: a :class:`~m2m_auth.caches.TokenCache` with latency and faults."""

    capabilities = Capabilities()

    def __init__(self, process: Process, store: Store, world: World, rng: Random, die: Callable[[], object]) -> None:
        self._process, self._store, self._world, self._rng = process, store, world, rng
        self._die = die
        self._last_step: str | None = None

    def about_to(self, step: str) -> None:
        """kill -9 in front of this step, if that is where this lease holder dies."""
        if self._last_step == step:
            self._die()
        self._process.must_live()

    def get(self, key: str) -> bytes | None:
        self.about_to("read again")
        self._travel()
        return self._store.live(key)

    def set(self, key: str, value: bytes, ttl: float) -> None:
        self.about_to("share")
        self._travel()
        self._store.live(key)
        self._store.put(key, value, ttl)

    def delete(self, key: str) -> None:
        self._travel()
        self._store.live(key)
        self._store.drop(key)

    def add(self, key: str, value: bytes, ttl: float) -> bool:
        self._travel()
        won = self._store.live(key) is None
        if won:
            self._store.put(key, value, ttl)
            if self._rng.random() < self._world.holder_dies:
                self._last_step = self._rng.choice(STEPS)
        return won

    def delete_if(self, key: str, value: bytes) -> bool:
        self.about_to("release")
        self._travel()
        mine = self._store.live(key) == value
        if mine:
            self._store.drop(key)
        return mine

    def increment(self, key: str, ttl: float) -> int:
        self._travel()
        count = int(self._store.live(key) or b"0") + 1
        self._store.put(key, str(count).encode(), ttl)
        return count

    def close(self) -> None:
        """Does nothing: there is no connection."""

    def _travel(self) -> None:
        """The way to the store and back, all of it before the store is reached.

        So the time between two accesses is what it would be with two ways, for half of the events.
        """
        self._process.must_live()
        world, rng = self._world, self._rng
        took = world.draw_cache(rng)
        if took > CACHE_DEADLINE or (world.cache_faults and rng.random() < world.cache_faults):
            self._process.sleep(CACHE_DEADLINE)
            raise CacheUnavailable("the deadline of 100 ms has passed")
        self._process.sleep(took)


class AuthorizationServer:
    """Mints, or is down. Knows when it was asked, and when it minted."""

    def __init__(self, hub: Hub, world: World, rng: Random) -> None:
        self._hub, self._world, self._rng = hub, world, rng
        self.attempts: list[float] = []
        self.mints: list[float] = []

    def answer(self, link: Link, process: Process, request: HttpRequest) -> HttpResponse:
        """One token request, as a transport makes it."""
        link.about_to("request")
        took = min(self._world.draw_mint(self._rng), request.timeout)
        process.sleep(took / 2)
        now = self._hub.now
        self.attempts.append(now)
        outage = self._world.outage
        if outage is not None and outage[0] <= now < outage[1]:
            if self._rng.random() < self._world.hangs:
                process.sleep(request.timeout - took / 2)
                raise TransportError("no answer in time", "timeout")
            process.sleep(took / 2)
            return HttpResponse(503, {}, b"")
        self.mints.append(now)
        body = {"access_token": f"token-{len(self.mints)}", "token_type": "Bearer", "expires_in": self._world.lifetime}
        link.about_to("answer")
        process.sleep(took / 2)
        return HttpResponse(200, {"content-type": "application/json"}, json.dumps(body).encode())
