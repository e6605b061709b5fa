"""The views of the tests' project under an ASGI server: an async one, and the sync one of the others."""

from __future__ import annotations

import os
from typing import Any

import httpx
from django.http import HttpResponse
from django.urls import path
from django_m2m_auth import m2m
from django_views import call


async def acall(request: Any) -> HttpResponse:
    """One call with a token, and which worker has made it."""
    async with httpx.AsyncClient(auth=m2m["billing"].httpx_auth(), trust_env=False) as client:
        answer = await client.get(request.GET["url"], timeout=20)
    return HttpResponse(f"{os.getpid()} {answer.status_code}")


urlpatterns = [path("acall", acall), path("call", call)]
