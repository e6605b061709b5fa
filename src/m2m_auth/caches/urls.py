"""Cache URLs in messages."""

from __future__ import annotations

import re

__all__ = ["without_password"]


def without_password(url: str) -> str:
    """The URL for a message, with ``***`` in place of the user and the password."""
    address, _, options = url.partition("?")
    if "@" in options:  # the "?" may be a character of the password
        address = re.sub(r"(?s)(?<=:)(//)?.*", r"\1***", address)
    return re.sub(r"(?s)^([A-Za-z][A-Za-z0-9+.-]*:(?://)?|://)?.*@", r"\1***@", address)
