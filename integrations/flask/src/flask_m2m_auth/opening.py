"""From an entry of ``M2M_AUTH_CACHES`` to a cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from m2m_auth import ConfigurationError
from m2m_auth.caches.opening import from_client
from m2m_auth.caches.protocol import TokenCache

from .values import Hidden, imported, under

if TYPE_CHECKING:
    from flask import Flask

__all__ = ["as_token_cache", "opened", "opener"]


def opened(where: str, entry: Hidden, app: Flask) -> Any:
    """A URL as it is, so that all sources of the process share what is behind it; else a cache, or a native client.

    Raises:
        ConfigurationError: it is not there, or cannot be made; the message shows none of its OPTIONS.
    """
    if not isinstance(entry.reveal(), Mapping):
        return entry.reveal()
    if "FLASK_CACHING" in entry.reveal():
        return _flask_caching(where, app)
    return _made(where, entry.reveal()["BACKEND"], Hidden(entry.reveal().get("OPTIONS", {})))


def as_token_cache(where: str, found: Any) -> TokenCache:
    """A cache of the protocol over whatever ``opened`` has found, except for URLs.

    Raises:
        ConfigurationError: it is no cache that is known, or one that is of no use.
    """
    with under(where):
        cache = found if isinstance(found, TokenCache) else from_client(found)
        if cache is None:
            raise ConfigurationError(f"{type(found).__name__} is no cache that is known")
        return cache
    raise AssertionError  # never: under() swallows nothing


def opener(where: str, entry: Hidden) -> Callable[[], TokenCache] | None:
    """How another process opens it, as something that can be sent there; None where only this app can."""
    found = entry.reveal()
    if isinstance(found, Mapping) and isinstance(found.get("BACKEND"), str):
        return partial(_open, where, found["BACKEND"], found.get("OPTIONS", {}))
    return None


def _open(where: str, backend: str, options: Mapping[str, Any]) -> TokenCache:
    return as_token_cache(where, _made(where, backend, Hidden(options)))


def _made(where: str, backend: Any, options: Hidden) -> Any:
    where = f"{where}['BACKEND']"
    make = imported(where, backend) if isinstance(backend, str) else backend
    if not callable(make):
        raise ConfigurationError(f"{where}={backend!r} is neither a class nor a callable")
    problem = ""
    with under(where):
        try:
            return make(**options.reveal())
        except ConfigurationError:
            raise
        except ImportError as error:
            problem = f"needs the package {error.name!r}, which is not installed. Fix: pip install it"
        except Exception as error:  # its words may hold the options, and so a password
            problem = f"raised {type(error).__name__} for the OPTIONS {', '.join(options.reveal()) or '(none)'}"
    raise ConfigurationError(f"{where}={backend!r} {problem}")


def _flask_caching(where: str, app: Flask) -> Any:
    """The one cache of the app's Flask-Caching: a cachelib cache, which the core knows."""
    found = list(app.extensions.get("cache", {}).values())
    if len(found) != 1:
        raise ConfigurationError(
            f"{where}: FLASK_CACHING needs one Flask-Caching cache in this app, and there are {len(found)}. "
            "Fix: cache.init_app(app) before the first token; of several, name one: {'BACKEND': lambda: cache.cache}"
        )
    return found[0]
