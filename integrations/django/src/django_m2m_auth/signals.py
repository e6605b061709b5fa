"""Signals about tokens. They are sent on the thread of the flight that mints, not on the thread of a request.

A receiver may use the database: the connections that it opens are closed after it. Django logs a receiver that raises;
the flight goes on.
"""

from __future__ import annotations

from typing import Any

from django.dispatch import Signal

from m2m_auth import Event

from .database_connections import closing_new_databases

__all__ = ["announce", "renewal_failed", "token_minted"]

token_minted = Signal()
"""A token was minted. Arguments: ``alias``, and ``event``, an :class:`m2m_auth.events.Event` (no token in it)."""
renewal_failed = Signal()
"""An attempt to mint failed. Arguments: ``alias``, and ``event``, whose ``reason`` says why in a word."""

_SIGNALS = {"minted": token_minted, "renewal_failed": renewal_failed}


def announce(sender: Any, event: Event) -> None:
    """Sends the signal for this event, if there is one and it has receivers."""
    signal = _SIGNALS.get(event.kind)
    if signal is not None and signal.has_listeners(sender):
        with closing_new_databases():
            signal.send_robust(sender, alias=event.alias, event=event)
