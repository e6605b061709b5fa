"""One cache of the settings: the forms that it may have, and the token cache behind it.

A form is a URL, ``{"BACKEND": "package.module.Class", "OPTIONS": {…}}``, a cache or a client library's object, or a
framework's own, such as ``{"DJANGO_CACHE": "default"}``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

from ..caches import TokenCache, from_url
from ..caches.memory import MemoryTokenCache
from ..errors import ConfigurationError
from ..runtime.fork_safety import delaying_forks
from ..shared_cache.opening import checked_cache
from ..values import Value
from .client_settings import unknown_keys
from .problems import Problem, Spelling, problem_of
from .values import imported, mapping

__all__ = ["CacheSettings", "FrameworkCache", "default_cache", "read_cache"]

_log = logging.getLogger("m2m_auth")


class FrameworkCache(Value):
    """A form of cache that one framework has, such as ``{"DJANGO_CACHE": "default"}``."""

    key: str
    """The key of the form, e.g. ``DJANGO_CACHE``."""
    example: str
    """The form with a good value, for messages."""
    read: Callable[[Any], Callable[[], object]]
    """Checks the key's value, and returns what opens the cache. Both may raise ConfigurationError."""


class CacheSettings:
    """One cache without a mistake in its settings. It is opened when it is first used, once for all clients.

    Args:
        alias: its key in ``CACHES``.
        setting: how messages spell it.
        make: makes the cache, or an object that the core knows a cache for.
        opener: opens it in another process; None where only this process can.
    """

    def __init__(
        self,
        alias: str,
        setting: str,
        make: Callable[[], object],
        opener: Callable[[], TokenCache] | None = None,
    ) -> None:
        self.alias = alias
        """Its key in ``CACHES``."""
        self.setting = setting
        """How messages spell it, e.g. ``M2M_AUTH_CACHES["default"]``."""
        self._make = make
        self._opener: Callable[[], Callable[[], TokenCache] | None] = lambda: opener  # its repr shows a URL
        self._opened: dict[str, TokenCache] = {}

    def __repr__(self) -> str:
        return f"<CacheSettings {self.alias!r}>"

    @property
    def opener(self) -> Callable[[], TokenCache] | None:
        """Opens the cache in another process, to which this callable can be sent; None where only this process can."""
        return self._opener()

    def open(self) -> TokenCache:
        """The token cache; no I/O.

        Raises:
            ConfigurationError: it cannot be made. The message shows none of its options: one may be a password.
        """
        found = self._opened.get(self.alias)
        if found is None:
            with delaying_forks():  # modules are imported
                # Two threads may make it at the same moment; the first one's is kept.
                found = self._opened.setdefault(self.alias, self._token_cache())
        return found

    def _token_cache(self) -> TokenCache:
        problem = ""
        try:
            found = checked_cache(self._make())
        except ConfigurationError as error:
            problem = str(problem_of("cache", self.setting, "cache", error))
        else:
            if found is not None:
                return found
            problem = f"{self.setting}: there is None instead of a cache"
        raise ConfigurationError(problem)


def read_cache(
    alias: str, given: object, spelling: Spelling, forms: Sequence[FrameworkCache]
) -> CacheSettings | list[Problem]:
    """The cache behind an entry of ``CACHES``, or what is wrong with the entry."""
    setting = spelling("CACHES", alias)
    if isinstance(given, str) and given.strip():
        return CacheSettings(alias, setting, lambda: given, partial(from_url, given))
    entry = mapping(given)
    if entry is not None:
        keys = {"BACKEND", *(form.key for form in forms)}
        problems = list(unknown_keys(entry, (*sorted(keys), "OPTIONS"), partial(spelling, "CACHES", alias)))
        if problems:
            return problems
    try:
        make, opener = _read(given, forms)
    except ConfigurationError as error:
        return [problem_of("cache", setting, "cache", error)]
    return CacheSettings(alias, setting, make, opener)


