"""The shop's one page: the number of pieces of an article."""

from __future__ import annotations

import os

import requests
from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django_m2m_auth import m2m

inventory = requests.Session()
inventory.auth = m2m["inventory"].requests_auth()


def stock(_request: HttpRequest, article: str) -> JsonResponse:
    """The inventory's answer, and the worker of the shop that asked."""
    try:
        answer = inventory.get(f"{settings.INVENTORY_URL}/stock/{article}", timeout=10)
        answer.raise_for_status()
    except requests.RequestException:  # also raised when there is no token
        return JsonResponse({"error": "The inventory does not answer."}, status=503)
    return JsonResponse({**answer.json(), "worker": os.getpid()})
