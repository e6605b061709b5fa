"""Single values of the configuration: secrets out of sight, and text again where JSON made a number of it.

``app.config.from_prefixed_env`` reads every value as JSON: ``CLIENT_ID=12345`` arrives as an int, and ``1e5`` as a
float, of which nobody can say any more how it was written.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from m2m_auth import ConfigurationError

__all__ = ["Hidden", "as_list", "as_mapping", "as_text", "imported", "is_import_path", "nearest", "only_known", "under"]


class Hidden:
    """A value out of sight of repr, and of error reporters that print locals."""

    __slots__ = ("reveal",)

    def __init__(self, value: Any) -> None:
        self.reveal: Callable[[], Any] = lambda: value  # an attribute could be printed

    def __repr__(self) -> str:
        return "<hidden>"


def as_text(where: str, value: Any) -> Any:
    """A whole number as its digits, all else as it is; a :class:`Hidden` one stays hidden.

    Raises:
        ConfigurationError: it is a fraction or a truth value, so it is not known how it was written.
    """
    shown = value.reveal() if isinstance(value, Hidden) else value
    kind, number = type(shown).__name__, type(shown) is int
    text = str(shown) if number else shown
    text = Hidden(text) if isinstance(value, Hidden) else text
    shown = value = None  # not in the traceback
    if kind in ("float", "bool"):
        raise ConfigurationError(f"{where} must be a string, not {kind}. In the environment, quote it: '\"…\"'")
    return text


def as_list(where: str, value: Any, separators: str = "") -> Any:
    """One string, as the environment has it, as a list, split at ``separators`` if there are any; numbers as text."""
    if isinstance(value, str):
        return [part for part in re.split(separators, value) if part] if separators else [value]
    if isinstance(value, (list, tuple, set, frozenset)):
        return [as_text(where, entry) for entry in value]
    return as_text(where, value)


def as_mapping(where: str, value: Hidden) -> Mapping[Any, Any]:
    """A dict. Raises ConfigurationError for all else, which is not shown: it may hold anything."""
    if not isinstance(value.reveal(), Mapping):
        raise ConfigurationError(f"{where} must be a dict, not {type(value.reveal()).__name__}")
    return value.reveal()  # type: ignore[no-any-return]


def nearest(name: object, known: Iterable[str]) -> str:
    """`` (did you mean 'x'?)``, or nothing, whatever the case."""
    by_lower = {each.lower(): each for each in known}
    close = difflib.get_close_matches(str(name).lower(), by_lower, n=1, cutoff=0.6)
    return f" (did you mean {by_lower[close[0]]!r}?)" if close else ""


def only_known(where: str, names: Iterable[object], known: Iterable[str]) -> None:
    """Raises ConfigurationError for a name that is not known, with the nearest one that is."""
    allowed = list(known)
    for name in names:
        if name not in allowed:
            raise ConfigurationError(
                f"{where}: unknown key {name!r}{nearest(name, allowed)}. Known: {', '.join(allowed)}"
            )


_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*[.:][A-Za-z_]\w*", re.ASCII)


def is_import_path(value: object) -> bool:
    """True for ``package.module.name`` and ``package.module:name`` whose first package there is. Imports nothing."""
    if not isinstance(value, str) or not _PATH.fullmatch(value):
        return False
    try:
        return importlib.util.find_spec(re.split("[.:]", value)[0]) is not None
    except (ImportError, ValueError):  # ValueError: __main__
        return False


def imported(where: str, path: Any) -> Any:
    """What an import path names. A :class:`Hidden` one is never shown: it may be a secret after all.

    Raises:
        ConfigurationError: it cannot be imported.
    """
    found, *problem = _followed(path)
    if problem:
        shown, why = ("", problem[0]) if isinstance(path, Hidden) else (f"={path!r}", ": ".join(problem))
        raise ConfigurationError(
            f"{where}{shown} looks like an import path, and cannot be imported ({why}). Fix: 'package.module.name'"
        )
    return found


def _followed(path: Any) -> tuple[Any, ...]:
    """What is there; or None, and the problem in words. A function of its own: no traceback holds its locals."""
    text: str = path.reveal() if isinstance(path, Hidden) else path
    module, _, name = text.replace(":", ".").rpartition(".")
    try:
        return (getattr(importlib.import_module(module), name),)
    except ImportError as error:
        return None, type(error).__name__, str(error.name)
    except Exception as error:  # whatever the module does when it is imported
        return None, type(error).__name__


@contextmanager
def under(where: str) -> Iterator[None]:
    """Puts in front of a ConfigurationError where in the configuration it is."""
    problem = ""
    try:
        yield
    except ConfigurationError as error:
        problem = str(error)
    if problem:
        raise ConfigurationError(f"{where}: {problem}") from None
