"""The keyword arguments of a constructor that do not exist, and the checks of those that no other file checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ..errors import ConfigurationError, nearest
from ..runtime.clock import Clock

__all__ = ["FRONT_DOOR_OPTIONS", "checked_alias", "checked_class", "checked_clock", "refuse_unknown"]

_T = TypeVar("_T")
_CLOCKS = ("monotonic", "wall", "sleep", "uniform")

FRONT_DOOR_OPTIONS = ("allowed_origins", "allow_insecure_http", "is_rejection")
"""What a front door's ``M2MAuth`` takes and ``TokenSource`` does not."""


def refuse_unknown(unknown: dict[str, Any], constructor: Callable[..., Any]) -> None:
    """Raises TypeError for the first keyword argument that ``constructor`` does not have; it names the nearest one.

    ``unknown`` is empty afterwards: a value may be the secret, and error reporters print the locals of every frame.
    """
    names = tuple(unknown)
    unknown.clear()
    for name in names:
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


def checked_class(name: str, given: _T | None, cls: type[_T]) -> _T | None:
    """What a user passed as ``name``. Raises ConfigurationError for anything but None and an instance of ``cls``."""
    if given is not None and not isinstance(given, cls):
        raise ConfigurationError(f"{name}={type(given).__name__} must be a {cls.__name__}. Fix: {cls.__name__}(…)")
    return given


def checked_clock(clock: Clock | None) -> Clock | None:
    """The user's clock. Raises ConfigurationError for an object that lacks one of the four callables."""
    missing = [name for name in _CLOCKS if clock is not None and not callable(getattr(clock, name, None))]
    if missing:
        raise ConfigurationError(f"clock={type(clock).__name__} has no {missing[0]}(). Fix: subclass m2m_auth.Clock")
    return clock
