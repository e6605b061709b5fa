"""A process that stops at a given point of a renewal until the parent lets it go on. See fault_processes.py.

Commands come on stdin, one a line; answers go to stdout, one JSON object a line.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from m2m_auth import RenewalPolicy, TokenSource, TokenUnavailable
from m2m_auth.caches.disk.disk_token_cache import DiskTokenCache
from m2m_auth.caches.protocol import release_thread
from m2m_auth.http.transports import as_transport
from m2m_auth.oauth2.transport import HttpRequest, HttpResponse
from m2m_auth.source.token_source import engine_of

T = TypeVar("T")


def tell(**facts: Any) -> None:
    """One answer to the parent."""
    print(json.dumps(facts), flush=True)


class Stop:
    """Stops at a point ``operation.kind.nth.when``: the nth such operation on such a key, ``before`` or ``after`` it.

    An ``add`` that won is a point of its own, ``won``.
    """

    def __init__(self, point: str) -> None:
        self.operation, self.kind, nth, self.when = point.split(".") if point else ("", "", "0", "")
        self.left = int(nth)
        self.armed = False

    def around(self, operation: str, key: str, call: Callable[[], T]) -> T:
        """Makes the call, and stops before or after it if this is the point."""
        here = self.armed and operation == self.operation and key.startswith(f"m2m1.{self.kind}.")
        self.left -= here
        here = here and self.left == 0
        if here and self.when == "before":
            self.wait(key)
        result = call()
        if here and self.when == "after":
            self.wait(key)
        return result

    def wait(self, key: str) -> None:
        """Reports to the parent, and waits for its next line."""
        tell(stopped=key)
        sys.stdin.readline()


class StoppingCache:
    """A disk cache in which every operation may stop; and a transport that may."""

    def __init__(self, inner: DiskTokenCache, stop: Stop) -> None:
        self.capabilities = inner.capabilities
        self._inner, self._around, self._transport = inner, stop.around, as_transport(None)

    def get(self, key: str) -> bytes | None:
        """See :class:`m2m_auth.caches.TokenCache`."""
        return self._around("get", key, lambda: self._inner.get(key))

    def set(self, key: str, value: bytes, ttl: float) -> None:
        """See :class:`m2m_auth.caches.TokenCache`."""
        self._around("set", key, lambda: self._inner.set(key, value, ttl))

    def delete(self, key: str) -> None:
        """See :class:`m2m_auth.caches.TokenCache`."""
        self._around("delete", key, lambda: self._inner.delete(key))

    def add(self, key: str, value: bytes, ttl: float) -> bool:
        """See :class:`m2m_auth.caches.TokenCache`."""
        won = self._around("add", key, lambda: self._inner.add(key, value, ttl))
        return won and self._around("won", key, lambda: True)

    def delete_if(self, key: str, value: bytes) -> bool:
        """See :class:`m2m_auth.caches.TokenCache`."""
        return self._around("delete_if", key, lambda: self._inner.delete_if(key, value))

    def increment(self, key: str, ttl: float) -> int:
        """See :class:`m2m_auth.caches.TokenCache`."""
        return self._around("increment", key, lambda: self._inner.increment(key, ttl))

    def close(self) -> None:
        """See :class:`m2m_auth.caches.TokenCache`."""
        self._inner.close()

    def release_thread(self) -> None:
        """See :class:`m2m_auth.caches.disk.DiskTokenCache`."""
        release_thread(self._inner)

    def send(self, request: HttpRequest) -> HttpResponse:
        """A token request; its point is ``mint.mint``."""
        return self._around("mint", "m2m1.mint.", lambda: self._transport(request))


def main(endpoint: str, folder: str, point: str, policy: str) -> None:
    """Serves the parent's commands."""
    logging.disable()
    stop = Stop(point)
    cache = StoppingCache(DiskTokenCache(folder), stop)
    renewal = RenewalPolicy(**json.loads(policy))
    with TokenSource(endpoint, "client", "secret", cache=cache, transport=cache.send, policy=renewal) as source:
        tell(ready=True)
        for command in iter(sys.stdin.readline, ""):
            before = engine_of(source).state.held
            stop.armed = command != "unarmed token\n"
            try:
                value = source.token().value
                while command == "next token\n" and before is not None and value == before.token.value:
                    value = source.token().value
                    if (flight := engine_of(source).state.flight) is not None:
                        flight.wait(60)
                tell(token=value)
            except TokenUnavailable as error:
                tell(error=error.cause_code)


if __name__ == "__main__":
    main(*sys.argv[1:])
