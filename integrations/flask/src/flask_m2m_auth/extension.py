"""The extension: ``m2m = M2M()``, ``m2m.init_app(app)``, ``m2m["billing"]``. All state belongs to the app."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Flask

from .app_state import EXTENSION, AppState, current_state
from .cli import commands
from .client import Client
from .settings import is_configured, read_config

__all__ = ["M2M"]


class M2M:
    """Service tokens for Flask apps, configured by ``M2M_AUTH_CLIENTS`` and ``M2M_AUTH_CACHES`` in ``app.config``.

    One object serves any number of apps: make it at the top of a module, call :meth:`init_app` in the factory, and
    ``m2m["billing"]`` is the current app's client.

    Args:
        app: an app to initialise at once.

    Raises:
        RuntimeError, ConfigurationError: see :meth:`init_app`.
    """

    def __init__(self, app: Flask | None = None) -> None:
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Prepares an app: no I/O, no thread. Adds ``flask m2m-auth`` to its commands.

        If the app is configured already, the configuration is checked now. It is read again at first use, and kept.

        Raises:
            RuntimeError: the app has been initialised before.
            ConfigurationError: every mistake, one a line; each says what is wrong, where, and the fix.
        """
        if EXTENSION in app.extensions:
            raise RuntimeError(f"{app!r} has been initialised for m2m_auth before. Fix: one init_app() per app")
        if is_configured(app):
            read_config(app)
        app.extensions[EXTENSION] = AppState(app)
        app.cli.add_command(commands)

    def __getitem__(self, alias: str) -> Client:
        """The current app's client with this alias.

        Raises:
            RuntimeError: there is no app context, or its app has not been initialised.
            ConfigurationError: the alias is not known, or the configuration makes no sense.
        """
        return current_state(f"m2m[{alias!r}]").client(alias)

    def __iter__(self) -> Iterator[str]:
        """The aliases of the current app's clients."""
        return iter(current_state("m2m"))
