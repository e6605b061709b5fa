"""The transport of a source that is given none. The engine knows no HTTP library; the room ``http`` registers one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from ..errors import ConfigurationError
from ..oauth2.transport import Transport

__all__ = ["register_transports", "transport_for"]

_resolve: Callable[..., Transport] | None = None


def register_transports(resolve: Callable[..., Transport]) -> None:
    """Registers the function that turns None, a session or a client into a transport."""
    global _resolve
    _resolve = resolve


def transport_for(given: Any, verify: Any, proxies: Any) -> Transport:
    """The transport behind ``transport=``, or a private one that is made with ``verify=`` and ``proxies=``.

    Raises:
        ConfigurationError: it is neither a callable nor a known session or client, no transport is registered, or the
            options make no sense together.
    """
    if callable(given) and verify is None and proxies is None:
        return cast("Transport", given)
    if _resolve is None:
        raise ConfigurationError(
            "no transport for the token request. Fix: from m2m_auth import TokenSource, or transport="
        )
    return _resolve(given, verify=verify, proxies=proxies)
