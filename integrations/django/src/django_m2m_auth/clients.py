"""``m2m``: the clients that the settings name, each built when it is first used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from m2m_auth.caches import TokenCache
from m2m_auth.settings import Settings, refuse_unknown_client

from .settings import client_aliases, improperly_configured, read_m2m_auth, spelt
from .signals import announce

if TYPE_CHECKING:
    from m2m_auth import TokenSource
    from m2m_auth.httpx import M2MAuth as HttpxAuth
    from m2m_auth.httpx2 import M2MAuth as Httpx2Auth
    from m2m_auth.requests import M2MAuth as RequestsAuth

    RejectionRule = Callable[[int, Mapping[str, str]], bool] | Callable[[int, Mapping[str, str], bytes], bool]

__all__ = ["Client", "Clients", "m2m"]


class Client:
    """One client of M2M_AUTH["CLIENTS"]. Keep it, or get it each time. It builds nothing before its first use.

    What its methods return works in any thread, task and process. After a change of the settings (in tests) get it
    again. Their keyword arguments are those of ``M2MAuth.from_source`` and replace the settings of the same name.
    """

    def __init__(self, clients: Clients, alias: str) -> None:
        self._clients = clients
        self.alias = alias
        """Its name in M2M_AUTH["CLIENTS"]."""

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
        self, *, allow_insecure_http: bool | None = None, is_rejection: RejectionRule | None = None
    ) -> RequestsAuth:
        """For ``requests``: ``session.auth = m2m["billing"].requests_auth()``."""
        from m2m_auth.requests import M2MAuth

        return self._attached(M2MAuth, allow_insecure_http, is_rejection)  # type: ignore[no-any-return]

    def httpx_auth(
        self, *, allow_insecure_http: bool | None = None, is_rejection: RejectionRule | None = None
    ) -> HttpxAuth:
        """For ``httpx.Client`` and ``httpx.AsyncClient``: ``auth=m2m["billing"].httpx_auth()``."""
        from m2m_auth.httpx import M2MAuth

        return self._attached(M2MAuth, allow_insecure_http, is_rejection)  # type: ignore[no-any-return]

    def httpx2_auth(
        self, *, allow_insecure_http: bool | None = None, is_rejection: RejectionRule | None = None
    ) -> Httpx2Auth:
        """The same for ``httpx2``."""
        from m2m_auth.httpx2 import M2MAuth

        return self._attached(M2MAuth, allow_insecure_http, is_rejection)  # type: ignore[no-any-return]

    def _attached(self, front_door: Any, allow_insecure_http: bool | None, is_rejection: RejectionRule | None) -> Any:
        source = self.source
        with improperly_configured():
            options = self._clients.configuration.clients[self.alias].resolved_front_door_options()
        given = {"allow_insecure_http": allow_insecure_http, "is_rejection": is_rejection}
        options |= {name: value for name, value in given.items() if value is not None}
        return front_door.from_source(source, **options)


class Clients:
    """The clients of M2M_AUTH["CLIENTS"], by alias: ``m2m["billing"]``. No I/O and no thread before a token is needed.

    ``for alias in m2m``, ``len(m2m)`` and ``alias in m2m`` show which clients the settings name.
    """

    # No lock, which a forked child could find taken: two threads may build the same source, and setdefault() keeps the
    # first one's. Nothing that is built does I/O.

    def __init__(self) -> None:
        self._configuration: list[Settings] = []
        self._sources: dict[str, TokenSource] = {}

    def __getitem__(self, alias: str) -> Client:
        """The client with this alias.

        Raises:
            ImproperlyConfigured: M2M_AUTH["CLIENTS"] has no such alias.
        """
        known = client_aliases()
        if alias not in known:
            with improperly_configured():
                self.configuration.refuse_errors(alias)  # such as CLIENTS that is not a dict
                refuse_unknown_client(alias, known, spelt)
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
    def configuration(self) -> Settings:
        """The settings as they were read at the first use."""
        found = self._configuration
        if not found:
            found.append(read_m2m_auth())
        return found[0]

    @property
    def caches(self) -> dict[str, TokenCache]:
        """The token caches by alias; with the default, ``{"default": <the disk cache>}``."""
        return self.configuration.open_caches()

    def source(self, alias: str) -> TokenSource:
        """The token source of one client, one per process.

        Raises:
            ImproperlyConfigured: there is no such client, or the settings are wrong; with every error that concerns it.
        """
        source = self._sources.get(alias)
        if source is None:
            sources = self._sources
            with improperly_configured():
                made = self.configuration.source(alias, on_event=partial(announce, Client))
            source = sources.setdefault(alias, made)
        return source

    def sources(self) -> dict[str, TokenSource]:
        """Every client's token source, by alias.

        Raises:
            ImproperlyConfigured: one of them cannot be built.
        """
        return {alias: self.source(alias) for alias in self}

    def reset(self) -> None:
        """Forgets what was built: the next use reads the settings again."""
        self._configuration, self._sources = [], {}


m2m = Clients()
"""The clients that the settings name."""
