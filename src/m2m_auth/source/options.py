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


def refuse_unknown(
    unknown: dict[str, Any], constructor: Callable[..., Any], *, of_the_source: Callable[..., Any] | None = None
) -> None:
    """Raises TypeError for the first keyword argument that ``constructor`` does not have; it names the nearest one.

    ``unknown`` is empty afterwards: a value may be the secret, and error reporters print the locals of every frame.

    Args:
        unknown: the keyword arguments.
        constructor: what was called.
        of_the_source: the constructor that has the options of a source, where ``constructor`` takes a finished source.
    """
    names = tuple(unknown)
    unknown.clear()
    for name in names:
        if name in FRONT_DOOR_OPTIONS:
            raise TypeError(f"{name} is an option of M2MAuth, the front door of an HTTP library, not of TokenSource")
        if of_the_source is not None and name in _parameters(of_the_source):
            raise TypeError(f"{name} is an option of the source. Fix: TokenSource(…, {name}=…)")
        known = _parameters(constructor)
        raise TypeError(f"unknown option {name!r}{nearest(name, known)}. Known: {', '.join(known)}")


def _parameters(constructor: Callable[..., Any]) -> tuple[str, ...]:
    code = constructor.__code__
    return code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]


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
    name = kind.__name__
    what = f"the class {given.__name__} itself" if isinstance(given, type) else type(given).__name__
    fix = f"{name}(**{option})" if isinstance(given, dict) else f"{name}(…)"
    raise ConfigurationError(f"{option} must be {'an' if name[0] in 'AEIO' else 'a'} {name}, not {what}. Fix: {fix}")


def checked_subscriber(on_event: object) -> Subscriber | None:
    """The callable that gets the events. Raises ConfigurationError for anything else."""
    if on_event is None or callable(on_event):
        return on_event
    raise ConfigurationError(f"on_event={type(on_event).__name__} is not callable. Fix: a function of one Event")
