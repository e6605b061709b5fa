"""How verifiers ask their servers: one JSON answer over a transport, when to ask again, and one asker at a time."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Generator, Hashable
from contextlib import contextmanager
from typing import Any, cast
from urllib.parse import urlsplit

from ..errors import ConfigurationError
from ..oauth2.origins import is_loopback
from ..oauth2.rate_limit_headers import retry_after
from ..oauth2.transport import HttpRequest, Transport, TransportError
from ..runtime.clock import Clock
from ..runtime.fork_safety import on_fork

__all__ = ["Backoff", "NoAnswer", "Turns", "ask", "checked_url", "seconds"]


class NoAnswer(Exception):
    """There is no usable answer. ``cause`` is a short word for the log, e.g. ``timeout`` or ``http_500``."""

    def __init__(self, cause: str, wait: float | None = None) -> None:
        super().__init__(cause)
        self.cause = cause
        self.wait = wait
        """Seconds that the server asks to wait, or None."""


def ask(transport: Transport, request: HttpRequest, now: float) -> dict[str, Any]:
    """The JSON object that answers ``request``; ``now`` is Unix time.

    Raises:
        NoAnswer: no response, another status than 200 (a redirect, too: it is never followed), or no JSON object.
    """
    problem: NoAnswer
    try:
        response = transport(request)
    except TransportError as error:
        problem = NoAnswer(error.cause_code)
    except Exception as error:  # a user's transport gone wild must not become a 500 of every call
        problem = NoAnswer(type(error).__name__)
    else:
        if response.status != 200:
            wait = retry_after(response.headers, now) if response.status in (429, 503) else None
            raise NoAnswer(f"http_{response.status}", wait)
        try:
            data = json.loads(response.body)
        except (ValueError, RecursionError):
            data = None
        if isinstance(data, dict):
            return cast("dict[str, Any]", data)
        raise NoAnswer("not_json")
    # Outside of the except clause: the exception there may hold the request, and with it a token or a secret.
    raise problem


def checked_url(who: str, name: str, url: object) -> str:
    """``url``, which is https, or http on loopback. Raises ConfigurationError."""
    shown = f"{who}: {name}"
    if not isinstance(url, str) or not url.strip():
        raise ConfigurationError(f"{shown} is missing or blank. Fix: the server's https URL")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ConfigurationError(f"{shown} is not a URL like 'https://tenant.example/…'") from None
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(f"{shown} has credentials in the URL. Fix: leave them out")
    if not host or parts.scheme not in ("http", "https") or parts.fragment or re.search(r"[\x00-\x20\x7f\\]", url):
        raise ConfigurationError(f"{shown}={url!r} is not a URL like 'https://tenant.example/…'")
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigurationError(
            f"{shown}={url!r} is plain http: whoever is on the way could let anybody in. Fix: https"
        )
    return url


def seconds(who: str, name: str, value: object, least: float, most: float) -> float:
    """``value`` as seconds within these bounds. Raises ConfigurationError."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise ConfigurationError(f"{who}: {name}={value!r} must be {least:g} to {most:g} seconds")
    return float(value)


class Backoff:
    """When to try again after a failure: 1 s, doubling to 30 s, half of it by chance; or when the server says."""

    def __init__(self, clock: Clock) -> None:
        self._uniform = clock.uniform
        self._failures = 0
        self._until = 0.0
        self.cause = ""
        """What the latest failure was; empty after a success."""

    def failed(self, now: float, error: NoAnswer) -> None:
        """Notes a failure at monotonic time ``now``."""
        delay = min(30.0, 2.0**self._failures)
        wait = delay * (0.5 + 0.5 * self._uniform())
        self._until = now + max(wait, min(error.wait or 0.0, 300.0))
        self._failures = min(self._failures + 1, 10)
        self.cause = error.cause

    def succeeded(self) -> None:
        """Starts afresh."""
        self._failures, self._until, self.cause = 0, 0.0, ""

    def left(self, now: float) -> float:
        """Seconds until the next try; 0 if it may be made now."""
        return max(0.0, self._until - now)


class Turns:
    """One thread at a time for each key; the others wait, and then find what the first one brought."""

    def __init__(self) -> None:
        self.after_fork()
        on_fork(self)

    def after_fork(self) -> None:
        """In a forked child nobody is under way."""
        self._lock = threading.Lock()
        self._locks: dict[Hashable, tuple[threading.Lock, int]] = {}

    @contextmanager
    def take(self, key: Hashable) -> Generator[None, None, None]:
        """Holds the turn for ``key``."""
        with self._lock:
            lock, users = self._locks.get(key) or (threading.Lock(), 0)
            self._locks[key] = lock, users + 1
        try:
            with lock:
                yield
        finally:
            with self._lock:
                _, users = self._locks.get(key, (lock, 1))
                if users > 1:
                    self._locks[key] = lock, users - 1
                else:
                    self._locks.pop(key, None)

    def taken(self, key: Hashable) -> bool:
        """Whether somebody is at it."""
        with self._lock:
            return key in self._locks
