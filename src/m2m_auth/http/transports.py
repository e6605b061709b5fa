"""Finds the transport for token requests: the user's, or one over an HTTP library that is installed.

The transport over a library is imported when the first source that needs it is built.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Any, cast

from ..errors import ConfigurationError
from ..oauth2.transport import Transport
from ..runtime.fork_safety import delaying_forks
from ..source.default_transport import refuse_beside_transport, register_transports
from .transport_options import checked_transport_options

__all__ = ["as_transport"]

_TRANSPORTS = {"requests": "requests_transport", "httpx": "httpx_transport", "httpx2": "httpx_transport"}
"""Each HTTP library, and the file beside this one with the transport over it; the first library is preferred."""


def as_transport(given: Any, library: str | None = None, *, verify: Any = None, proxies: Any = None) -> Transport:
    """The transport behind ``transport=``: a callable, a ``requests.Session`` or an ``httpx.Client``.

    For None it is ``library``, else a library that is loaded, else one that is installed.

    Raises:
        ConfigurationError: it is none of these, no HTTP library is installed, or ``verify`` or ``proxies`` make no
            sense, or are given beside ``transport``.
    """
    if given is None:
        return _over(library or _installed(), None, verify, proxies)
    refuse_beside_transport(verify=verify, proxies=proxies)
    if callable(given):
        return cast("Transport", given)
    for cls in type(given).__mro__:
        name = cls.__module__.partition(".")[0]
        if name in _TRANSPORTS:
            return _over(name, given, None, None)
    raise ConfigurationError(
        f"transport={type(given).__name__} is neither a callable(HttpRequest) nor a requests.Session, "
        "httpx.Client or httpx2.Client"
    )


def _installed() -> str:
    names = [name for name in _TRANSPORTS if sys.modules.get(name) is not None]
    names += [name for name in _TRANSPORTS if importlib.util.find_spec(name) is not None]
    if not names:
        raise ConfigurationError("no HTTP library for the token request. Fix: pip install 'm2m-auth[requests]'")
    return names[0]


def _over(library: str, given: Any, verify: Any, proxies: Any) -> Transport:
    options = checked_transport_options(verify, proxies, library)
    with delaying_forks():  # a fork in the middle of an import would leave the child without the module
        file = importlib.import_module(f".{_TRANSPORTS[library]}", __package__)
        module = importlib.import_module(library)
        return cast("Transport", file.transport_over(module, given, options))


register_transports(as_transport)
