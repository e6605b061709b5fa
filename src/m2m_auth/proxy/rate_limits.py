"""How often may one fail, and how often may one ask: per client and per address, in a UTC minute.

Wrong secrets are counted in the shared cache, by whoever meets one; a process that learns there that it was one too
many remembers it until the minute ends. So a good request costs no look into the cache, and all that is kept here is
bounded. Addresses and unknown clients are keyed digests, of which there are so many and no more.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Generator
from contextlib import contextmanager
from ipaddress import ip_network

from ..runtime.fork_safety import on_fork
from ..serving import Request, client_address
from .allowances import KEPT, Counters, ends_in, label, short

__all__ = ["Addresses", "Failures", "Rate", "UnderWay", "Window"]

PER_ADDRESS = 3
"""Several clients may share an address, so it may fail this many times as often as one of them."""
_MANY = 4096
_LONGEST_HOPS = 200
"""Characters of a header that are remembered."""
_KNOWN_GOOD = 3600.0
"""Seconds that an address is remembered from which a client came with the right secret."""
_TOLD_AGAIN = 600.0
"""Seconds after which a process remembers it anew, and tells the others."""


class Addresses:
    """Where requests come from, as far as limits go: of IPv6 the /64, since whoever has one address there has them all.

    Args:
        trusted_proxies: see :func:`~m2m_auth.serving.client_address`.
    """

    def __init__(self, trusted_proxies: int) -> None:
        self._trusted_proxies = trusted_proxies
        self._known: dict[tuple[str, str], str] = {}

    def of(self, request: Request) -> str:
        """The address, or the network, of whoever sent a request."""
        hops = request.headers.get("x-forwarded-for", "") if self._trusted_proxies else ""
        key = request.address, hops
        found = self._known.get(key)
        if found is None:
            address = client_address(request, self._trusted_proxies)
            found = str(ip_network(f"{address}/64", strict=False)) if ":" in address else address
            if len(hops) <= _LONGEST_HOPS:
                if len(self._known) >= _MANY:
                    self._known.clear()
                self._known[key] = found
        return found


class Window:
    """Names with the time until which something holds for them; the oldest go first.

    Args:
        longest: seconds for which it may hold; what seems to hold for longer is from before the clock was set back.
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._until: OrderedDict[str, float] = OrderedDict()
        self.after_fork()
        on_fork(self)

    def after_fork(self) -> None:
        """In a forked child: another thread may have held the lock."""
        self._lock = threading.Lock()

    def left(self, name: str, now: float) -> float:
        """For how many seconds it still holds; 0: not at all."""
        left = self._until.get(name, now) - now
        return left if 0 < left <= self._longest + 1 else 0.0

    def put(self, name: str, until: float) -> None:
        """From now on until then."""
        with self._lock:
            self._until[name] = until
            self._until.move_to_end(name)
            if len(self._until) > _MANY:
                self._until.popitem(last=False)


class Failures:
    """Wrong secrets, per client and per address.

    A client that has lately come from an address with the right secret is shut out there only if both have failed too
    often: somebody who guesses elsewhere, or another client behind the same address, must not keep it from its token.
    Whoever sees it come tells the other workers, who look there when they would shut it out, once until the bar ends.

    Args:
        counters: the shared cache.
        key: for the digests.
        limit: failures per client and minute.
    """

    def __init__(self, counters: Counters, key: bytes, limit: int) -> None:
        self._counters, self._key = counters, key
        self._limits = {"client": limit, "address": limit * PER_ADDRESS}
        self._barred, self._strange, self._good = Window(60.0), Window(60.0), Window(_KNOWN_GOOD)

    def wait(self, client: str, address: str) -> float:
        """Seconds until a secret of this client, from this address, is looked at again; 0: now."""
        now = self._counters.wall()
        by_address = self._barred.left(f"address {address}", now)
        by_client = self._barred.left(f"client {client}", now)
        if by_address == by_client:
            return by_client
        longest = max(by_address, by_client)
        return min(by_address, by_client) if self._comes_from(f"{address} {client}", now, longest) else longest

    def _comes_from(self, name: str, now: float, bar: float) -> bool:
        """Whether a client has lately come from an address with the right secret, to this process or to another."""
        if self._good.left(name, now):
            return True
        if self._strange.left(name, now):
            return False
        good = self._counters.get(self._told(name)) is not None
        (self._good if good else self._strange).put(name, now + bar)
        self._counters.release()
        return good

    def failed(self, client: str, address: str | None) -> None:
        """Counts a wrong secret; not against an address where it is None."""
        now = self._counters.wall()
        for kind, name in (("client", client), ("address", address)):
            if name is None:
                continue
            key = f"m2m1.px.{short(self._key, kind, name)[:3]}.{label('minute', now)}"
            if self._counters.add_one(key, KEPT["minute"]) >= self._limits[kind]:
                self._barred.put(f"{kind} {name}", now + ends_in("minute", now))

    def succeeded(self, client: str, address: str) -> None:
        """Remembers where a client comes from, and tells the others now and then."""
        now, name = self._counters.wall(), f"{address} {client}"
        if self._good.left(name, now) < _KNOWN_GOOD - _TOLD_AGAIN:
            self._good.put(name, now + _KNOWN_GOOD)
            self._counters.set(self._told(name), b"1", _KNOWN_GOOD)

    def _told(self, name: str) -> str:
        return f"m2m1.pk.{short(self._key, 'good', name)}"


class UnderWay:
    """What is being done now, each thing by any number of threads."""

    def __init__(self) -> None:
        self._threads: dict[bytes, int] = {}
        self.after_fork()
        on_fork(self)

    def after_fork(self) -> None:
        """In a forked child: another thread may have held the lock, and none of them is here."""
        self._lock = threading.Lock()
        self._threads.clear()

    def __contains__(self, what: bytes) -> bool:
        return what in self._threads

    @contextmanager
    def while_(self, what: bytes) -> Generator[None, None, None]:
        """While the block runs, it is being done."""
        with self._lock:
            self._threads[what] = self._threads.get(what, 0) + 1
        try:
            yield
        finally:
            with self._lock:
                self._threads[what] -= 1
                if not self._threads[what]:
                    del self._threads[what]


class Rate:
    """How often one vendor may ask this process in a minute.

    Args:
        limit: how often; None: as often as it likes.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit, self._minute, self._asked = limit, -1, 0

    def wait(self, now: float) -> float:
        """Counts a request; seconds to wait if it was one too many, else 0."""
        if self._limit is None:
            return 0.0
        minute = int(now // 60)
        if minute != self._minute:
            self._minute, self._asked = minute, 0
        self._asked += 1  # threads may lose a count here: it is a brake, no account
        return ends_in("minute", now) if self._asked > self._limit else 0.0
