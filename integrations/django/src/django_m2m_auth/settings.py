"""The setting ``M2M_AUTH``, read by :mod:`m2m_auth.settings`. No I/O; messages spell a setting as Django's users do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from django.conf import settings
from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured

from m2m_auth import ConfigurationError
from m2m_auth.settings import DEFAULT_CACHES, FrameworkCache, Settings, nearest, nested, read_settings

from .cache import DjangoTokenCache

__all__ = ["client_aliases", "improperly_configured", "named_caches", "read_m2m_auth", "spelt"]

spelt = nested("M2M_AUTH")
"""``spelt("CLIENTS", "billing")`` is ``M2M_AUTH["CLIENTS"]["billing"]``."""


def read_m2m_auth() -> Settings:
    """The current settings. It raises nothing: what is wrong is in ``problems``.

    Import paths are followed and caches made at once: system checks report their mistakes, too.
    """
    form = FrameworkCache(key="DJANGO_CACHE", example="{'DJANGO_CACHE': 'default'}", read=_django_cache)
    return read_settings(_m2m_auth(), spelt, forms=[form], eager=True)


def client_aliases() -> tuple[str, ...]:
    """The clients that M2M_AUTH names, whether their settings are good or not."""
    return tuple(map(str, _mapping("CLIENTS", {})))


def named_caches() -> Mapping[str, Any]:
    """The entries of M2M_AUTH["CACHES"] as they are written, or the default."""
    return _mapping("CACHES", DEFAULT_CACHES)


def _m2m_auth() -> Any:
    return getattr(settings, "M2M_AUTH", {})


def _mapping(key: str, default: Mapping[str, Any]) -> Mapping[str, Any]:
    given = _m2m_auth()
    found = given.get(key) if isinstance(given, Mapping) else {}
    return default if found is None else found if isinstance(found, Mapping) else {}


def _django_cache(alias: Any) -> Callable[[], object]:
    """What opens a cache of Django's CACHES, by its alias there."""
    if alias not in caches.settings:
        known = ", ".join(caches.settings)
        raise ConfigurationError(f"CACHES has no {alias!r}{nearest(alias, caches.settings)}. Fix: use one of {known}")
    return partial(DjangoTokenCache, alias)


@contextmanager
def improperly_configured() -> Iterator[None]:
    """Makes a ConfigurationError Django's own error for wrong settings, with the same message."""
    problem = ""
    try:
        yield
    except ConfigurationError as error:
        problem = str(error)
    if problem:
        raise ImproperlyConfigured(problem) from None
