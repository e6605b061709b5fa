"""Which calls carried a token: for a debug panel, or for a test that checks what its code sends.

    with watch_calls(seen.append):
        session.get("https://api.example/orders")    # seen: the events of getting a token, then the call

An observer sees the calls of its own context (contextvars): of this request and its tasks, not of another one.
Without an observer, a call costs one check of an empty list.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ..runtime.observers import is_observed, notify, observing
from ..values import Value

if TYPE_CHECKING:
    from ..events import Event, EventEmitter
    from ..oauth2.tokens import AccessToken

__all__ = ["Call", "Watcher", "notify_call", "watch_calls"]


class Call(Value):
    """A call that carried a token and was answered. It holds no token, and no part of the URL that may hold a secret.

    A call whose token was refused and that was sent again is two calls.
    """

    method: str
    url: str
    """Scheme, host, port and path; neither the query nor a login."""
    status: int
    """The HTTP status of the answer."""
    seconds: float
    """From sending the request to the head of its answer; the time to get a token is not in it."""
    client_id: str
    audience: str
    """The audience that the source asks for, or ``""``."""
    alias: str
    """The source's alias, or ``""``."""
    fingerprint: str
    """8 hexadecimal digits for the token; ``""`` if the token has been replaced twice since."""
    age: float | None
    """The token's age in seconds, counted from its token request; None where the fingerprint is ``""``."""
    again: bool
    """True for the second try of a call whose token was refused."""


Watcher = Callable[["Call | Event"], object]
"""Called with each call and each event."""


def watch_calls(watcher: Watcher) -> AbstractContextManager[None]:
    """Calls ``watcher`` with each :class:`Call` of this context, and with each event of the flights it started.

    A call is reported on its own thread, when it is answered; an event (see :mod:`m2m_auth.events`) on the flight's
    thread, when it happens. Exceptions of the watcher are ignored. A thread that is started without this context is
    not seen.
    """
    return observing(watcher)


def notify_call(
    events: EventEmitter,
    token: AccessToken | None,
    now: float,
    *,
    method: str,
    url: str,
    status: int,
    seconds: float,
    again: bool,
) -> None:
    """For front doors: shows this context's observer that a call of this source was answered; ``now`` is Unix time."""
    if not is_observed():
        return
    parts = urlsplit(url)
    notify(
        Call(
            method=method,
            url=f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}",
            status=status,
            seconds=seconds,
            client_id=events.client_id,
            audience=events.audience,
            alias=events.alias,
            fingerprint=token.fingerprint if token is not None else "",
            age=max(now - token.issued_at, 0.0) if token is not None else None,
            again=again,
        )
    )
