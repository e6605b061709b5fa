"""Signals about an app's tokens, by blinker. The sender is the app.

A receiver gets ``alias`` and ``event``, an :class:`m2m_auth.Event`, which carries no token and no secret. It runs on
the thread of the flight that mints, rarely on a view's thread. A receiver that needs the app's context enters
``sender.app_context()``. The flight goes on where a receiver raises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from blinker import Namespace

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from m2m_auth import Event

__all__ = ["renewal_failed", "signal_sender", "token_minted"]

_signals = Namespace()

token_minted = _signals.signal("m2m_auth.token_minted", "A token was minted for a client of this app.")
renewal_failed = _signals.signal(
    "m2m_auth.renewal_failed", "An attempt to mint failed; the event says why, and when the next attempt may be."
)

_SIGNALS = {"minted": token_minted, "renewal_failed": renewal_failed}


def signal_sender(app: Flask, alias: str) -> Callable[[Event], None]:
    """The ``on_event`` of one client of one app."""

    def send(event: Event) -> None:
        signal = _SIGNALS.get(event.kind)
        if signal is not None:
            signal.send(app, alias=alias, event=event)

    return send
