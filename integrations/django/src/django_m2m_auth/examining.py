"""How ``manage.py m2m_auth doctor`` lets other processes open the project's caches, to race for their leases."""

from __future__ import annotations

import os
from functools import partial

from m2m_auth.caches.protocol import TokenCache
from m2m_auth.operations import Finding, doctor

from .clients import m2m

__all__ = ["examine", "open_cache"]


def examine() -> list[Finding]:
    """What is wrong with the caches of M2M_AUTH, in words; each lease is raced for by two processes."""
    caches = m2m.caches
    module = os.environ.get("DJANGO_SETTINGS_MODULE")
    if not module:  # settings.configure(): another process cannot know them, so threads race
        return doctor(caches)
    openers = {alias: partial(open_cache, module, alias) for alias in caches if caches[alias].capabilities.shared}
    return doctor(caches, open_cache=openers)


def open_cache(settings_module: str, alias: str) -> TokenCache:
    """The cache with this alias, in a process that knows nothing of Django yet."""
    import django
    from django.apps import apps

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", settings_module)
    if not apps.ready:
        django.setup()
    return m2m.caches[alias]
