"""Flask under gunicorn: real workers that share the default disk cache."""

from __future__ import annotations

from pathlib import Path

import pytest
from real_servers.gunicorns import ask_all, gunicorn

from m2m_auth.testing import FakeAuthorizationServer

pytestmark = pytest.mark.processes

APP = """
import os
import requests
from flask import Flask
from flask_m2m_auth import M2M

m2m = M2M()

def create_app():
    app = Flask(__name__)
    app.config.from_prefixed_env()
    m2m.init_app(app)

    @app.get("/")
    def call():
        with requests.Session() as session:
            session.auth, session.trust_env = m2m["billing"].requests_auth(), False
            return f"{os.getpid()} {session.get(os.environ['API'], timeout=20).status_code}"

    if os.environ["WHEN"] == "before":
        with app.app_context():
            m2m["billing"].source.token()
    return app
"""


@pytest.mark.parametrize(("options", "when"), [((), "never"), (("--preload",), "before")], ids=["cold", "preloaded"])
def test_two_workers_share_one_token(
    server: FakeAuthorizationServer, tmp_path: Path, options: tuple[str, ...], when: str
) -> None:
    """Without M2M_AUTH_CACHES: both workers answer, eight calls at a time, and there is one mint in all."""
    server.latency = 0.3
    (tmp_path / "factory.py").write_text(APP)
    own = {
        "API": f"{server.base_url}/api/x",
        "WHEN": when,
        "FLASK_M2M_AUTH_CLIENTS__billing__TOKEN_ENDPOINT": server.token_endpoint,
        "FLASK_M2M_AUTH_CLIENTS__billing__CLIENT_ID": "client",
        "FLASK_M2M_AUTH_CLIENTS__billing__CLIENT_SECRET": "secret",
    }
    options = ("--workers=2", "--threads=4", *options)
    with gunicorn("factory:create_app()", tmp_path / "log", *options, environment=own, folder=tmp_path) as address:
        given = ask_all(address, 2)
    assert {status for _, status in given} == {"200"}
    assert server.mints == server.token_requests == 1
