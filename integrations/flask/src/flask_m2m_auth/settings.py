"""The app's configuration, checked in one place: every mistake is a ConfigurationError before any I/O.

What a value of a client may be, the core knows: each client is built once without its cache, and asked for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from m2m_auth import ConfigurationError

from .client_settings import KEYS, ClientSettings
from .values import Hidden, as_list, as_mapping, as_text, nearest, only_known

if TYPE_CHECKING:
    from flask import Flask

__all__ = ["CACHES", "CLIENTS", "ENCRYPTION_KEYS", "Settings", "refuse_misspelt"]

CLIENTS, CACHES, ENCRYPTION_KEYS = "M2M_AUTH_CLIENTS", "M2M_AUTH_CACHES", "M2M_AUTH_ENCRYPTION_KEYS"
_PREFIX = "M2M_AUTH_"
_NAMES = [name.removeprefix(_PREFIX) for name in (CLIENTS, CACHES, ENCRYPTION_KEYS)]
_DEFAULT_CACHES = {"default": "disk:"}


class Settings(NamedTuple):
    """The configuration of one app."""

    clients: dict[str, ClientSettings]
    caches: dict[str, Hidden]
    """By alias a URL, a cache, or a dict; hidden, since each may hold a password."""
    encryption_keys: Hidden

    @classmethod
    def of(cls, app: Flask) -> Settings:
        """The configuration of this app, read and checked, without any I/O.

        Raises:
            ConfigurationError: what is wrong, where, and the fix.
        """
        refuse_misspelt(app)
        if app.config.get(CLIENTS) is None:
            raise ConfigurationError(
                f"{app!r} has no {CLIENTS}. Fix: app.config[{CLIENTS!r}] = {{'billing': {{'TOKEN_ENDPOINT': …}}}}"
            )
        caches = _caches(_hidden(app, CACHES, _DEFAULT_CACHES))
        keys = _keys(app)
        clients: dict[str, ClientSettings] = {}
        for alias, given in _hidden(app, CLIENTS, {}).items():
            where = f"{CLIENTS}[{alias!r}]"
            _check_alias(CLIENTS, alias)
            options = {key: _shown(key, value) for key, value in as_mapping(where, given).items()}
            clients[alias] = client = ClientSettings.of(where, options)
            if client.cache is not None and client.cache not in caches:
                raise ConfigurationError(
                    f"{where}['CACHE']: there is no cache {client.cache!r}{nearest(client.cache, caches)}. "
                    f"Known in {CACHES}: {', '.join(map(repr, caches)) or 'none'}; or None for this process's memory"
                )
            client.check(keys)
        return cls(clients, caches, keys)

    def client(self, alias: object) -> ClientSettings:
        """One client's settings. Raises ConfigurationError for an alias that is not known."""
        found = self.clients.get(alias) if isinstance(alias, str) else None
        if found is None:
            raise ConfigurationError(
                f"m2m[{alias!r}]: {CLIENTS} has no such client{nearest(alias, self.clients)}. "
                f"Known: {', '.join(map(repr, self.clients)) or 'none'}"
            )
        return found


def _hidden(app: Flask, name: str, default: Mapping[str, Any]) -> dict[Any, Hidden]:
    """The entries of one setting, out of sight: an error reporter prints the locals of whoever raises."""
    given = Hidden(default if app.config.get(name) is None else app.config[name])
    return {alias: Hidden(value) for alias, value in as_mapping(name, given).items()}


def _shown(key: object, value: Any) -> Any:
    """Secrets stay out of sight, and so does what stands under a key that is not known: perhaps a misspelt one."""
    return Hidden(value) if key == "CLIENT_SECRET" or key not in KEYS else value


def _keys(app: Flask) -> Hidden:
    """One key, as the environment has it, or several."""
    return Hidden(as_list(ENCRYPTION_KEYS, app.config.get(ENCRYPTION_KEYS)))


def refuse_misspelt(app: Flask) -> None:
    """Raises ConfigurationError for ``M2M_AUTH_CLIENT`` and the like; names unlike ours are somebody else's."""
    for name in app.config:
        rest = name.removeprefix(_PREFIX)
        if name.startswith(_PREFIX) and rest not in _NAMES and nearest(rest, _NAMES):
            raise ConfigurationError(f"unknown setting {name}. Known: {CLIENTS}, {CACHES}, {ENCRYPTION_KEYS}")


def _check_alias(where: str, alias: object) -> None:
    if not isinstance(alias, str) or not alias.strip() or not alias.isprintable():
        raise ConfigurationError(f"{where}: alias {alias!r} must be a short printable name, such as 'billing'")


def _caches(given: dict[Any, Hidden]) -> dict[str, Hidden]:
    for alias, entry in given.items():
        where = f"{CACHES}[{alias!r}]"
        _check_alias(CACHES, alias)
        problem = ""
        if isinstance(entry.reveal(), str):
            problem = "" if entry.reveal().strip() else "is blank"
        elif entry.reveal() is None or isinstance(as_text(where, entry).reveal(), str):
            problem = "is no cache"
        elif isinstance(entry.reveal(), Mapping):
            only_known(where, list(entry.reveal()), ("BACKEND", "OPTIONS", "FLASK_CACHING"))
            if len({"BACKEND", "FLASK_CACHING"} & set(entry.reveal())) != 1:
                problem = "names no cache, or two"
            elif "OPTIONS" in entry.reveal() and "FLASK_CACHING" in entry.reveal():
                problem = "has OPTIONS, which belong to Flask-Caching's own settings"
            elif entry.reveal().get("FLASK_CACHING", True) is not True:
                problem = "has a FLASK_CACHING that is not True"
            else:
                as_mapping(f"{where}['OPTIONS']", Hidden(entry.reveal().get("OPTIONS", {})))
        if problem:
            raise ConfigurationError(
                f"{where} {problem}. Fix: a URL such as 'redis://host', {{'BACKEND': 'package.module:Class', "
                "'OPTIONS': {…}}, {'FLASK_CACHING': True}, or a cache"
            )
    return given
