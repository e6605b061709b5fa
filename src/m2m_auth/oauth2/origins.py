"""Where a URL leads (RFC 6454): its origin, in one spelling, and whether that is this machine."""

from __future__ import annotations

import unicodedata
from ipaddress import ip_address
from urllib.parse import urlsplit

from ..errors import ConfigurationError

__all__ = ["DEFAULT_PORTS", "Origin", "checked_insecure_http", "is_loopback", "origin_of", "same_origin", "spelled"]

Origin = tuple[str, str, int]
"""Scheme, host and port."""

DEFAULT_PORTS = {"http": 80, "https": 443}
"""The port of a URL that names none."""


def origin_of(url: str) -> Origin:
    """Return the scheme, host and port of a URL (RFC 6454), in one spelling. Raises ValueError if it has none."""
    parts = urlsplit(url)
    scheme, host = parts.scheme.lower(), _one_spelling((parts.hostname or "").rstrip("."))
    port = parts.port if parts.port is not None else DEFAULT_PORTS.get(scheme)
    if not host or port is None:
        raise ValueError(f"{scheme or 'this'} URL has no origin that a token could be sent to")
    return scheme, host, port


def _one_spelling(host: str) -> str:
    """The host as it is sent: IPv6 compressed (RFC 5952), an international name in its ASCII form (RFC 5890)."""
    if ":" in host:
        return str(ip_address(host))
    if host.isascii():
        return host
    # IDNA 2008, as the HTTP libraries do it: IDNA 2003, in the standard library, takes straße.de for strasse.de.
    name = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", host).lower())
    labels = (each if each.isascii() else "xn--" + each.encode("punycode").decode() for each in name.split("."))
    return ".".join(labels)


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


def checked_insecure_http(given: object) -> bool:
    """``allow_insecure_http=`` as it is given.

    Raises:
        ConfigurationError: it is no truth value. The text of an environment variable, also ``"false"``, counts as true
            in Python, and would send secrets over plain http.
    """
    if isinstance(given, bool):
        return given
    shown = repr(given) if isinstance(given, (str, int, float)) else type(given).__name__
    raise ConfigurationError(f"allow_insecure_http must be a bool, not {shown}. Fix: True or False")


def spelled(origin: Origin) -> str:
    """Return the origin as a URL without a path, for messages; the default port is left out."""
    scheme, host, port = origin
    if not host:
        return "a URL without an origin"
    bracketed = f"[{host}]" if ":" in host else host
    return f"{scheme}://{bracketed}" + ("" if DEFAULT_PORTS.get(scheme) == port else f":{port}")
