"""Requests to an issuer's endpoints: one JSON answer, one thread at a time per question, a pause after a failure."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator, Hashable
from contextlib import contextmanager
from typing import Any, cast

from ..lifecycle.backoff import backoff
from ..oauth2.rate_limit_headers import retry_after
from ..oauth2.transport import HttpRequest, Transport, TransportError
from ..runtime.clock import Clock
from ..runtime.fork_safety import on_fork

__all__ = ["IssuerPause", "KeyedLocks", "NoAnswer", "ask"]

_LONGEST_PAUSE = 300.0
"""The longest pause that a server may ask for, in seconds."""


class NoAnswer(Exception):
    """There is no usable answer.

    Args:
        cause: a short word for the log, e.g. ``timeout`` or ``http_500``.
        wait: the seconds that the server asks to wait, or None.
    """

    def __init__(self, cause: str, wait: float | None = None) -> None:
        super().__init__(cause)
        self.cause, self.wait = cause, wait


def ask(transport: Transport, request: HttpRequest, now: float) -> dict[str, Any]:
    """The JSON object in the answer to ``request``; ``now`` is Unix time.

    Raises:
        NoAnswer: no response, another status than 200, or no JSON object. A redirect is never followed.
    """
    problem: NoAnswer
    try:
        response = transport(request)
    except TransportError as error:
        problem = NoAnswer(error.cause_code)
    except Exception as error:  # a fault in a user's transport must not become a 500 of every call
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


class IssuerPause:
    """The pause after a failure: 1 s, doubling to 30 s, half of it random; longer if the server asks for it."""

    def __init__(self, clock: Clock) -> None:
        self._uniform = clock.uniform
        self._failures = 0
        self._until = 0.0
        self.cause = ""
        """The cause of the latest failure; empty after a success."""

    def failed(self, now: float, error: NoAnswer) -> None:
        """Starts a pause at monotonic time ``now``."""
        self._failures += 1
        pause = backoff(self._failures, first=1.0, longest=30.0, fraction=self._uniform())
        self._until = now + max(pause, min(error.wait or 0.0, _LONGEST_PAUSE))
        self.cause = error.cause

    def succeeded(self) -> None:
        """Ends the pause and forgets the failures."""
        self._failures, self._until, self.cause = 0, 0.0, ""

    def left(self, now: float) -> float:
        """Seconds until the next request may be sent; 0: now."""
        return max(0.0, self._until - now)


class KeyedLocks:
    """A lock for each key: one thread asks, the others wait for it and then read its result."""

    def __init__(self) -> None:
        self.after_fork()
        on_fork(self)

    def after_fork(self) -> None:
        """In a forked child: no other thread exists, so no lock is held."""
        self._lock = threading.Lock()
        self._locks: dict[Hashable, tuple[threading.Lock, int]] = {}

    @contextmanager
    def hold(self, key: Hashable) -> Generator[None, None, None]:
        """Holds the lock of ``key`` while the block runs."""
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

    def held(self, key: Hashable) -> bool:
        """Whether a thread holds the lock of ``key`` or waits for it."""
        with self._lock:
            return key in self._locks
