"""Which calls carried a token: for whoever wants to see what one piece of work has sent, such as a debug panel.

    with watch_calls(seen.append):
        session.get("https://api.example/orders")    # seen: what the token cost as events, then the call

While nobody watches, a call pays for one look at an empty list. What is told is of the context (contextvars) in which
the watching began: of this request and its tasks, not of another's.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from ..runtime.observers import is_observed, notify, observing

if TYPE_CHECKING:
    from ..events import Event, EventEmitter
    from ..oauth2.tokens import AccessToken

__all__ = ["Call", "Watcher", "notify_call", "watch_calls"]


class Call(NamedTuple):
    """A call that carried a token and was answered. No token is in it, and nothing of the URL that may hold a secret.

    One that was refused and sent again with another token is two calls.
    """

    method: str
    url: str
    """Scheme, host, port and path: neither query nor login."""
    status: int
    """The HTTP status of the answer."""
    seconds: float
    """From sending the request to the head of the answer; the token was got before."""
    client_id: str
    audience: str
    """The audience that the source asks for, or ``""``."""
    alias: str
    """The source's alias, or ``""``."""
    fingerprint: str
    """8 hexadecimal digits for the token; ``""`` for one that has been replaced twice in the meantime."""
    age: float | None
    """How many seconds ago that token was asked for."""
    again: bool
    """True for the second try of a call whose token was refused."""


Watcher = Callable[["Call | Event"], object]
"""Called with each call and each event."""


def watch_calls(watcher: Watcher) -> AbstractContextManager[None]:
    """Calls ``watcher`` with each :class:`Call` of this context, and with each event of the flights it started.

    A call is reported when it is answered, on its own thread; an event (see :mod:`m2m_auth.events`) on the thread
    where it happens, which is a flight's. What the watcher raises is swallowed. Threads that the work itself starts
    without its context are not seen.
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
    """For plugins: a call of this source was answered; ``now`` is Unix time."""
    if not is_observed():
        return
    parts = urlsplit(url)
    shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    fingerprint, age = ("", None) if token is None else (token.fingerprint, max(now - token.issued_at, 0.0))
    notify(
        Call(method, shown, status, seconds, events.client_id, events.audience, events.alias, fingerprint, age, again)
    )
