"""What ``m2m["billing"]`` is: one client's token source, and the front doors over it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from m2m_auth import TokenSource

if TYPE_CHECKING:
    from m2m_auth.httpx import M2MAuth as HttpxAuth
    from m2m_auth.httpx2 import M2MAuth as Httpx2Auth
    from m2m_auth.requests import M2MAuth as RequestsAuth

__all__ = ["Client"]


class Client:
    """One client of one app. Once obtained, it works in any thread or task, with or without an app context.

    Args:
        alias: its key in ``M2M_AUTH_CLIENTS``.
        make_source: builds its source at the first use.
        front_door_options: gives the options of its front doors, with import paths followed.
    """

    def __init__(
        self, alias: str, make_source: Callable[[], TokenSource], front_door_options: Callable[[], dict[str, Any]]
    ) -> None:
        self.alias = alias
        self._make_source = make_source
        self._front_door_options = front_door_options
        self._made: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"<Client {self.alias!r}>"

    @property
    def source(self) -> TokenSource:
        """The token source behind it: ``m2m["billing"].source.token()``.

        Raises:
            ConfigurationError: an import path or a cache that the configuration names is not there.
        """
        found: TokenSource | None = self._made.get("source")
        return self._made.setdefault("source", self._make_source()) if found is None else found

    def requests_auth(self) -> RequestsAuth:
        """The front door for requests: ``session.auth = m2m["billing"].requests_auth()``. Raises like ``source``."""
        from m2m_auth.requests import M2MAuth

        return self._auth(M2MAuth)  # type: ignore[no-any-return]

    def httpx_auth(self) -> HttpxAuth:
        """The front door for httpx, for its ``Client`` and ``AsyncClient``. Raises like ``source``."""
        from m2m_auth.httpx import M2MAuth

        return self._auth(M2MAuth)  # type: ignore[no-any-return]

    def httpx2_auth(self) -> Httpx2Auth:
        """The front door for httpx2, for its ``Client`` and ``AsyncClient``. Raises like ``source``."""
        from m2m_auth.httpx2 import M2MAuth

        return self._auth(M2MAuth)  # type: ignore[no-any-return]

    def _auth(self, front_door: Any) -> Any:
        """One object per front door: it remembers the origins that it has checked."""
        found = self._made.get(front_door.__module__)
        if found is None:
            made = front_door.from_source(self.source, **self._front_door_options())
            found = self._made.setdefault(front_door.__module__, made)
        return found
