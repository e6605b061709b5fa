"""The token proxy as a Django view."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from django.core.wsgi import get_wsgi_application
from django.test import override_settings
from django.urls import path
from django_m2m_auth.serving import view
from proxy_mounted import check, proxy_and_secret
from serving_servers import by_waitress

from m2m_auth.testing import FakeAuthorizationServer


def test_the_proxy_in_a_django_project(server: FakeAuthorizationServer, tmp_path: Path) -> None:
    """Below a route: one mint for careless clients, RFC 6749's refusals, and no other page."""
    proxy, secret = proxy_and_secret(server, tmp_path)
    urls = ModuleType("partners_urls")
    urls.urlpatterns = [path("partners/<path:path>", view(proxy))]  # type: ignore[attr-defined]
    try:
        with override_settings(ROOT_URLCONF=urls), by_waitress(get_wsgi_application()) as url:
            check(f"{url}/partners/oauth/token", secret, server)
    finally:
        proxy.close()
