"""The blinker signals about an app's tokens; the app is the sender."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from flask_apps import MakeApp
from flask_m2m_auth import M2M, renewal_failed, token_minted

from m2m_auth import TokenUnavailable
from m2m_auth.events import Event
from m2m_auth.testing import FakeAuthorizationServer

pytestmark = pytest.mark.loopback


def test_a_mint_sends_a_signal(server: FakeAuthorizationServer, make_app: MakeApp, m2m: M2M) -> None:
    """The sender is the app itself, not a proxy; alias and event name the client and the token."""
    received: list[tuple[Flask, str, Event]] = []

    def receiver(sender: Flask, alias: str, event: Event, **_: Any) -> None:
        with sender.app_context():
            received.append((sender, m2m[alias].alias, event))

    app, other = make_app(), make_app()
    with token_minted.connected_to(receiver, sender=app):
        for each in (app, other):
            with each.app_context():
                token = m2m["billing"].source.token()
    (event,) = [event for sender, alias, event in received if sender is app and alias == "billing"]
    assert (event.kind, event.fingerprint, event.reason) == ("minted", token.fingerprint, "cold")
    assert len(received) == 1


def test_a_failure_sends_a_signal(server: FakeAuthorizationServer, make_app: MakeApp, m2m: M2M) -> None:
    """The event has the reason, and when the next attempt may be."""
    received: list[Event] = []

    def receiver(sender: Flask, event: Event, **_: Any) -> None:
        received.append(event)

    server.fail("503")
    app = make_app()
    with renewal_failed.connected_to(receiver, sender=app), app.app_context(), pytest.raises(TokenUnavailable):
        m2m["billing"].source.token()
    assert [(event.alias, event.reason) for event in received] == [("billing", "http_503")]
    assert received[0].holds > 0


def test_a_receiver_that_raises_breaks_nothing(
    server: FakeAuthorizationServer, make_app: MakeApp, m2m: M2M, caplog: pytest.LogCaptureFixture
) -> None:
    """The token is minted all the same; the log names the exception."""

    def receiver(sender: Flask, **_: Any) -> None:
        raise ZeroDivisionError(sender)

    app = make_app()
    with token_minted.connected_to(receiver, sender=app), app.app_context():
        assert m2m["billing"].source.token().fingerprint
    assert "on_event raised ZeroDivisionError" in caplog.text
