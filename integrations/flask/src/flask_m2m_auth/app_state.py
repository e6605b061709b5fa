"""What belongs to one app: its settings, clients and their sources, made when they are first used.

There is no lock, which a forked child could find taken: two threads may build the same thing at the same moment, and
``dict.setdefault`` keeps the first one's. Nothing that is built does I/O.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from flask import current_app, has_app_context

from m2m_auth import TokenSource
from m2m_auth.settings import Settings

from .client import Client
from .settings import read_config
from .signals import signal_sender

if TYPE_CHECKING:
    from flask import Flask

__all__ = ["EXTENSION", "AppState", "current_state"]

EXTENSION = "m2m_auth"
"""The key in ``app.extensions``."""


class AppState:
    """``app.extensions["m2m_auth"]``: everything that belongs to one app.

    Args:
        app: the app itself, not a proxy.
    """

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._settings: list[Settings] = []
        self._clients: dict[str, Client] = {}

    def __repr__(self) -> str:
        return f"<m2m_auth of {self._app!r}>"

    @property
    def settings(self) -> Settings:
        """The configuration as it was at first use. Raises ConfigurationError for one that makes no sense."""
        if not self._settings:
            self._settings.append(read_config(self._app))
        return self._settings[0]

    def __iter__(self) -> Iterator[str]:
        return iter(self.settings.clients)

    def client(self, alias: str) -> Client:
        """The client with this alias. Raises ConfigurationError for one that is not known."""
        settings = self.settings.client(alias)
        found = self._clients.get(alias)
        if found is None:
            made = Client(alias, lambda: self._source(alias), settings.resolved_front_door_options)
            found = self._clients.setdefault(alias, made)
        return found

    def sources(self) -> dict[str, TokenSource]:
        """The source of each client, by alias. Raises ConfigurationError where one cannot be built."""
        return {alias: self.client(alias).source for alias in self}

    def _source(self, alias: str) -> TokenSource:
        return self.settings.source(alias, on_event=signal_sender(self._app, alias))


def current_state(user: str) -> AppState:
    """The current app's state.

    Args:
        user: what needs it, for the message of an error.

    Raises:
        RuntimeError: there is no app context, or its app has not been initialised.
    """
    if not has_app_context():
        raise RuntimeError(
            f"{user} was used outside of an application context, so it is not known which app is meant. "
            "Fix: 'with app.app_context(): …'. In a thread: get the client, source or auth object inside of a context "
            "and pass it to the thread; it works there without one"
        )
    found: AppState | None = current_app.extensions.get(EXTENSION)
    if found is None:
        raise RuntimeError(f"{user}: the app {current_app.name!r} has no m2m_auth. Fix: m2m.init_app(app)")
    return found
