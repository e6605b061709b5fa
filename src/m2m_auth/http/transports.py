"""Finds the transport for token requests: the user's, or one over an HTTP library that is installed.

The transport over a library, and the options of a private one, are imported for the first source that needs them.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Any, cast

from ..errors import ConfigurationError
from ..oauth2.transport import Transport
from ..runtime.fork_safety import delaying_forks
from ..source.default_transport import register_transports

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
    for option, value in (("verify", verify), ("proxies", proxies)):
        if value is not None:
            raise ConfigurationError(
                f"{option}= is for the private transport, and transport= is given. "
                f"Fix: configure the session of transport= itself (session.{option} or its client's argument)"
            )
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
    with delaying_forks():  # a fork in the middle of an import would leave the child without the module
        from .transport_options import checked_transport_options

        options = checked_transport_options(verify, proxies, library)
        file = importlib.import_module(f".{_TRANSPORTS[library]}", __package__)
        module = importlib.import_module(library)
        return cast("Transport", file.transport_over(module, given, options))


register_transports(as_transport)
