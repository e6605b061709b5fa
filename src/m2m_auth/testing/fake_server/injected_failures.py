"""The failures of the fake token endpoint: each mode is a small function that describes one bad answer.

An :class:`InjectedFailure` either replaces the answer (an error page, a redirect) or damages its delivery (truncated,
byte by byte). A damaged answer was a real one: its token was minted, as at a real server.
"""

from __future__ import annotations

import inspect
import json
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from email.utils import format_datetime
from functools import partial
from typing import Literal, TypeAlias

from ...errors import nearest
from .http_server import Reply

FailureMode: TypeAlias = Literal[
    "500",
    "503",
    "429",
    "hang",
    "slow_drip",
    "reset",
    "truncated",
    "not_json",
    "empty",
    "huge",
    "redirect",
    "invalid_client",
    "oauth_error",
    "empty_403",
]

HTML = ("Content-Type", "text/html; charset=utf-8")
JSON = ("Content-Type", "application/json")


@dataclass(frozen=True)
class InjectedFailure:
    """One failure. Without a ``reply`` the server mints a token and damages the ``delivery`` of the answer."""

    reply: Reply | None = None
    delivery: Literal["whole", "hang", "slow_drip", "reset", "truncated"] = "whole"
    interval: float = 0.0
    over: threading.Event = field(default_factory=threading.Event)
    """``recover()`` sets it; hanging requests wait for it."""


class FailureQueue:
    """The failures of the next requests. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: deque[tuple[InjectedFailure, int | None]] = deque()
        self._over = threading.Event()

    def add(self, failure: InjectedFailure, times: int | None) -> None:
        """Queues a failure for ``times`` requests; None: for all. It replaces one for all at the end of the queue."""
        with self._lock:
            if self._pending and self._pending[-1][1] is None:
                self._pending.pop()
            self._pending.append((replace(failure, over=self._over), times))

    def take(self) -> InjectedFailure | None:
        """The failure for this request, or None."""
        with self._lock:
            if not self._pending:
                return None
            failure, times = self._pending[0]
            if times == 1:
                self._pending.popleft()
            elif times is not None:
                self._pending[0] = (failure, times - 1)
            return failure

    def recover(self) -> None:
        """Empties the queue and ends the wait of hanging requests."""
        with self._lock:
            self._pending.clear()
            self._over.set()
            self._over = threading.Event()


def describe(mode: str, details: Mapping[str, object]) -> InjectedFailure:
    """The failure behind a mode's name.

    Raises:
        ValueError: no mode has this name.
        TypeError: the mode has no such detail, or needs one that is missing.
    """
    build = _MODES.get(mode)
    if build is None:
        raise ValueError(f"unknown failure mode {mode!r}{nearest(mode, _MODES)}. Known: {', '.join(_MODES)}")
    known = inspect.signature(build).parameters
    for name in details:
        if name not in known:
            raise TypeError(
                f"failure mode {mode!r} has no detail {name!r}{nearest(name, known)}. "
                f"Known: {', '.join(known) or 'none'}"
            )
    return build(**details)


def error_reply(
    status: int, error: str, description: str | None = None, *headers: tuple[str, str], **members: str
) -> Reply:
    """An error answer of RFC 6749 §5.2."""
    body = {"error": error, **({} if description is None else {"error_description": description}), **members}
    return Reply(status, json.dumps(body).encode(), (JSON, ("Cache-Control", "no-store"), *headers))


def _error_page(
    *, status: int, body: str = "<h1>Sorry</h1>", headers: Mapping[str, str] | None = None
) -> InjectedFailure:
    return InjectedFailure(Reply(status, body.encode(), (HTML, *(headers or {}).items())))


def _too_many_requests(
    *, retry_after: float | str | datetime | None = None, status: int = 429, headers: Mapping[str, str] | None = None
) -> InjectedFailure:
    extra = dict(headers or {})
    if isinstance(retry_after, datetime):
        extra["Retry-After"] = format_datetime(retry_after.astimezone(timezone.utc), usegmt=True)
    elif retry_after is not None:
        extra["Retry-After"] = retry_after if isinstance(retry_after, str) else f"{retry_after:.15g}"
    return InjectedFailure(error_reply(status, "too_many_requests", None, *extra.items()))


def _slow_drip(*, interval: float = 0.05) -> InjectedFailure:
    return InjectedFailure(delivery="slow_drip", interval=interval)


def _huge(*, size: int = 2 * 1024 * 1024) -> InjectedFailure:
    # Valid except for its size, so that only a client with a limit refuses it.
    answer = {"access_token": "huge", "token_type": "Bearer", "expires_in": 3600, "padding": ""}
    answer["padding"] = "x" * (size - len(json.dumps(answer)))
    return InjectedFailure(Reply(200, json.dumps(answer).encode(), (JSON,)))


def _redirect(*, location: str = "/moved", status: int = 302) -> InjectedFailure:
    return InjectedFailure(Reply(status, b"", (("Location", location),)))


def _oauth_error(
    *, error: str = "invalid_request", description: str | None = None, uri: str | None = None, status: int = 400
) -> InjectedFailure:
    return InjectedFailure(error_reply(status, error, description, **({} if uri is None else {"error_uri": uri})))


def _fixed(failure: InjectedFailure) -> Callable[..., InjectedFailure]:
    def build() -> InjectedFailure:
        return failure

    return build


INVALID_CLIENT = error_reply(401, "invalid_client", None, ("WWW-Authenticate", 'Basic realm="fake"'))

_MODES: dict[str, Callable[..., InjectedFailure]] = {
    "500": partial(_error_page, status=500),
    "503": partial(_error_page, status=503),
    "429": _too_many_requests,
    "hang": _fixed(InjectedFailure(delivery="hang")),
    "slow_drip": _slow_drip,
    "reset": _fixed(InjectedFailure(delivery="reset")),
    "truncated": _fixed(InjectedFailure(delivery="truncated")),
    "not_json": _fixed(InjectedFailure(Reply(200, b"<!doctype html><title>Sign in</title>", (HTML,)))),
    "empty": _fixed(InjectedFailure(Reply(200))),
    "huge": _huge,
    "redirect": _redirect,
    "invalid_client": _fixed(InjectedFailure(INVALID_CLIENT)),
    "oauth_error": _oauth_error,
    "empty_403": _fixed(InjectedFailure(Reply(403))),
}
