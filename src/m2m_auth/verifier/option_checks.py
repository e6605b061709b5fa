"""Checks of the verifiers' options. Each raises ConfigurationError, before any I/O."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from ..errors import ConfigurationError
from ..oauth2.origins import is_loopback

__all__ = ["checked_seconds", "checked_url"]


def checked_url(who: str, name: str, url: object) -> str:
    """``url`` if it is https, or http on loopback. Raises ConfigurationError."""
    shown = f"{who}: {name}"
    if not isinstance(url, str) or not url.strip():
        raise ConfigurationError(f"{shown} is missing or blank. Fix: the server's https URL")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ConfigurationError(f"{shown} is not a URL like 'https://tenant.example/…'") from None
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(f"{shown} has credentials in the URL. Fix: leave them out")
    if not host or parts.scheme not in ("http", "https") or parts.fragment or re.search(r"[\x00-\x20\x7f\\]", url):
        raise ConfigurationError(f"{shown}={url!r} is not a URL like 'https://tenant.example/…'")
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigurationError(
            f"{shown}={url!r} is plain http: an attacker on the network could change the answer. Fix: https"
        )
    return url


def checked_seconds(who: str, name: str, value: object, least: float, most: float) -> float:
    """``value`` as seconds within these bounds. Raises ConfigurationError."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise ConfigurationError(f"{who}: {name}={value!r} must be {least:g} to {most:g} seconds")
    return float(value)
