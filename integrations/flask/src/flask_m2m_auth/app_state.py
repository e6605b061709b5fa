"""What one app has: its clients and their sources, made when they are first asked for.

No lock: two threads may build the same thing at the same moment, and ``dict.setdefault`` says whose is kept. Nothing
here does any I/O, so there is nothing to wait for, and no lock that a fork could leave taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from flask import current_app, has_app_context

from m2m_auth import TokenSource
from m2m_auth.caches.protocol import TokenCache

from .client import Client
from .opening import as_token_cache, opened, opener
from .settings import CACHES, Settings
from .signals import teller
from .values import Hidden

if TYPE_CHECKING:
    from flask import Flask

__all__ = ["EXTENSION", "State", "current_state"]

EXTENSION = "m2m_auth"
"""The key in ``app.extensions``."""


class State:
    """``app.extensions["m2m_auth"]``: everything that belongs to one app.

    Args:
        app: the app itself, not a proxy.
    """

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._settings: list[Settings] = []
        self._clients: dict[str, Client] = {}
        self._caches: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"<m2m_auth of {self._app!r}>"

    @property
    def settings(self) -> Settings:
        """The configuration as it was at first use. Raises ConfigurationError for one that makes no sense."""
        if not self._settings:
            self._settings.append(Settings.of(self._app))
        return self._settings[0]

    def __iter__(self) -> Iterator[str]:
        return iter(self.settings.clients)

    def client(self, alias: str) -> Client:
        """The client with this alias. Raises ConfigurationError for one that is not known."""
        settings = self.settings.client(alias)
        found = self._clients.get(alias)
        if found is None:
            made = Client(alias, lambda: self._source(alias), settings.allowed_origins)
            found = self._clients.setdefault(alias, made)
        return found

    def sources(self) -> dict[str, TokenSource]:
        """The source of each client, by alias. Raises ConfigurationError where one cannot be built."""
        return {alias: self.client(alias).source for alias in self}

    def caches(self) -> dict[str, TokenCache | str]:
        """Each cache by alias, for an examination: its URL, or the cache. Raises ConfigurationError."""
        return {alias: self._examined(alias) for alias in self.settings.caches}

    def openers(self) -> dict[str, Callable[[], TokenCache]]:
        """How another process opens those caches that it can open."""
        found = {alias: opener(_where(alias), entry) for alias, entry in self.settings.caches.items()}
        return {alias: each for alias, each in found.items() if each is not None}

    def _source(self, alias: str) -> TokenSource:
        client = self.settings.client(alias)
        return client.source(
            self.settings.encryption_keys,
            Hidden(None if client.cache is None else self._cache(client.cache)),
            alias=alias,
            on_event=teller(self._app, alias),
        )

    def _cache(self, alias: str) -> Any:
        found = self._caches.get(alias)
        if found is None:
            made = opened(_where(alias), self.settings.caches[alias], self._app)
            found = self._caches.setdefault(alias, made)
        return found

    def _examined(self, alias: str) -> TokenCache | str:
        found = self._cache(alias)
        return found if isinstance(found, str) else as_token_cache(_where(alias), found)


def _where(alias: str) -> str:
    return f"{CACHES}[{alias!r}]"


def current_state(what: str) -> State:
    """The current app's state; ``what`` was asked for.

    Raises:
        RuntimeError: there is no app context, or its app has not been initialised.
    """
    if not has_app_context():
        raise RuntimeError(
            f"{what} was used outside of an application context, so nobody knows which app is meant. "
            "Fix: 'with app.app_context(): …'; or take what you need inside of one and hand it to the thread: "
            "clients, sources and auth objects work anywhere"
        )
    found: State | None = current_app.extensions.get(EXTENSION)
    if found is None:
        raise RuntimeError(f"{what}: the app {current_app.name!r} has no m2m_auth. Fix: m2m.init_app(app)")
    return found
