"""Limits per client and per address in a UTC minute: wrong secrets, and requests.

Wrong secrets are counted in the shared cache. A process that reads there that a limit is reached remembers it until the
minute ends. So a good request costs no request to the cache. Everything that is kept has a bound. The keys of addresses
and of unknown clients are keyed digests of three characters, so a flood of made-up names has few counters.
"""

from __future__ import annotations

from ipaddress import ip_network

from ..runtime.bounded_map import BoundedMap
from ..serving import Request, client_address
from ..shared_cache.counters import SharedCounters
from .allowances import counted_period, keyed_name

__all__ = ["Addresses", "FailedAttempts", "RequestRate", "TimedNames"]

PER_ADDRESS = 3
"""Several clients may share an address, so an address may fail this many times as often as a client."""
_CAPACITY = 4096
_LONGEST_HEADER = 200
"""The longest ``X-Forwarded-For`` that is remembered, in characters."""
_KNOWN_GOOD = 3600.0
"""Seconds that a client's address is remembered after the right secret came from it."""
_SHARED_AGAIN = 600.0
"""A process writes a client's good address to the shared cache again after this many seconds."""


class Addresses:
    """The address that a request is counted under: for IPv6 the /64 network, because one subscriber has all of it.

    Args:
        trusted_proxies: see :func:`~m2m_auth.serving.client_address`.
    """

    def __init__(self, trusted_proxies: int) -> None:
        self._trusted_proxies = trusted_proxies
        self._known: BoundedMap[tuple[str, str], str] = BoundedMap(_CAPACITY)

    def of(self, request: Request) -> str:
        """The client's address or network."""
        forwarded = request.headers.get("x-forwarded-for", "") if self._trusted_proxies else ""
        key = request.address, forwarded
        found = self._known.get(key)
        if found is None:
            address = client_address(request, self._trusted_proxies)
            found = str(ip_network(f"{address}/64", strict=False)) if ":" in address else address
            if len(forwarded) <= _LONGEST_HEADER:
                self._known.set(key, found)
        return found


class TimedNames:
    """Names, each with the time until which it counts. A bounded number is kept.

    Args:
        longest: the longest time that a name counts, in seconds. A longer rest means that the clock was set back.
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._until: BoundedMap[str, float] = BoundedMap(_CAPACITY)

    def seconds_left(self, name: str, now: float) -> float:
        """For how many more seconds the name counts; 0 if it does not."""
        until = self._until.get(name)
        left = 0.0 if until is None else until - now
        return left if 0 < left <= self._longest + 1 else 0.0

    def set(self, name: str, until: float) -> None:
        """Counts the name until this Unix time."""
        self._until.set(name, until)


class FailedAttempts:
    """Wrong secrets, per client and per address.

    A client that lately sent the right secret from an address is blocked there only if both the client and the address
    have failed too often. So guesses from elsewhere, or another client behind the same address, do not keep it from its
    token. The worker that sees the right secret shares this through the shared cache. Before another worker
    blocks the client, it reads that once for each block.

    Args:
        counters: the shared counters.
        key: keys the digests.
        limit: failures per client and minute.
    """

    def __init__(self, counters: SharedCounters, key: bytes, limit: int) -> None:
        self._counters, self._key = counters, key
        self._limits = {"client": limit, "address": limit * PER_ADDRESS}
        self._blocked, self._known_strangers = TimedNames(60.0), TimedNames(60.0)
        self._good = TimedNames(_KNOWN_GOOD)

    def wait(self, client: str, address: str) -> float:
        """Seconds until a secret of this client from this address is checked again; 0: it is checked now."""
        now = self._counters.wall()
        by_address = self._blocked.seconds_left(f"address {address}", now)
        by_client = self._blocked.seconds_left(f"client {client}", now)
        if by_address == by_client:
            return by_client
        longest = max(by_address, by_client)
        return min(by_address, by_client) if self._is_good(f"{address} {client}", now, longest) else longest

    def _is_good(self, name: str, now: float, blocked_for: float) -> bool:
        """Whether the right secret of a client came from an address lately, to this process or to another."""
        if self._good.seconds_left(name, now):
            return True
        if self._known_strangers.seconds_left(name, now):
            return False
        good = self._counters.get(self._good_key(name)) is not None
        (self._good if good else self._known_strangers).set(name, now + blocked_for)
        self._counters.release_thread()
        return good

    def failed(self, client: str, address: str | None) -> None:
        """Counts a wrong secret against the client, and against the address if there is one."""
        now = self._counters.wall()
        minute = counted_period("minute", now)
        for kind, name in (("client", client), ("address", address)):
            if name is None:
                continue
            key = f"m2m1.px.{keyed_name(self._key, kind, name)[:3]}.{minute.key_suffix}"
            if self._counters.increment(key, minute.kept) >= self._limits[kind]:
                self._blocked.set(f"{kind} {name}", minute.end)

    def succeeded(self, client: str, address: str) -> None:
        """Remembers the client's address, and shares it with the other workers every ten minutes."""
        now, name = self._counters.wall(), f"{address} {client}"
        if self._good.seconds_left(name, now) < _KNOWN_GOOD - _SHARED_AGAIN:
            self._good.set(name, now + _KNOWN_GOOD)
            self._counters.set(self._good_key(name), b"1", _KNOWN_GOOD)

    def _good_key(self, name: str) -> str:
        return f"m2m1.pk.{keyed_name(self._key, 'good', name)}"


class RequestRate:
    """The number of requests that one process answers for one vendor in a minute.

    Args:
        limit: the number; None: no limit.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit, self._minute, self._requests = limit, -1, 0

    def wait(self, now: float) -> float:
        """Counts a request; the seconds to wait if it is one too many, else 0."""
        if self._limit is None:
            return 0.0
        minute = int(now // 60)
        if minute != self._minute:
            self._minute, self._requests = minute, 0
        self._requests += 1  # threads may lose a count: the limit need not be exact
        return 60.0 - now % 60.0 if self._requests > self._limit else 0.0
