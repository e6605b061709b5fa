"""The app's configuration, read by :mod:`m2m_auth.settings`. No I/O; messages spell a setting as Flask's users do."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from m2m_auth import ConfigurationError
from m2m_auth.settings import SETTING_KEYS, FrameworkCache, Settings, nearest, prefixed, read_settings

if TYPE_CHECKING:
    from flask import Flask

__all__ = ["is_configured", "read_config"]

_PREFIX = "M2M_AUTH_"
spelt = prefixed(_PREFIX)
"""``spelt("CLIENTS", "billing")`` is ``M2M_AUTH_CLIENTS["billing"]``."""


def is_configured(app: Flask) -> bool:
    """True if the app names clients, or has a setting that may be a misspelt one."""
    return app.config.get(spelt("CLIENTS")) is not None or any(name not in SETTING_KEYS for name in _given(app))


def read_config(app: Flask) -> Settings:
    """The configuration of this app, checked.

    Import paths and caches wait for the first use: a project's modules may import the app.

    Raises:
        ConfigurationError: every mistake in it, one a line; each says what is wrong, where, and the fix.
    """
    given = _given(app)
    if given.get("CLIENTS") is None and all(name in SETTING_KEYS for name in given):
        clients = spelt("CLIENTS")
        raise ConfigurationError(
            f"{app!r} has no {clients}. Fix: app.config[{clients!r}] = {{'billing': {{'TOKEN_ENDPOINT': …}}}}"
        )
    form = FrameworkCache(
        key="FLASK_CACHING", example="{'FLASK_CACHING': True}", read=lambda on: _flask_caching(app, on)
    )
    found = read_settings(given, spelt, forms=[form])
    given = {}  # a traceback then does not show its value
    found.refuse_errors()
    return found


def _given(app: Flask) -> dict[str, Any]:
    """The settings of this package, by their names without the prefix, misspelt ones too.

    A name that is not near to one of these belongs to another package.
    """
    names = {name: name.removeprefix(_PREFIX) for name in app.config if name.startswith(_PREFIX)}
    return {rest: app.config[name] for name, rest in names.items() if nearest(rest, SETTING_KEYS)}


def _flask_caching(app: Flask, on: object) -> Callable[[], object]:
    """What gives the one cache of the app's Flask-Caching: a cachelib cache, which the core knows."""
    if on is not True:
        raise ConfigurationError("has a FLASK_CACHING that is not True. Fix: {'FLASK_CACHING': True}")

    def find() -> object:
        found = list(app.extensions.get("cache", {}).values())
        if len(found) != 1:
            raise ConfigurationError(
                f"FLASK_CACHING needs one Flask-Caching cache in this app, and there are {len(found)}. Fix: "
                "cache.init_app(app) before the first token; of several, name one: {'BACKEND': lambda: cache.cache}"
            )
        return found[0]

    return find
