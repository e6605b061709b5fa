"""Checks of a source's options: names that do not exist, and values of the wrong kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ..errors import ConfigurationError, nearest
from ..events import Subscriber
from ..runtime.clock import Clock
from ..values import Value

__all__ = [
    "FRONT_DOOR_OPTIONS",
    "checked_alias",
    "checked_clock",
    "checked_record",
    "checked_subscriber",
    "refuse_unknown",
]

_Record = TypeVar("_Record", bound=Value)
_CLOCKS = ("monotonic", "wall", "sleep", "uniform")

FRONT_DOOR_OPTIONS = ("allowed_origins", "is_rejection", "header", "scheme")
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


def checked_clock(clock: Clock | None) -> Clock | None:
    """The user's clock. Raises ConfigurationError for an object that lacks one of the four callables."""
    missing = [name for name in _CLOCKS if clock is not None and not callable(getattr(clock, name, None))]
    if missing:
        raise ConfigurationError(f"clock={type(clock).__name__} has no {missing[0]}(). Fix: subclass m2m_auth.Clock")
    return clock


def checked_record(option: str, given: object, kind: type[_Record]) -> _Record | None:
    """The options in one record, such as a policy. Raises ConfigurationError for a dict or a number instead."""
    if given is None or isinstance(given, kind):
        return given
    raise ConfigurationError(f"{option} must be a {kind.__name__}, not {type(given).__name__}. Fix: {kind.__name__}(…)")


def checked_subscriber(on_event: object) -> Subscriber | None:
    """The callable that gets the events. Raises ConfigurationError for anything else."""
    if on_event is None or callable(on_event):
        return on_event
    raise ConfigurationError(f"on_event={type(on_event).__name__} is not callable. Fix: a function of one Event")
