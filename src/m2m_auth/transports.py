"""Finds the transport for a token request: the user's, or the plugin's of an HTTP library that is installed.

The engine knows plugins by name only; the module is imported when a source is built without a transport.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Any, cast

from .endpoint import Transport
from .errors import ConfigurationError

__all__ = ["as_transport"]

_PLUGINS = {"requests": "m2m_auth.requests", "httpx": "m2m_auth.httpx", "httpx2": "m2m_auth.httpx2"}
"""Each of these modules has ``transport_over(session_or_client_or_None) -> Transport``."""


def as_transport(given: Any) -> Transport:
    """The transport behind ``transport=``: a callable, a ``requests.Session`` or an ``httpx.Client``.

    None picks a library that is loaded, else one that is installed.

    Raises:
        ConfigurationError: it is none of these, or no HTTP library is installed.
    """
    if given is None:
        return _default()
    if callable(given):
        return cast("Transport", given)
    for cls in type(given).__mro__:
        plugin = _PLUGINS.get(cls.__module__.partition(".")[0])
        if plugin is not None:
            return _over(plugin, given)
    raise ConfigurationError(
        f"transport={type(given).__name__} is neither a callable(HttpRequest) nor a requests.Session, "
        "httpx.Client or httpx2.Client"
    )


def _default() -> Transport:
    installed = [name for name in _PLUGINS if sys.modules.get(name) is not None]
    installed += [name for name in _PLUGINS if importlib.util.find_spec(name) is not None]
    if not installed:
        raise ConfigurationError("no HTTP library for the token request. Fix: pip install 'm2m-auth[requests]'")
    return _over(_PLUGINS[installed[0]], None)


def _over(plugin: str, given: Any) -> Transport:
    transport: Transport = importlib.import_module(plugin).transport_over(given)
    return transport
