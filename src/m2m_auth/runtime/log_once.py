"""Warnings of the log that a process gives once, although every request may build what they are about."""

from __future__ import annotations

import logging

from .bounded_map import BoundedMap

__all__ = ["warn_once"]

_log = logging.getLogger("m2m_auth")
_said: BoundedMap[str, str] = BoundedMap(256)


def warn_once(text: str) -> None:
    """Logs a warning, unless this process has given it before."""
    if _said.get(text) is None:
        _said.set(text, text)
        _log.warning("%s", text)
