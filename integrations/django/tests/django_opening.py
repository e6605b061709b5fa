"""Opens a cache in the processes of a race. It imports no pytest, since each process imports it."""

from __future__ import annotations

from typing import Any

from django_m2m_auth.cache import DjangoTokenCache

from m2m_auth.caches.protocol import TokenCache


def opened(cache: dict[str, Any], folder: str = "") -> TokenCache:
    """The token cache over an entry of CACHES, in this process or in a new one, which sets Django up."""
    from django.conf import settings

    if not settings.configured:
        name, patience = f"{folder}/cache.sqlite3", {"timeout": 30}
        sqlite = {"ENGINE": "django.db.backends.sqlite3", "NAME": name, "OPTIONS": patience}
        settings.configure(CACHES={"default": cache}, DATABASES={"default": sqlite}, USE_TZ=True)
        import django

        django.setup()
    return DjangoTokenCache("default")
