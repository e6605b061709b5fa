"""The keys of the configuration file, and the reader of each key's value."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from ...errors import nearest
from ...oauth2.secrets import Secret

__all__ = ["PROXY", "UPSTREAM", "VENDOR", "KeyPath", "Reader", "WrongValue", "read_secret", "read_table", "read_text"]

KeyPath = tuple[str, ...]
"""The names of the tables around a key, and the key."""


class WrongValue(Exception):
    """A value in the file that its key cannot have.

    Args:
        path: the key.
        problem: what is wrong, and the fix.
    """

    def __init__(self, path: KeyPath, problem: str) -> None:
        super().__init__(problem)
        self.path, self.problem = path, problem


Reader = Callable[[Any, KeyPath, Path], Any]
"""Takes a value, its key and the configuration's folder, and returns the option. Raises WrongValue."""


def read_table(
    given: object, known: Mapping[str, Reader], path: KeyPath, folder: Path, needed: tuple[str, ...] = ()
) -> dict[str, Any]:
    """A table's values, each by its own reader."""
    where = ".".join(path)
    if not isinstance(given, dict):
        raise WrongValue(path, f"{where} must be a table. Fix: [{where}]")
    table = cast("dict[str, Any]", given)
    for name in table:
        if name not in known:
            near = nearest(name, known)
            raise WrongValue((*path, name), f"unknown key {'.'.join((*path, name))!r}{near}. Known: {', '.join(known)}")
    for name in needed:
        if name not in table:
            raise WrongValue(path, f"{where} lacks {name}")
    return {name: known[name](value, (*path, name), folder) for name, value in table.items()}


def _of(kind: type, words: str) -> Reader:
    def read(value: Any, path: KeyPath, folder: Path) -> Any:  # noqa: ARG001
        """The value, if it has the type."""
        if type(value) is not kind and not (kind is float and type(value) is int):
            raise WrongValue(path, f"{'.'.join(path)} must be {words}, not {type(value).__name__}")
        return value

    return read


read_text, _whole, _number, _flag = (
    _of(str, "a string"),
    _of(int, "a whole number"),
    _of(float, "a number"),
    _of(bool, "true or false"),
)


def _texts(value: Any, path: KeyPath, folder: Path) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise WrongValue(path, f"{'.'.join(path)} must be a list of strings, such as ['read']")
    return tuple(read_text(each, path, folder) for each in value)  # pyright: ignore[reportUnknownVariableType]


def _values(value: Any, path: KeyPath, folder: Path) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict):
        raise WrongValue(path, f"{'.'.join(path)} must be a table of lists, such as {{ organization = ['acme'] }}")
    return {name: _texts(each, (*path, name), folder) for name, each in cast("dict[str, Any]", value).items()}


_SECRET = "a string, { env = 'VARIABLE' } or { file = 'PATH' }"  # noqa: S105 - words


def read_secret(value: Any, path: KeyPath, folder: Path) -> Secret:
    """A secret from the configuration itself, from the environment, or from a file beside the configuration."""
    name = ".".join(path)
    if isinstance(value, str):
        return Secret(value)
    if not isinstance(value, dict) or len(cast("dict[str, Any]", value)) != 1:
        raise WrongValue(path, f"{name} must be {_SECRET}")
    ((kind, where),) = cast("dict[str, Any]", value).items()
    if kind == "env" and isinstance(where, str):
        if not os.environ.get(where):
            raise WrongValue(path, f"{name}: the environment variable {where} is not set")
        return Secret(os.environ[where])
    if kind == "file" and isinstance(where, str):
        try:
            return Secret((folder / where).read_bytes().strip())
        except OSError as error:
            problem = error.strerror
        raise WrongValue(path, f"{name}: {folder / where}: {problem}")
    raise WrongValue(path, f"{name} must be {_SECRET}")


def _secrets(value: Any, path: KeyPath, folder: Path) -> tuple[Secret, ...]:
    if not isinstance(value, list):
        raise WrongValue(path, f"{'.'.join(path)} must be a list; each is {_SECRET}")
    return tuple(read_secret(each, path, folder) for each in value)  # pyright: ignore[reportUnknownVariableType]


PROXY: dict[str, Reader] = {
    "pepper": read_secret,
    "cache": read_text,
    "encryption_keys": _secrets,
    "vendors_file": read_text,
    "path": read_text,
    "operator_path": read_text,
    "metrics_path": read_text,
    "lifetime_cap": _number,
    "min_validity": _number,
    "max_entries": _whole,
    "max_body": _whole,
    "max_upstream_calls": _whole,
    "trusted_proxies": _whole,
    "failures_per_minute": _whole,
    "secret_attempts_per_minute": _whole,
    "debug_header": _flag,
    "operator_token": read_secret,
}
UPSTREAM: dict[str, Reader] = {
    "token_endpoint": read_text,
    "client_id": read_text,
    "client_secret": read_secret,
    "client_authentication": read_text,
    "encoding": read_text,
}
VENDOR: dict[str, Reader] = {
    "upstream": read_text,
    "audiences": _texts,
    "scopes": _texts,
    "default_scopes": _texts,
    "resources": _texts,
    "extra_parameters": _values,
    "mints_per_hour": _whole,
    "mints_per_month": _whole,
    "requests_per_minute": _whole,
    "verifiers": _texts,
}
