"""What happens to an app's tokens, as blinker signals. The sender is the app.

A receiver is called with ``alias`` and ``event`` (:class:`m2m_auth.events.Event`, which carries no token and no secret)
on the thread where it happens: that of a token request, seldom that of a view. One that needs the app's context enters
it with ``sender.app_context()``; one that raises breaks nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from blinker import Namespace

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from m2m_auth.events import Event

__all__ = ["renewal_failed", "teller", "token_minted"]

_signals = Namespace()

token_minted = _signals.signal("m2m_auth.token_minted", "A token was minted for a client of this app.")
renewal_failed = _signals.signal("m2m_auth.renewal_failed", "No new token came; the event says why, and until when.")

_SIGNALS = {"minted": token_minted, "renewal_failed": renewal_failed}


def teller(app: Flask, alias: str) -> Callable[[Event], None]:
    """The ``on_event`` of one client of one app."""

    def tell(event: Event) -> None:
        signal = _SIGNALS.get(event.kind)
        if signal is not None:
            signal.send(app, alias=alias, event=event)

    return tell
