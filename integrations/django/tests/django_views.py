"""The views of the tests' project: each makes one call with a token."""

from __future__ import annotations

import os
from typing import Any

import httpx
import requests
from django.contrib import admin
from django.core.cache import caches
from django.http import HttpResponse
from django.urls import path
from django_m2m_auth import m2m

billing = m2m["billing"]  # kept at import: it must build nothing


def call(request: Any) -> HttpResponse:
    """A sync view: requests."""
    with requests.Session() as session:
        session.trust_env = False
        session.auth = billing.requests_auth()
        answer = session.get(request.GET["url"], timeout=20)
    return HttpResponse(f"{os.getpid()} {answer.status_code}")


async def acall(request: Any) -> HttpResponse:
    """An async view: httpx."""
    async with httpx.AsyncClient(auth=billing.httpx_auth(), trust_env=False) as client:
        answer = await client.get(request.GET["url"], timeout=20)
    return HttpResponse(str(answer.status_code))


def failing(request: Any) -> HttpResponse:
    """A view that gets a token and then fails, so that ATOMIC_REQUESTS rolls its transaction back."""
    caches["default"].set("entry", billing.source.token().fingerprint)
    raise RuntimeError("roll back")


urlpatterns = [
    path("call", call),
    path("acall", acall),
    path("failing", failing),
    path("admin/", admin.site.urls),
]
