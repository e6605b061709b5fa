"""``m2m``: the clients that the settings name, each built when it is first used."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured

from m2m_auth.caches.protocol import TokenCache
from m2m_auth.errors import nearest
from m2m_auth.runtime.fork_safety import importing, on_fork

from .settings import Configuration, client_aliases, read_configuration
from .signals import announce

if TYPE_CHECKING:
    from m2m_auth import TokenSource
    from m2m_auth.httpx import M2MAuth as HttpxAuth
    from m2m_auth.httpx2 import M2MAuth as Httpx2Auth
    from m2m_auth.oauth2.challenges import RejectionRule
    from m2m_auth.requests import M2MAuth as RequestsAuth

__all__ = ["Client", "Clients", "m2m"]


class Client:
    """One client of M2M_AUTH['CLIENTS']. Keep it, or ask for it each time: nothing is built before it is used.

    What its methods return works in any thread, task and process, and is built once per process; after a change of
    the settings (in tests) ask again. Their keyword arguments are those of ``M2MAuth.from_source``; ALLOWED_ORIGINS
    is passed already.
    """

    def __init__(self, clients: Clients, alias: str) -> None:
        self._clients = clients
        self.alias = alias
        """Its name in M2M_AUTH['CLIENTS']."""

    def __repr__(self) -> str:
        return f"<Client {self.alias!r}>"

    @property
    def source(self) -> TokenSource:
        """Its token source.

        Raises:
            ImproperlyConfigured: the settings are wrong; says what, where and the fix.
        """
        return self._clients.source(self.alias)

    def requests_auth(
        self, *, allow_insecure_http: bool = False, is_rejection: RejectionRule | None = None
    ) -> RequestsAuth:
        """For ``requests``: ``session.auth = m2m["billing"].requests_auth()``."""
        from m2m_auth.requests import M2MAuth

        return self._attached(M2MAuth, allow_insecure_http, is_rejection)  # type: ignore[no-any-return]

    def httpx_auth(self, *, allow_insecure_http: bool = False, is_rejection: RejectionRule | None = None) -> HttpxAuth:
        """For ``httpx.Client`` and ``httpx.AsyncClient``: ``auth=m2m["billing"].httpx_auth()``."""
        from m2m_auth.httpx import M2MAuth

        return self._attached(M2MAuth, allow_insecure_http, is_rejection)  # type: ignore[no-any-return]

    def httpx2_auth(
        self, *, allow_insecure_http: bool = False, is_rejection: RejectionRule | None = None
    ) -> Httpx2Auth:
        """The same for ``httpx2``."""
        from m2m_auth.httpx2 import M2MAuth

        return self._attached(M2MAuth, allow_insecure_http, is_rejection)  # type: ignore[no-any-return]

    def _attached(self, plugin: Any, allow_insecure_http: bool, is_rejection: RejectionRule | None) -> Any:
        source = self.source
        return plugin.from_source(
            source,
            allowed_origins=self._clients.configuration.clients[self.alias].allowed_origins,
            allow_insecure_http=allow_insecure_http,
            is_rejection=is_rejection,
        )


class Clients:
    """The clients of M2M_AUTH['CLIENTS'], by alias: ``m2m["billing"]``. No I/O and no thread before a token is needed.

    ``for alias in m2m``, ``len(m2m)`` and ``alias in m2m`` tell what the settings name.
    """

    def __init__(self) -> None:
        self.after_fork()
        self._configuration: Configuration | None = None
        self._sources: dict[str, TokenSource] = {}
        on_fork(self)

    def after_fork(self) -> None:
        """In a forked child: another thread of the parent may have held the lock."""
        self._lock = threading.RLock()

    def __getitem__(self, alias: str) -> Client:
        """The client with this alias.

        Raises:
            ImproperlyConfigured: M2M_AUTH['CLIENTS'] has no such alias.
        """
        known = client_aliases()
        if alias not in known:
            raise ImproperlyConfigured(
                f"M2M_AUTH['CLIENTS'] has no {alias!r}{nearest(str(alias), known)}. Known: {', '.join(known) or 'none'}"
            )
        return Client(self, alias)

    def __iter__(self) -> Iterator[str]:
        return iter(client_aliases())

    def __len__(self) -> int:
        return len(client_aliases())

    def __contains__(self, alias: object) -> bool:
        return alias in client_aliases()

    def __repr__(self) -> str:
        return f"<Clients {', '.join(map(repr, self))}>"

    @property
    def configuration(self) -> Configuration:
        """The settings as they were read at the first use."""
        found = self._configuration
        if found is None:
            with importing(), self._lock:
                found = self._configuration = self._configuration or read_configuration()
        return found

    @property
    def caches(self) -> dict[str, TokenCache]:
        """The token caches by alias; with the default, ``{"default": <the disk cache>}``."""
        return dict(self.configuration.caches)

    def source(self, alias: str) -> TokenSource:
        """The token source of one client, one per process.

        Raises:
            ImproperlyConfigured: there is no such client, or the settings are wrong.
        """
        source = self._sources.get(alias)
        if source is None:
            self[alias]
            with importing(), self._lock:
                source = self._sources.get(alias)
                if source is None:
                    source = self.configuration.source(alias, None, partial(announce, Client))
                    self._sources[alias] = source
        return source

    def sources(self) -> dict[str, TokenSource]:
        """Every client's token source, by alias.

        Raises:
            ImproperlyConfigured: one of them cannot be built.
        """
        return {alias: self.source(alias) for alias in self}

    def reset(self) -> None:
        """Forgets what was built: the next use reads the settings anew."""
        with self._lock:
            self._configuration, self._sources = None, {}


m2m = Clients()
"""The clients that the settings name."""
