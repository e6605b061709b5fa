"""The setting M2M_AUTH, read once: the clients, the caches, and everything that is wrong with them. No I/O.

System checks tell the problems when the project starts; since they do not run under WSGI, the first use of a client
raises those that concern it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from m2m_auth import TokenSource
from m2m_auth.caches.protocol import TokenCache
from m2m_auth.errors import ConfigurationError, nearest

from .cache_settings import DEFAULT_CACHE, deploy_problems, read_cache
from .client_settings import ClientSettings, read_client, refuse_unknown_keys
from .problems import Problem, Problems

__all__ = ["Configuration", "client_aliases", "read_configuration", "warnings_of_deployment"]

_KEYS = ("CLIENTS", "CACHES", "ENCRYPTION_KEYS", "RECEIVING")


class Configuration(NamedTuple):
    """What M2M_AUTH says."""

    clients: dict[str, ClientSettings]
    caches: dict[str, TokenCache]
    encryption_keys: list[str | bytes] | None
    problems: tuple[Problem, ...]

    def __repr__(self) -> str:
        return f"<Configuration clients={list(self.clients)} caches={list(self.caches)}>"

    def source(self, alias: str, transport: Any, on_event: Any) -> TokenSource:
        """A new source for this client.

        Raises:
            ImproperlyConfigured: the settings are wrong, with every problem that concerns this client.
        """
        errors = [problem for problem in self.problems if problem.is_error and problem.client in ("", alias)]
        if errors:
            raise ImproperlyConfigured("\n".join(map(str, errors)))
        client, problem = self.clients[alias], ""
        try:
            return TokenSource(
                **client.options,
                cache=None if client.cache is None else self.caches[client.cache],
                encryption_keys=self.encryption_keys,
                transport=transport,
                on_event=on_event,
            )
        except ConfigurationError as error:  # what no check can know, such as that no HTTP library is installed
            problem = str(error)
        raise ImproperlyConfigured(f"M2M_AUTH['CLIENTS'][{alias!r}]: {problem}")


def client_aliases() -> tuple[str, ...]:
    """The clients that M2M_AUTH names, whether their settings are good or not."""
    given = _setting()
    clients = given.get("CLIENTS") if isinstance(given, Mapping) else None
    return tuple(map(str, clients)) if isinstance(clients, Mapping) else ()


def read_configuration() -> Configuration:
    """The settings of this moment. It raises nothing: what is wrong is in ``problems``."""
    problems, given = Problems(), _setting()
    if not isinstance(given, Mapping):
        problems.found("E001", "M2M_AUTH", f"must be a dict, not {type(given).__name__}", "M2M_AUTH = {'CLIENTS': {…}}")
        return Configuration({}, {}, None, tuple(problems))
    refuse_unknown_keys("M2M_AUTH", given, _KEYS, problems)
    keys = _encryption_keys(given.get("ENCRYPTION_KEYS"), problems)
    caches = _caches(given, problems)
    clients: dict[str, ClientSettings] = {}
    for alias, entry in _dict_in(given, "CLIENTS", problems).items():
        client = read_client(alias, entry, problems)
        if client is not None:
            clients[alias] = client
            _check_cache_of(client, _named_caches(given), caches, problems)
    return Configuration(clients, caches, keys, tuple(problems))


def warnings_of_deployment() -> tuple[Problem, ...]:
    """What else ``check --deploy`` has to say."""
    problems, given = Problems(), _setting()
    if not isinstance(given, Mapping):
        return ()
    for alias, entry in _named_caches(given).items():
        problems += deploy_problems(alias, entry)
    for alias, client in read_configuration().clients.items():
        where = f"M2M_AUTH['CLIENTS'][{alias!r}]"
        if client.allowed_origins is None:
            message = "has no ALLOWED_ORIGINS: its token goes wherever its session is sent"
            problems.found("W013", where, message, "'ALLOWED_ORIGINS': ['https://api.example.com']", alias)
        plain = [url for url in (client.options["token_endpoint"], *(client.allowed_origins or ())) if _plain(url)]
        if plain:
            problems.found("W014", where, f"uses plain http: {', '.join(plain)}", "use https", alias)
    return tuple(problems)


def _setting() -> Any:
    return getattr(settings, "M2M_AUTH", {})


def _plain(url: str) -> bool:
    return url.lower().startswith("http://")


def _dict_in(given: Mapping[str, Any], key: str, problems: Problems) -> Mapping[str, Any]:
    found = given.get(key, {})
    if isinstance(found, Mapping):
        return found
    problems.found("E001", f"M2M_AUTH[{key!r}]", f"must be a dict, not {type(found).__name__}", "{'alias': …}")
    return {}


def _named_caches(given: Mapping[str, Any]) -> Mapping[str, Any]:
    found = given.get("CACHES", {"default": DEFAULT_CACHE})
    return found if isinstance(found, Mapping) else {}


def _caches(given: Mapping[str, Any], problems: Problems) -> dict[str, TokenCache]:
    _dict_in(given, "CACHES", problems)
    opened = {alias: read_cache(alias, entry, problems) for alias, entry in _named_caches(given).items()}
    return {alias: cache for alias, cache in opened.items() if cache is not None}


def _check_cache_of(
    client: ClientSettings, named: Mapping[str, Any], opened: Mapping[str, TokenCache], problems: Problems
) -> None:
    where = f"M2M_AUTH['CLIENTS'][{client.alias!r}]"
    if client.cache is not None and client.cache not in named:
        near = nearest(str(client.cache), named)
        message = f"its CACHE is {client.cache!r}, which M2M_AUTH['CACHES'] does not have{near}"
        problems.found("E008", where, message, f"use one of {', '.join(named) or 'those that you add'}", client.alias)
        return
    cache = opened.get(client.cache or "")
    estimates = cache is not None and cache.capabilities.shared and not cache.capabilities.atomic_increment
    if estimates and client.options.get("budget") is not None:
        message = f"has a BUDGET, and its cache {client.cache!r} may lose counts, so the budget is an estimate"
        problems.found("W005", where, message, "'disk:', or a cache on Redis or memcached", client.alias)


def _encryption_keys(given: Any, problems: Problems) -> list[str | bytes] | None:
    try:
        TokenSource("https://localhost/", "client", "secret", encryption_keys=given, transport=_never)
    except ConfigurationError as error:
        problems.refused("E011", "M2M_AUTH['ENCRYPTION_KEYS']", error)
        return None
    return None if given is None else list(given)


def _never(request: object) -> Any:  # pragma: no cover - this source is only built
    raise NotImplementedError(request)
