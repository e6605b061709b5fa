"""All client settings of an application, read and checked in one place. No I/O; every mistake is listed.

The reader raises nothing, so no traceback holds the settings, and with them the secrets, in a frame's locals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from .. import TokenSource
from ..caches import TokenCache
from ..errors import ConfigurationError
from ..events import Event
from ..oauth2.secrets import concealed
from ..runtime.fork_safety import delaying_forks
from ..shared_cache.sealing import checked_keys
from ..source.token_source import engine_of
from .cache_settings import CacheSettings, FrameworkCache, default_cache, read_cache
from .client_settings import ClientSettings, in_words_of_settings, read_client, unknown_keys
from .problems import Problem, Spelling, nearest, problem_of
from .values import as_several_texts, mapping

__all__ = ["DEFAULT_CACHES", "SETTING_KEYS", "Settings", "read_settings", "refuse_unknown_client"]

SETTING_KEYS = ("CLIENTS", "CACHES", "ENCRYPTION_KEYS", "RECEIVING")
"""The keys beside each other. RECEIVING is read by :func:`m2m_auth.verifier.verifier_from`."""
DEFAULT_CACHES: Mapping[str, Any] = {"default": "disk:"}
"""Without CACHES: the disk cache, in a private folder of the user that the workers run as.

Where that user has no such folder, each process keeps its tokens in memory, and one warning says so.
"""


class Settings:
    """What the settings say: the clients and caches without a mistake, and the mistakes.

    :func:`read_settings` makes it. Its repr shows aliases only.
    """

    def __init__(
        self,
        clients: Mapping[str, ClientSettings],
        caches: Mapping[str, CacheSettings],
        encryption_keys: Any,
        problems: Iterable[Problem],
        spelling: Spelling,
    ) -> None:
        self.clients = clients
        """Each client without an error, by alias."""
        self.caches = caches
        """Each cache without an error, by alias."""
        self.problems = tuple(problems)
        """Every mistake and every warning."""
        self._encryption_keys = encryption_keys
        self._spelling = spelling

    def __repr__(self) -> str:
        return f"<Settings clients={list(self.clients)} caches={list(self.caches)}>"

    def refuse_errors(self, alias: str | None = None) -> None:
        """Raises ConfigurationError with every error, one a line; ``alias``: only those that concern this client."""
        errors = [each for each in self.problems if each.is_error and alias in (None, each.client or alias)]
        if errors:
            raise ConfigurationError("\n".join(map(str, errors)))

    def client(self, alias: str) -> ClientSettings:
        """One client.

        Raises:
            ConfigurationError: its settings are wrong, with every error; or there is no such client.
        """
        found = self.clients.get(alias) if isinstance(alias, str) else None
        if found is None:
            if isinstance(alias, str) and any(problem.client == alias for problem in self.problems):
                self.refuse_errors(alias)
            refuse_unknown_client(alias, self.clients, self._spelling)
            raise AssertionError(alias)  # pragma: no cover - the line above has raised
        return found

    def source(
        self, alias: str, *, on_event: Callable[[Event], None] | None = None, transport: Any = None
    ) -> TokenSource:
        """A new token source for this client; no I/O.

        Args:
            alias: the client's key.
            on_event: receives the source's events.
            transport: how the token endpoint is reached; see ``TokenSource``.

        Raises:
            ConfigurationError: the settings are wrong, or an import path or cache that they name is not there.
        """
        self.refuse_errors(alias)
        client, problem = self.client(alias), ""
        with delaying_forks():  # import paths are followed
            options = client.resolved_options()
        cache = None if client.cache is None else self.caches[client.cache].open()
        try:
            source = TokenSource(
                **options,
                cache=cache,
                encryption_keys=self._encryption_keys,  # concealed
                on_event=on_event,
                transport=transport,
            )
        except ConfigurationError as error:  # an error that no check can find, such as a missing HTTP library
            problem = f"{client.setting}: {error}"
        else:
            engine_of(source).wording = partial(in_words_of_settings, partial(self._spelling, "CLIENTS", alias))
            return source
        raise ConfigurationError(problem)

    def open_caches(self) -> dict[str, TokenCache]:
        """Every cache without an error in its settings, by alias, opened; no I/O.

        Raises:
            ConfigurationError: one of them cannot be made.
        """
        return {alias: cache.open() for alias, cache in self.caches.items()}

    def openers(self) -> dict[str, Callable[[], TokenCache]]:
        """What opens a cache in another process, by alias, for those caches that another process can open."""
        return {alias: cache.opener for alias, cache in self.caches.items() if cache.opener is not None}


def read_settings(
    given: object, spelling: Spelling, *, forms: Sequence[FrameworkCache] = (), eager: bool = False
) -> Settings:
    """The current settings. It does no I/O and raises nothing: what is wrong is in ``problems``.

    Args:
        given: a mapping with :data:`SETTING_KEYS`.
        spelling: how messages spell a setting.
        forms: the framework's own forms of a cache.
        eager: follow import paths and make the caches now, so that their mistakes are problems, too. Otherwise both
            wait for the first use: a project's modules may import the application.
    """
    settings = mapping(given)
    if settings is None:
        fix = f"{spelling('CLIENTS')} = {{'billing': {{…}}}}"
        shape = Problem(kind="shape", setting=_top(spelling), message=_not_a_dict(given), fix=fix)
        return Settings({}, {}, None, [shape], spelling)
    with delaying_forks():  # modules are imported
        return _read(settings, spelling, forms, eager=eager)


def _read(given: Mapping[Any, Any], spelling: Spelling, forms: Sequence[FrameworkCache], *, eager: bool) -> Settings:
    problems = list(unknown_keys(given, SETTING_KEYS, spelling))
    keys = _encryption_keys(given.get("ENCRYPTION_KEYS"), spelling, problems)
    caches: dict[str, CacheSettings] = {}
    named = _mapping(given, "CACHES", DEFAULT_CACHES, spelling, problems)
    for alias, entry in named.items():
        if given.get("CACHES") is None:
            caches[alias] = default_cache(alias, entry, spelling)  # not opened now: it may be that no client uses it
            continue
        cache = read_cache(alias, entry, spelling, forms)
        if isinstance(cache, list):
            problems += cache
        elif not eager or _opens(cache, problems):
            caches[alias] = cache
    clients: dict[str, ClientSettings] = {}
    for alias, entry in _mapping(given, "CLIENTS", {}, spelling, problems).items():
        client, found = read_client(alias, entry, spelling, eager=eager)
        problems += found
        if client is None:
            continue
        if client.cache is None or client.cache in named:
            clients[alias] = client
        else:
            message = f"there is no cache {client.cache!r}{nearest(client.cache, named)}"
            setting, fix = spelling("CLIENTS", alias, "CACHE"), _use_one_of(named, spelling)
            problems.append(
                Problem(kind="unknown_cache", setting=setting, message=message, fix=fix, client=client.alias)
            )
    return Settings(clients, caches, keys, problems, spelling)


def _mapping(
    given: Mapping[Any, Any], key: str, default: Mapping[str, Any], spelling: Spelling, problems: list[Problem]
) -> dict[str, Any]:
    """The entries of CLIENTS or CACHES that have a usable alias."""
    entries = mapping(default if given.get(key) is None else given[key])
    if entries is None:
        problems.append(Problem(kind="shape", setting=spelling(key), message=_not_a_dict(given[key])))
        return {}
    for alias in entries:
        if not _is_alias(alias):
            message = f"the alias {alias!r} must be a short printable name, such as 'billing'"
            problems.append(Problem(kind="option", setting=spelling(key), message=message))
    return {alias: entry for alias, entry in entries.items() if _is_alias(alias)}


def _use_one_of(caches: Iterable[str], spelling: Spelling) -> str:
    known = ", ".join(map(repr, caches))
    use = f"use one of {spelling('CACHES')} ({known})" if known else f"add it to {spelling('CACHES')}"
    return f"{use}, or use None for this process's memory"


def _is_alias(alias: object) -> bool:
    return isinstance(alias, str) and bool(alias.strip()) and alias.isprintable()


def _not_a_dict(given: object) -> str:
    return f"must be a dict, not {type(given).__name__}"


def _top(spelling: Spelling) -> str:
    """How the settings as a whole are spelt."""
    return spelling("CLIENTS").partition("[")[0]


def _opens(cache: CacheSettings, problems: list[Problem]) -> bool:
    """True where the cache can be made; otherwise why not is a problem."""
    try:
        cache.open()
    except ConfigurationError as error:
        message, _, fix = str(error).removeprefix(f"{cache.setting}: ").partition(". Fix: ")
        kind = "useless_cache" if "stores nothing" in message else "cache"
        problems.append(Problem(kind=kind, setting=cache.setting, message=message, fix=fix))
        return False
    return True


def _encryption_keys(given: Any, spelling: Spelling, problems: list[Problem]) -> Any:
    try:
        keys = None if given is None else concealed(as_several_texts(given))
        checked_keys(keys)
    except ConfigurationError as error:
        setting = spelling("ENCRYPTION_KEYS")
        problems.append(problem_of("encryption_keys", setting, "encryption_keys", error))
        return None
    return keys


def refuse_unknown_client(alias: object, known: Iterable[str], spelling: Spelling) -> None:
    """Raises ConfigurationError unless ``alias`` is among the known ones; the message names the nearest."""
    known = list(known)
    if not isinstance(alias, str) or alias not in known:
        listed = ", ".join(map(repr, known)) or "none"
        raise ConfigurationError(
            f"{spelling('CLIENTS')}: there is no client {alias!r}{nearest(alias, known)}. Known: {listed}"
        )
