"""The token proxy as a Flask blueprint."""

from __future__ import annotations

from pathlib import Path

from flask import Flask
from flask_m2m_auth.serving import blueprint
from proxy_mounted import check, proxy_and_secret
from serving_servers import by_waitress

from m2m_auth.testing import FakeAuthorizationServer


def test_the_proxy_in_a_flask_app(server: FakeAuthorizationServer, tmp_path: Path) -> None:
    """Below the blueprint's prefix: one mint for careless clients, RFC 6749's refusals, and no other page."""
    proxy, secret = proxy_and_secret(server, tmp_path)
    app = Flask("partners")
    app.register_blueprint(blueprint(proxy, "tokens", "/partners"))
    try:
        with by_waitress(app) as url:
            check(f"{url}/partners/oauth/token", secret, server)
    finally:
        proxy.close()
