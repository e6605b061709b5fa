"""The keyword arguments of a constructor that do not exist, and the check of an alias."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..errors import ConfigurationError, nearest

__all__ = ["FRONT_DOOR_OPTIONS", "checked_alias", "refuse_unknown"]

FRONT_DOOR_OPTIONS = ("allowed_origins", "allow_insecure_http", "is_rejection")
"""What a front door's ``M2MAuth`` takes and ``TokenSource`` does not."""


def refuse_unknown(unknown: Mapping[str, object], constructor: Callable[..., Any]) -> None:
    """Raises TypeError for the first keyword argument that ``constructor`` does not have; it names the nearest one."""
    for name in unknown:
        if name in FRONT_DOOR_OPTIONS:
            raise TypeError(f"{name} is an option of M2MAuth, the front door of an HTTP library, not of TokenSource")
        code = constructor.__code__
        known = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
        raise TypeError(f"unknown option {name!r}{nearest(name, known)}. Known: {', '.join(known)}")


def checked_alias(alias: object) -> str:
    """The source's short name. Raises ConfigurationError for one that would spoil a log line."""
    if alias is None:
        return ""
    if not isinstance(alias, str) or not alias.strip() or not alias.isprintable():
        raise ConfigurationError(f"alias={alias!r} must be a short printable name, such as 'billing'")
    return alias
