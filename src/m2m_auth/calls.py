"""Which calls carried a token: for whoever wants to see what one piece of work has sent, such as a debug panel.

    with watch_calls(seen.append):
        session.get("https://api.example/orders")    # seen: what the token cost as events, then the call

While nobody watches, a call pays for one look at an empty list. What is told is of the context (contextvars) in which
the watching began: of this request and its tasks, not of another's.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from .events import Event, Reporter
    from .token import AccessToken

__all__ = ["Call", "Watcher", "watch_calls"]


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

watchers: list[Watcher] = []
"""Those of all contexts. Plugins look whether it is empty before they do anything."""
_here: ContextVar[Watcher | None] = ContextVar("m2m_auth_watcher", default=None)


@contextmanager
def watch_calls(watcher: Watcher) -> Generator[None]:
    """Has ``watcher`` called with each :class:`Call` of this context, and with each event of the flights it started.

    Calls are told when they have been answered, on the thread of the call; events (see :mod:`m2m_auth.events`) on the
    thread where they happen, which is a flight's. What it raises is swallowed. Threads that the work itself starts
    without its context are not seen.
    """
    token = _here.set(watcher)
    watchers.append(watcher)
    try:
        yield
    finally:
        watchers.remove(watcher)
        _here.reset(token)


def tell(what: Call | Event) -> None:
    """Hands it to whoever watches this context."""
    watcher = _here.get()
    if watcher is not None and watcher in watchers:  # a flight may outlive the watching
        with suppress(Exception):
            watcher(what)


def tell_call(
    report: Reporter,
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
    if _here.get() is None:
        return
    parts = urlsplit(url)
    shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    mark, age = ("", None) if token is None else (token.fingerprint, max(now - token.issued_at, 0.0))
    tell(Call(method, shown, status, seconds, report.client_id, report.audience, report.alias, mark, age, again))
