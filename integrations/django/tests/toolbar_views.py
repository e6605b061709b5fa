"""The views of the project with django-debug-toolbar: each makes two calls and answers with a page."""

from __future__ import annotations

import json
from typing import Any

import httpx
import requests
from debug_toolbar.toolbar import debug_toolbar_urls
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.http import HttpResponse
from django.urls import path
from django_m2m_auth import m2m

from m2m_auth import TokenSource
from m2m_auth.httpx import M2MAuth
from m2m_auth.oauth2.transport import HttpRequest
from m2m_auth.oauth2.transport import HttpResponse as TokenResponse
from m2m_auth.testing import FakeClock

PAGE = "<!doctype html><html lang='en'><head><title>shop</title></head><body><h1>Shop</h1></body></html>"


def shop(request: Any) -> HttpResponse:
    """A sync view: requests."""
    with requests.Session() as session:
        session.trust_env = False
        session.auth = m2m["billing"].requests_auth()
        session.get(request.GET["api"] + "/invoices?key=s3cret", timeout=20)
        session.post(request.GET["api"] + "/orders", json={}, timeout=20)
    return HttpResponse(PAGE)


async def ashop(request: Any) -> HttpResponse:
    """An async view: httpx."""
    async with httpx.AsyncClient(auth=m2m["billing"].httpx_auth(), trust_env=False) as client:
        await client.get(request.GET["api"] + "/invoices?key=s3cret", timeout=20)
        await client.post(request.GET["api"] + "/orders", json={}, timeout=20)
    return HttpResponse(PAGE)


def refused(request: Any) -> HttpResponse:
    """A view whose first token has been revoked."""
    clock, minted, answers = FakeClock(), iter("ab"), iter((401, 200))

    def transport(request: HttpRequest) -> TokenResponse:
        body = {"access_token": f"token-{next(minted)}", "token_type": "Bearer", "expires_in": 3600}
        return TokenResponse(200, {"content-type": "application/json"}, json.dumps(body).encode())

    source = TokenSource("https://as.example/t", "shop", "s", alias="stock", transport=transport, clock=clock)
    source.token()
    clock.advance(60)
    answered = httpx.MockTransport(lambda _: httpx.Response(next(answers)))
    with httpx.Client(transport=answered, auth=M2MAuth.from_source(source)) as client:
        client.get("https://stock.example/<script>")
    return HttpResponse(PAGE)


def no_icon(request: Any) -> HttpResponse:
    """Browsers request it; a 404 would be an error in their log."""
    return HttpResponse(status=204)


def idle(request: Any) -> HttpResponse:
    """A view that makes no call."""
    return HttpResponse(PAGE)


urlpatterns = [
    path("shop", shop),
    path("ashop", ashop),
    path("refused", refused),
    path("idle", idle),
    path("favicon.ico", no_icon),
    *staticfiles_urlpatterns(),
    *debug_toolbar_urls(),
]
