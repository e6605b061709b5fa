"""Silence: no secret and no token in any repr, error, log, signal, command or page of the Flask package."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from canaries import SECRET, TOKEN, Needles, Recorder, chain, frames, recorded, shown_by, shown_by_frame, texts
from flask import Flask
from flask_apps import MakeApp
from flask_m2m_auth import M2M, renewal_failed, status_page, token_minted

from m2m_auth import M2MAuthError
from m2m_auth.testing import FakeAuthorizationServer

PASSWORD = "canary-password-of-the-cache-0123456789"
KEY = "canary-encryption-key-0123456789abcdef"
NEEDLES = Needles(SECRET, TOKEN, PASSWORD, KEY)


@pytest.fixture
def recorder(server: FakeAuthorizationServer) -> Iterator[Recorder]:
    """Everything in logs, warnings and signals."""
    server.clients["client"] = SECRET
    server.extra_response = {"access_token": TOKEN}
    with recorded() as recorder:

        def receive(sender: Flask, **facts: Any) -> None:
            recorder.shown += texts(sender)  # not deeper: an app's configuration is the user's to hide
            for fact in facts.values():
                recorder.on_event(fact)

        with token_minted.connected_to(receive), renewal_failed.connected_to(receive):
            yield recorder


def found_in(texts: Any) -> list[str]:
    """The texts that hold a canary."""
    return [text for text in texts if NEEDLES.found_in(text)]


def test_the_needles_are_found() -> None:
    """The search finds a secret that is shown."""
    assert found_in([f"client_secret={SECRET!r}", PASSWORD, KEY, TOKEN, "nothing"]) != []
    assert len(found_in([SECRET, PASSWORD, KEY, TOKEN])) == 4


@pytest.mark.loopback
def test_silence_on_success(make_app: MakeApp, m2m: M2M, recorder: Recorder) -> None:
    """Objects, signals, logs, every command and the page, from a cold start to a failure."""
    app = make_app({"CLIENT_SECRET": SECRET}, M2M_AUTH_ENCRYPTION_KEYS=[KEY])
    app.register_blueprint(status_page(lambda: True), url_prefix="/tokens")
    with app.app_context():
        billing = m2m["billing"]
        assert billing.source() == TOKEN
        state = app.extensions["m2m_auth"]
        objects = [m2m, billing, billing.source, billing.requests_auth(), billing.httpx_auth(), state, state.settings]
        objects += [state.settings.client("billing"), state._clients, state.settings.clients, state.settings.caches]
        recorder.shown += [text for each in objects for text in shown_by(each)]
    commands = (["status"], ["status", "--json"], ["token", "billing"], ["token", "billing", "--json"])
    for arguments in (*commands, ["renew", "billing"], ["clear", "billing"], ["token", "unknown"]):
        done = app.test_cli_runner().invoke(args=["m2m-auth", *arguments])
        recorder.shown += [done.output, done.stderr]
    recorder.shown.append(app.test_client().get("/tokens/").text)
    assert len(recorder.shown) > 50
    assert found_in(recorder.shown) == []


MISTAKES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"CLIENT_SECRET": f" {SECRET}"}, {}),
    ({"CLIENT_SECRET": [SECRET]}, {}),
    ({"CLIENT_SECRET": {"value": SECRET}}, {}),
    ({"CLIENT_SECRET": SECRET.encode()}, {}),
    ({"CLIENT_SECRET": SECRET, "SCOPE": "a,b"}, {}),
    ({"CLIENT_SECRET": SECRET, "POLICY": {"leese": 1}}, {}),
    ({"CLIENT_SECRET": SECRET, "CACHE": "unknown"}, {}),
    ({"CLIENT_SECRTE": SECRET}, {}),
    ({"CLIENT_SECRET": f"m2m_auth.{SECRET.translate(dict.fromkeys(map(ord, '/+=-'), '_'))}"}, {}),
    ({"CLIENT_SECRET": SECRET}, {"M2M_AUTH_ENCRYPTION_KEYS": {KEY: KEY}}),
    ({"CLIENT_SECRET": SECRET}, {"M2M_AUTH_ENCRYPTION_KEYS": [KEY, KEY[:12]]}),
    ({"CLIENT_SECRET": SECRET}, {"M2M_AUTH_CLIENTS": [SECRET]}),
    ({"CLIENT_SECRET": SECRET}, {"M2M_AUTH_CLIENTS": {"billing": SECRET}}),
    ({"CLIENT_SECRET": SECRET}, {"M2M_AUTH_CACHES": f"redis://:{PASSWORD}@host"}),
    ({"CLIENT_SECRET": SECRET}, {"M2M_AUTH_CACHES": {"default": f"reddis://:{PASSWORD}@host"}}),
    ({"CLIENT_SECRET": SECRET}, {"M2M_AUTH_CACHES": {"default": [f"redis://:{PASSWORD}@host"]}}),
    (
        {"CLIENT_SECRET": SECRET},
        {"M2M_AUTH_CACHES": {"default": {"BACKEND": "x.Y", "OPTIOSN": {"password": PASSWORD}}}},
    ),
    (
        {"CLIENT_SECRET": SECRET},
        {"M2M_AUTH_CACHES": {"default": {"BACKEND": "builtins.int", "OPTIONS": {"password": PASSWORD}}}},
    ),
]


@pytest.mark.loopback
@pytest.mark.parametrize(("client", "config"), MISTAKES, ids=[str(index) for index in range(len(MISTAKES))])
def test_silence_on_errors(
    make_app: MakeApp, m2m: M2M, recorder: Recorder, client: dict[str, Any], config: dict[str, Any]
) -> None:
    """The error, its causes, its frames' locals and the output of commands show no secret."""
    error = mistaken(make_app, m2m, client, config)
    shown = [text for link in chain(error) for text in (*texts(link), repr(link.args), repr(vars(link)))]
    parts = ("flask_m2m_auth", "m2m_auth/settings")
    own = [frame for frame in frames(error, __file__) if any(part in frame.f_code.co_filename for part in parts)]
    assert own
    assert found_in([*shown, *(text for frame in own for text in shown_by_frame(frame, deep=False))]) == []
    assert found_in(recorder.shown) == []


def mistaken(make_app: MakeApp, m2m: M2M, client: dict[str, Any], config: dict[str, Any]) -> M2MAuthError:
    """The error of this configuration, raised at the first token at the latest."""
    try:
        with make_app(client, **config).app_context():
            m2m["billing"].source.token()
    except M2MAuthError as error:
        return error
    raise AssertionError("nothing was wrong with it")
