"""Client settings: from the mappings of a framework to token sources.

:func:`read_settings` reads what ``M2M_AUTH`` (Django) or ``M2M_AUTH_CLIENTS`` and ``M2M_AUTH_CACHES`` (Flask) say. It
does no I/O and raises nothing: the :class:`Settings` that it returns list every mistake, and each message names the
setting as the user wrote it. Use it to write an integration for another framework.

>>> given = {"CLIENTS": {"billing": {"TOKEN_ENDPOINT": "https://tenant.example/token", "CLIENT_ID": "shop"}}}
>>> print(*read_settings(given, nested("M2M_AUTH")).problems)
M2M_AUTH["CLIENTS"]["billing"]["CLIENT_SECRET"]: is missing, and CLIENT_AUTHENTICATION='client_secret_basic' needs it. \
Fix: pass CLIENT_SECRET, a string or a callable that returns it
"""

from .cache_settings import CacheSettings, FrameworkCache
from .client_settings import CLIENT_KEYS, ClientKey, ClientSettings
from .problems import Problem, Spelling, nearest, nested, prefixed
from .reading import DEFAULT_CACHES, SETTING_KEYS, Settings, read_settings, refuse_unknown_client

__all__ = [
    "CLIENT_KEYS",
    "DEFAULT_CACHES",
    "SETTING_KEYS",
    "CacheSettings",
    "ClientKey",
    "ClientSettings",
    "FrameworkCache",
    "Problem",
    "Settings",
    "Spelling",
    "nearest",
    "nested",
    "prefixed",
    "read_settings",
    "refuse_unknown_client",
]
