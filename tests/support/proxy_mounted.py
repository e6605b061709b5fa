"""The token proxy mounted in another application: one vendor, with a secret that the proxy gave it."""

from __future__ import annotations

from pathlib import Path

import requests

from m2m_auth import TokenSource
from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.proxy import TokenProxy, add_vendor, load
from m2m_auth.testing import FakeAuthorizationServer

AUDIENCE = "https://api.example.com"


def proxy_and_secret(server: FakeAuthorizationServer, folder: Path) -> tuple[TokenProxy, str]:
    """A proxy in front of the server, from a file, and the secret of its vendor ``acme``."""
    config = folder / "proxy.toml"
    config.write_text(f"""
pepper = "a pepper of thirty-two bytes or so"
cache = "disk:{folder / "cache"}"

[upstreams.main]
token_endpoint = "{server.token_endpoint}"
client_id = "client"
client_secret = "secret"

[vendors.acme]
audiences = ["{AUDIENCE}"]
""")
    secret = add_vendor(config, "acme")
    return TokenProxy(load(config)), secret


def check(endpoint: str, secret: str, server: FakeAuthorizationServer) -> None:
    """Ten clients without a cache get one token; a wrong secret gets RFC 6749's answer; there is no operator's page."""

    def vendor() -> TokenSource:
        return TokenSource(endpoint, "acme", secret, audience=AUDIENCE, cache=MemoryTokenCache())

    values = {vendor().token().value for _ in range(10)}
    assert len(values) == 1
    assert server.is_active(*values)
    assert server.mints == 1
    form = {"grant_type": "client_credentials", "audience": AUDIENCE}
    with requests.Session() as session:
        refused = session.post(endpoint, form, auth=("acme", "a guess"))
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
        assert refused.headers["WWW-Authenticate"].startswith("Basic ")
        assert refused.headers["Cache-Control"] == "no-store"
        assert session.get(endpoint).status_code == 405
        assert session.get(f"{endpoint}/operator").status_code == 404
