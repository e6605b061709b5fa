"""The shop's one page: how many pieces of an article there are."""

from __future__ import annotations

import os

import requests
from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django_m2m_auth import m2m

inventory = requests.Session()
inventory.auth = m2m["inventory"].requests_auth()


def stock(_request: HttpRequest, article: str) -> JsonResponse:
    """What the inventory says, and which worker of the shop asked it."""
    try:
        answer = inventory.get(f"{settings.INVENTORY_URL}/stock/{article}", timeout=10)
        answer.raise_for_status()
    except requests.RequestException:  # that there is no token is one, too
        return JsonResponse({"error": "The inventory does not answer."}, status=503)
    return JsonResponse({**answer.json(), "worker": os.getpid()})
