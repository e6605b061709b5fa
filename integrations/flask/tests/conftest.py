"""Fixtures of the Flask package's tests: an authorization server, and apps that get tokens from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_apps import MakeApp
from flask_m2m_auth import M2M

from m2m_auth.source.registry import forget_everything
from m2m_auth.testing import FakeAuthorizationServer

# The core's test servers and its search for canaries.


@pytest.fixture(autouse=True)
def cold_registry() -> None:
    """The system may use a port, and so a key, again: each test starts without the tokens of another."""
    forget_everything()


@pytest.fixture(autouse=True)
def cache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test has its own default disk cache."""
    folder = tmp_path / "cache-home"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture
def server() -> Iterator[FakeAuthorizationServer]:
    """A fake authorization server with an API."""
    with FakeAuthorizationServer() as running:
        yield running


@pytest.fixture
def m2m() -> M2M:
    """The extension object."""
    return M2M()


@pytest.fixture
def make_app(server: FakeAuthorizationServer, m2m: M2M) -> MakeApp:
    """An application factory."""

    def create_app(client: dict[str, Any] | None = None, **config: Any) -> Flask:
        app = Flask("shop")
        billing = {"TOKEN_ENDPOINT": server.token_endpoint, "CLIENT_ID": "client", "CLIENT_SECRET": "secret"}
        app.config.update({"TESTING": True, "M2M_AUTH_CLIENTS": {"billing": {**billing, **(client or {})}}, **config})
        m2m.init_app(app)
        return app

    return create_app
