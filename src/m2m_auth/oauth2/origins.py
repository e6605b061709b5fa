"""Where a token may go (RFC 6750 §5.3): origins, loopback, and the one check that every front door makes."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from ..errors import ConfigurationError, InsecureTransport, OriginNotAllowed

__all__ = ["Origin", "OriginPolicy", "is_loopback", "origin_of", "same_origin"]

Origin = tuple[str, str, int]
"""Scheme, host and port."""

_DEFAULT_PORTS = {"http": 80, "https": 443}


def origin_of(url: str) -> Origin:
    """Return the scheme, host and port of a URL (RFC 6454). Raises ValueError if it has none."""
    parts = urlsplit(url)
    scheme, host = parts.scheme.lower(), (parts.hostname or "").rstrip(".")
    port = parts.port or _DEFAULT_PORTS.get(scheme)
    if not host or port is None:
        raise ValueError(f"{scheme or 'this'} URL has no origin that a token could be sent to")
    return scheme, host, port


def same_origin(url: str | None, origin: Origin) -> bool:
    """Return whether ``url`` has this origin."""
    try:
        return origin_of(url or "") == origin
    except ValueError:
        return False


def is_loopback(host: str) -> bool:
    """Return whether a host is ``localhost`` or a loopback address: what is sent there stays on the machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _text(origin: Origin) -> str:
    scheme, host, port = origin
    if not host:
        return "a URL without an origin"
    bracketed = f"[{host}]" if ":" in host else host
    return f"{scheme}://{bracketed}" + ("" if _DEFAULT_PORTS.get(scheme) == port else f":{port}")


class OriginPolicy:
    """Decides whether a token may be sent to a URL.

    Args:
        allowed_origins: the only origins (scheme, host, port) that may get the token; None allows all.
        allow_insecure_http: True allows plain http beyond loopback.

    Raises:
        ConfigurationError: an allowed origin is not an origin.
    """

    __slots__ = ("_allow_insecure_http", "_allowed")

    def __init__(self, allowed_origins: Iterable[str] | None, allow_insecure_http: bool) -> None:
        self._allow_insecure_http = allow_insecure_http
        self._allowed: frozenset[Origin] | None = None
        if isinstance(allowed_origins, str):
            raise ConfigurationError(
                f"allowed_origins={allowed_origins!r} must be a list of origins. Fix: [{allowed_origins!r}]"
            )
        if allowed_origins is not None and not isinstance(allowed_origins, Iterable):
            kind = type(allowed_origins).__name__
            raise ConfigurationError(f"allowed_origins must be a list of origins, not {kind}. Fix: ['https://…']")
        if allowed_origins is not None:
            self._allowed = frozenset(self._parse(entry) for entry in allowed_origins)
            if not self._allowed:
                raise ConfigurationError(
                    "allowed_origins is empty, so no call could carry a token. Fix: name one, or leave the option out"
                )

    @staticmethod
    def _parse(entry: str) -> Origin:
        try:
            origin = origin_of(entry)
            rest = urlsplit(entry)
        except (ValueError, AttributeError, TypeError):
            raise ConfigurationError(
                f"allowed_origins: {entry!r} is not an origin like 'https://api.example.com'"
            ) from None
        if rest.path not in ("", "/") or rest.query or rest.fragment or rest.username is not None:
            shown = repr(entry) if rest.username is None else "an entry with credentials"
            raise ConfigurationError(f"allowed_origins: {shown} has more than an origin. Fix: {_text(origin)!r}")
        return origin

    def check(self, url: str) -> Origin:
        """Return the origin of ``url`` if a token may be sent there.

        Raises:
            OriginNotAllowed: it is not one of the allowed origins.
            InsecureTransport: it is plain http to another machine, and plain http is not allowed.
        """
        try:
            origin = origin_of(url)
        except ValueError:
            origin = ("", "", 0)
        allowed = self._allowed
        if (allowed is not None and origin not in allowed) or origin[0] not in _DEFAULT_PORTS:
            names = tuple(sorted(map(_text, allowed or ())))
            raise OriginNotAllowed(
                f"no token was sent to {_text(origin)}: allowed_origins is {', '.join(names) or 'any http(s) origin'}. "
                "Fix: add the origin there if this call is meant to carry the token",
                origin=_text(origin),
                allowed=names,
            )
        if origin[0] == "http" and not self._allow_insecure_http and not is_loopback(origin[1]):
            raise InsecureTransport(
                f"no token was sent to {_text(origin)}: every machine on the way can read plain http. "
                "Fix: use https, or pass allow_insecure_http=True if the network itself is trusted",
                origin=_text(origin),
            )
        return origin