def default_cache(alias: str, url: str, spelling: Spelling) -> CacheSettings:
    """A cache that the user did not choose. Where this process cannot have it, its memory is used, with one warning."""
    setting = spelling("CACHES", alias)
    make = partial(_opened_or_memory, url, setting)
    return CacheSettings(alias, setting, make, make)


def _opened_or_memory(url: str, setting: str) -> TokenCache:
    try:
        found = checked_cache(url)
    except ConfigurationError as error:
        why = problem_of("cache", setting, "cache", error)
        found = _memory_instead(
            f"{setting} is not set, and the default, {url!r}, cannot be used: {why.message}. So each process keeps its "
            "tokens in memory and mints its own: one mint per process and lifetime, not one for all processes. "
            f"Fix: set {setting}: {why.fix}; or 'redis://…', for several hosts; 'memory:' ends this warning"
        )
    if found is None:
        raise AssertionError(url)  # pragma: no cover - only None opens to None
    return found


@cache
def _memory_instead(why: str) -> TokenCache:
    """One memory for the process, and one warning: an application reads its settings more than once."""
    _log.warning("%s", why)
    return MemoryTokenCache()


def _read(given: Any, forms: Sequence[FrameworkCache]) -> tuple[Callable[[], object], Callable[[], TokenCache] | None]:
    problem, entry = "", mapping(given)
    if given is None or isinstance(given, (str, bytes, int, float)):
        problem = "is blank" if isinstance(given, str) else f"is {type(given).__name__}, not a cache"
    elif entry is None:
        return (lambda: given), None
    else:
        named = [str(key) for key in entry if key != "OPTIONS"]
        options = mapping(entry.get("OPTIONS") or {})
        if len(named) != 1:
            problem = f"names {' and '.join(sorted(named)) or 'no cache'}; it must name one cache"
        elif named[0] != "BACKEND" and "OPTIONS" in entry:
            problem = f"has OPTIONS, which belong to the settings of {named[0]}"
        elif options is None:
            problem = f"has OPTIONS that are {type(entry['OPTIONS']).__name__}, not a dict"
        elif named[0] != "BACKEND":
            form = next(form for form in forms if form.key == named[0])
            return form.read(entry[form.key]), None
        else:
            backend = entry["BACKEND"]
            opener = partial(_open_backend, backend, dict(options)) if isinstance(backend, str) else None
            return partial(_built, backend, lambda: options), opener
    examples = "".join(f"{form.example}, " for form in forms)
    raise ConfigurationError(
        f"{problem}. Fix: a URL such as 'redis://host', {{'BACKEND': 'package.module.Class', 'OPTIONS': {{…}}}}, "
        f"{examples}or a cache"
    )


def _open_backend(backend: str, options: Mapping[str, Any]) -> TokenCache:
    """In another process: the cache behind a BACKEND."""
    found = checked_cache(_built(backend, lambda: options))
    if found is None:
        raise ConfigurationError(f"BACKEND {backend!r} gives no cache")
    return found


def _built(backend: Any, options: Callable[[], Mapping[str, Any]]) -> object:
    """The object that a BACKEND returns for its OPTIONS. They come in a callable, since error reporters print locals.

    Raises:
        ConfigurationError: it cannot be imported or called; the message shows no option's value.
    """
    make = imported(backend) if isinstance(backend, str) else backend
    if not callable(make):
        raise ConfigurationError(f"BACKEND {backend!r} is neither a class nor a callable")
    problem = ""
    try:
        return make(**options())
    except ConfigurationError as error:
        problem = str(error)
    except ImportError as error:
        problem = f"BACKEND {backend!r} needs the package {error.name!r}, which is not installed. Fix: pip install it"
    except Exception as error:  # its words may hold the options, and so a password
        names = ", ".join(options()) or "(none)"
        problem = f"BACKEND {backend!r} raised {type(error).__name__} while it was built with the OPTIONS {names}"
    raise ConfigurationError(problem)
