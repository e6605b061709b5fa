"""The token proxy as an ASGI application, on uvicorn."""

from __future__ import annotations

from pathlib import Path

from proxy_mounted import check, proxy_and_secret
from serving_servers import by_uvicorn

from m2m_auth.serving import asgi
from m2m_auth.testing import FakeAuthorizationServer


def test_the_proxy_on_uvicorn(m2m_authorization_server: FakeAuthorizationServer, tmp_path: Path) -> None:
    """Careless clients cost one mint, refusals follow RFC 6749, and no other path exists."""
    proxy, secret = proxy_and_secret(m2m_authorization_server, tmp_path)
    try:
        with by_uvicorn(asgi(proxy)) as url:
            check(f"{url}/oauth/token", secret, m2m_authorization_server)
    finally:
        proxy.close()
