"""Single values of the settings: text, lists, import paths, records. Each function raises ConfigurationError.

Environment variables that are read as JSON (``app.config.from_prefixed_env``) make a number of ``CLIENT_ID=12345``. A
whole number becomes text again. ``1e5`` does not: how it was written is lost.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from ..errors import ConfigurationError
from ..values import Value, field_names

__all__ = [
    "ImportPath",
    "as_flag",
    "as_flag_or_else",
    "as_list",
    "as_several_texts",
    "as_text",
    "as_texts",
    "fields_of",
    "import_path",
    "imported",
    "looks_like_a_path",
    "mapping",
    "no_package",
    "record_of",
]


def as_text(value: Any) -> Any:
    """A whole number as its digits. Everything else is returned as it is, for the option's own check.

    Raises:
        ConfigurationError: a fraction or a truth value.
    """
    if isinstance(value, (bool, float)):
        raise ConfigurationError(f"must be a string, not {type(value).__name__}. Fix: quote it: '\"…\"'")
    return str(value) if isinstance(value, int) else value


_FLAGS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
"""How environment variables and files say yes and no."""


def as_flag(value: Any) -> Any:
    """A truth value, also as an environment variable has it: ``true``, ``no``, ``0``.

    Raises:
        ConfigurationError: it is neither.
    """
    known = as_flag_or_else(value)
    if not isinstance(known, bool):
        shown = repr(value) if isinstance(value, (str, int, float)) else type(value).__name__
        raise ConfigurationError(f"must be True or False, not {shown}. Fix: True or False, or leave it out")
    return known


def as_flag_or_else(value: Any) -> Any:
    """The same, and everything else as it is."""
    return _FLAGS.get(str(value).strip().lower(), value) if isinstance(value, (bool, int, str)) else value


def as_list(value: Any) -> Any:
    """A string, as an environment variable has it, split at commas and white space; a list with numbers as text."""
    if isinstance(value, str):
        return [part for part in re.split(r"[,\s]+", value) if part]
    return as_texts(value)


def as_texts(value: Any) -> Any:
    """One text, or a list of them."""
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping)):
        return [as_text(each) for each in value]  # pyright: ignore[reportUnknownVariableType]
    return as_text(value)


_Record = TypeVar("_Record", bound=Value)


def mapping(value: object) -> Mapping[Any, Any] | None:
    """The value if it is a mapping, else None."""
    return value if isinstance(value, Mapping) else None  # pyright: ignore[reportUnknownVariableType]


def as_several_texts(value: Any) -> Any:
    """A list of texts; one text, as an environment variable has it, becomes a list of one."""
    return as_texts([value] if isinstance(value, (str, int)) else value)


def record_of(kind: type[_Record], value: Any) -> _Record:
    """A policy, a budget or AnswerRules: the object itself, or made from a mapping of its fields in either case.

    Raises:
        ConfigurationError: the value is no mapping. The caller refuses unknown fields.
    """
    if isinstance(value, kind):
        return value
    given = mapping(value)
    if given is None:
        no_package(value)
        raise ConfigurationError(f"must be a dict, not {type(value).__name__}. Fix: keys {', '.join(fields_of(kind))}")
    fields: dict[str, Any] = {str(name).upper(): each for name, each in given.items()}
    return kind(**{name.lower(): fields[name] for name in fields_of(kind) if name in fields})


def fields_of(kind: type[Value]) -> tuple[str, ...]:
    """The keys of a record: its fields in capitals."""
    return tuple(name.upper() for name in field_names(kind))


_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*[.:][A-Za-z_]\w*", re.ASCII)


class ImportPath:
    """``package.module.name`` or ``package.module:name``, followed later: a project's modules may import the app.

    It may be a secret after all, so neither its repr nor a message shows the path.

    Args:
        path: the path.
        setting: the setting that has it, as the user spells it.
        field: the field of the option that the path is for, e.g. ``answers.adapt``, or ``""``.
        then: makes the option's value of what the path names; it raises ConfigurationError.
    """

    __slots__ = ("_field", "_path", "_then", "setting")

    def __init__(
        self, path: str, setting: str, field: str = "", then: Callable[[Any], Any] = lambda found: found
    ) -> None:
        self._path: Callable[[], str] = lambda: path  # error reporters print attributes
        self._field, self._then = field, then
        self.setting = setting

    def __repr__(self) -> str:
        return "<ImportPath>"

    def load(self) -> Any:
        """What the path names.

        Raises:
            ConfigurationError: it cannot be imported, or is not what the option takes.
        """
        found, why, _ = _followed(self._path)
        if why:
            problem = f"looks like an import path, and cannot be imported ({why}). Fix: 'package.module.name'"
            raise ConfigurationError(f"{self._field} {problem}".lstrip())
        return self._then(found)


def import_path(
    value: Any, setting: str, field: str = "", then: Callable[[Any], Any] = lambda found: found
) -> ImportPath | None:
    """The import path that a text is; None where it is none, or its first package does not exist. Imports nothing."""
    if not isinstance(value, str) or not _PATH.fullmatch(value):
        return None
    try:
        found = importlib.util.find_spec(re.split("[.:]", value)[0]) is not None
    except (ImportError, ValueError):  # ValueError: __main__
        found = False
    return ImportPath(value, setting, field, then) if found else None


def no_package(value: Any, field: str = "") -> None:
    """Raises ConfigurationError for the import path of a package that does not exist, where no text is good.

    ``field`` stands before the message.
    """
    if isinstance(value, str) and _PATH.fullmatch(value) and import_path(value, "") is None:
        package = re.split("[.:]", value)[0]
        raise ConfigurationError(
            f"{field}{value!r} names a package that does not exist: {package}. Fix: 'package.module.name'"
        )


def looks_like_a_path(value: Any) -> bool:
    """True for lower-case words joined by dots: probably no secret, and perhaps the path of a missing package."""
    return isinstance(value, str) and re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", value) is not None


def imported(path: str) -> Any:
    """What an import path names.

    Raises:
        ConfigurationError: it cannot be imported; the message shows the path.
    """
    found, why, package = _followed(lambda: path)
    if why:
        missing = f": {package}" if package else ""
        raise ConfigurationError(f"{path!r} cannot be imported ({why}{missing}). Fix: 'package.module.name'")
    return found


def _followed(path: Callable[[], str]) -> tuple[Any, str, str]:
    """What the path names; or None, the error's name and the missing package.

    It is a function of its own and raises nothing: no traceback holds its locals.
    """
    module, _, name = path().replace(":", ".").rpartition(".")
    try:
        return getattr(importlib.import_module(module), name), "", ""
    except ImportError as error:
        return None, type(error).__name__, error.name or ""
    except Exception as error:  # a project's module may raise anything when it is imported
        return None, type(error).__name__, ""
