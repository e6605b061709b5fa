"""One entry of M2M_AUTH['CLIENTS']: read, checked option by option, and made into a token source."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from django.utils.module_loading import import_string

from m2m_auth import MintBudget, RenewalPolicy, TokenSource
from m2m_auth.errors import ConfigurationError, nearest
from m2m_auth.oauth2.origins import OriginPolicy

from .problems import Problems

__all__ = ["ClientSettings", "read_client", "refuse_unknown_keys"]

_KEYS = (
    "TOKEN_ENDPOINT",
    "CLIENT_ID",
    "CLIENT_SECRET",
    "AUDIENCE",
    "SCOPE",
    "RESOURCE",
    "CLIENT_AUTHENTICATION",
    "ALLOWED_ORIGINS",
    "CACHE",
    "POLICY",
    "BUDGET",
)
_PLAIN = ("AUDIENCE", "SCOPE", "RESOURCE")
_MODEL: dict[str, Any] = {"token_endpoint": "https://localhost/", "client_id": "client", "client_secret": "secret"}
"""A source that is good; with one option replaced, what is said of it is said of that option."""


class ClientSettings(NamedTuple):
    """A client as it is configured."""

    alias: str
    options: dict[str, Any]
    """The keyword arguments of its TokenSource, without the cache and the encryption keys."""
    cache: str | None
    """The alias of its cache; None is this process's memory alone."""
    allowed_origins: list[str] | None

    def __repr__(self) -> str:
        return f"<ClientSettings {self.alias!r}>"


def read_client(alias: str, given: object, problems: Problems) -> ClientSettings | None:
    """The client behind ``M2M_AUTH['CLIENTS'][alias]``; None if there are errors, which ``problems`` then has."""
    where = f"M2M_AUTH['CLIENTS'][{alias!r}]"
    known = len([problem for problem in problems if problem.is_error])
    if not isinstance(given, Mapping):
        problems.found("E001", where, f"must be a dict, not {type(given).__name__}", client=alias)
        return None
    entry: dict[str, Any] = dict(given)
    refuse_unknown_keys(where, entry, _KEYS, problems, alias)
    reader = _Reader(alias, where, problems)
    options = {**reader.required(entry), **reader.optional(entry)}
    origins = reader.origins(entry.get("ALLOWED_ORIGINS"))
    if len([problem for problem in problems if problem.is_error]) > known:
        return None
    return ClientSettings(alias, options, entry.get("CACHE", "default"), origins)


def refuse_unknown_keys(
    where: str, entry: Mapping[Any, Any], known: tuple[str, ...], problems: Problems, client: str = ""
) -> None:
    """Notes each key that does not exist, with the nearest one that does."""
    for key in entry:
        if key not in known:
            near = nearest(str(key).upper(), known)
            problems.found("E002", where, f"unknown key {key!r}{near}", f"use one of {', '.join(known)}", client)


class _Reader:
    """Notes what is wrong with one client's options."""

    def __init__(self, alias: str, where: str, problems: Problems) -> None:
        self._alias, self._where, self._problems = alias, where, problems

    def required(self, entry: dict[str, Any]) -> dict[str, Any]:
        """The endpoint, the client id and the secret with its authentication."""
        found: dict[str, Any] = {"alias": self._alias}
        self._try("E006", "alias", found)
        for key, problem in (("TOKEN_ENDPOINT", "E004"), ("CLIENT_ID", "E006")):
            if entry.get(key) in (None, ""):
                hint = "set it; an unset environment variable is the usual cause"
                self._found("E003", key, "is missing" if key not in entry else "is blank", hint)
            else:
                found[key.lower()] = entry[key]
                self._try(problem, key, {key.lower(): entry[key]})
        authentication = {key.lower(): entry[key] for key in ("CLIENT_AUTHENTICATION",) if key in entry}
        if not authentication or self._try("E006", "CLIENT_AUTHENTICATION", {**authentication, "client_secret": _told}):
            secret = self._secret(entry.get("CLIENT_SECRET"))
            self._try("E005", "CLIENT_SECRET", {**authentication, "client_secret": secret})
            found.update(authentication, client_secret=secret)
        return found

    def optional(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Everything else that a source takes."""
        found: dict[str, Any] = {key.lower(): entry[key] for key in _PLAIN if entry.get(key) is not None}
        for name, value in found.items():
            self._try("E006", name.upper(), {name: value})
        for key, kind in (("POLICY", RenewalPolicy), ("BUDGET", MintBudget)):
            if entry.get(key) is not None:
                found[key.lower()] = self._record(key, kind, entry[key])
        return found

    def origins(self, given: Any) -> list[str] | None:
        """ALLOWED_ORIGINS, checked."""
        try:
            OriginPolicy(given, allow_insecure_http=False)
        except ConfigurationError as error:
            self._problems.refused("E006", f"{self._where}['ALLOWED_ORIGINS']", error, self._alias)
            return None
        return None if given is None else list(given)

    def _record(self, key: str, kind: Any, given: Any) -> Any:
        """A RenewalPolicy or MintBudget from its dict."""
        if isinstance(given, kind):
            record = given
        elif not isinstance(given, Mapping):
            self._found("E007", key, f"must be a dict, not {type(given).__name__}", f"keys: {_upper(kind)}")
            return None
        else:
            fields = {str(name).lower(): value for name, value in given.items()}
            names = [field.name for field in dataclasses.fields(kind)]
            known = tuple(name.upper() for name in names)
            refuse_unknown_keys(f"{self._where}[{key!r}]", {name.upper(): 0 for name in fields}, known, *self._to)
            try:
                record = kind(**{name: value for name, value in fields.items() if name in names})
            except ConfigurationError as error:
                self._problems.refused("E007", f"{self._where}[{key!r}]", error, self._alias)
                return None
        return record

    def _secret(self, given: Any) -> Any:
        """A string, a callable, or the callable behind an import path."""
        if not isinstance(given, str) or not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", given):
            return given
        if importlib.util.find_spec(given.partition(".")[0]) is None:
            if re.fullmatch(r"[a-z_.]+", given):
                message = "looks like an import path, but there is no such package; it is taken for the secret itself"
                self._found("W006", "CLIENT_SECRET", message, "correct the path, or pass the callable")
            return given
        problem = ""
        try:
            fetch: Any = import_string(given)
        except Exception as error:  # whatever the project's module raises when it is imported
            problem = f"cannot be imported: {type(error).__name__}"
        else:
            if callable(fetch):
                return fetch
            problem = f"leads to {type(fetch).__name__}, not to a callable that returns the secret"
        self._found("E005", "CLIENT_SECRET", f"the import path {given!r} {problem}", "name a callable, as 'package.f'")
        return _told

    def _try(self, problem: str, key: str, options: dict[str, Any]) -> bool:
        """True if a source takes these options."""
        try:
            TokenSource(**{**_MODEL, **options}, transport=_nowhere)
        except ConfigurationError as error:
            self._problems.refused(problem, f"{self._where}[{key!r}]", error, self._alias)
            return False
        return True

    def _found(self, problem: str, key: str, message: str, hint: str) -> None:
        self._problems.found(problem, f"{self._where}[{key!r}]", message, hint, self._alias)

    @property
    def _to(self) -> tuple[Problems, str]:
        return self._problems, self._alias


def _upper(kind: Any) -> str:
    return ", ".join(field.name.upper() for field in dataclasses.fields(kind))


def _nowhere(request: object) -> Any:  # pragma: no cover - never called: these sources are only built
    raise NotImplementedError(request)


def _told() -> str:
    """Stands in for a secret about which enough has been said."""
    return ""
