"""One entry of M2M_AUTH['CACHES']: read, checked, and made into a token cache. No I/O but a look at folders."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs
from django.conf import settings
from django.core.cache import caches
from django.utils.module_loading import import_string

from m2m_auth.caches.protocol import TokenCache
from m2m_auth.errors import ConfigurationError, nearest
from m2m_auth.shared_cache.opening import checked_cache

from .cache_backends import DATABASE, FILE, UNKNOWN
from .cache import DjangoTokenCache
from .problems import Problems

__all__ = ["DEFAULT_CACHE", "deploy_problems", "read_cache"]

DEFAULT_CACHE = "disk:"
"""Without M2M_AUTH['CACHES']: the embedded disk cache, in a private folder of the user that the workers run as."""


def read_cache(alias: str, given: object, problems: Problems) -> TokenCache | None:
    """The cache behind ``M2M_AUTH['CACHES'][alias]``; None if there are errors, which ``problems`` then has."""
    where = f"M2M_AUTH['CACHES'][{alias!r}]"
    problem = ""
    try:
        cache = _made(given)
    except ConfigurationError as error:
        problems.refused("E010" if "stores nothing" in str(error) else "E009", where, error)
        return None
    except Exception as error:  # whatever a backend of the project's raises when it is built
        problem = f"{type(error).__name__} while it was built"
    if problem:
        problems.found("E009", where, problem, "see that its OPTIONS are what the backend takes")
        return None
    _warn(where, given, cache, problems)
    return cache


def _made(given: object) -> TokenCache:
    if isinstance(given, str):
        cache: Any = given
    elif isinstance(given, Mapping) and set(given) == {"DJANGO_CACHE"}:
        name = given["DJANGO_CACHE"]
        if name not in caches.settings:
            raise ConfigurationError(
                f"CACHES has no {name!r}{nearest(str(name), caches.settings)}. Fix: use one of "
                f"{', '.join(caches.settings)}"
            )
        cache = DjangoTokenCache(name)
    elif isinstance(given, Mapping) and "BACKEND" in given and set(given) <= {"BACKEND", "OPTIONS"}:
        cache = _built(given["BACKEND"], given.get("OPTIONS") or {})
    else:
        found = f"a dict with {', '.join(map(repr, given))}" if isinstance(given, Mapping) else type(given).__name__
        raise ConfigurationError(
            f"is {found}. Fix: a URL such as 'disk:' or 'redis://host', {{'BACKEND': 'path.to.Class', 'OPTIONS': "
            "{…}}, or {'DJANGO_CACHE': 'default'}"
        )
    return checked_cache(cache)  # type: ignore[return-value]


def _built(path: Any, options: Mapping[str, Any]) -> TokenCache:
    problem = ""
    try:
        backend: Any = import_string(path)
    except ImportError as error:
        problem = f"BACKEND {path!r} cannot be imported: {error}"
    if problem:
        raise ConfigurationError(f"{problem}. Fix: correct the path, or install what it needs")
    cache = backend(**options)
    if not isinstance(cache, TokenCache):
        raise ConfigurationError(
            f"BACKEND {path!r} has no TokenCache protocol. Fix: for a cache of Django's own, "
            "{'DJANGO_CACHE': 'its alias in CACHES'}"
        )
    return cache


def _warn(where: str, given: object, cache: TokenCache, problems: Problems) -> None:
    """What works, and may surprise."""
    can, kind = cache.capabilities, cache.kind if isinstance(cache, DjangoTokenCache) else None
    if not can.shared:
        hint = "'disk:' for all processes of a machine, 'redis://…' for all hosts"
        problems.found("W001", where, "lives in one process's memory, so every worker mints its own tokens", hint)
    elif not can.atomic_add:
        reasons = {FILE: "its add() is not atomic", UNKNOWN: "nobody has said that its add() is atomic"}
        why = reasons.get(kind, "") if kind is not None else ""
        message = "cannot give a lease, so several processes may mint at the same moment" + (why and f": {why}")
        problems.found("W002", where, message, "'disk:', or a cache on Redis, memcached or a database")
    if kind is DATABASE:
        message = "is a table of the project's database: each renewal opens a connection, and on SQLite it waits for a "
        message += "request that has written and not yet committed; what is stored in the table is unpickled"
        problems.found("W003", where, message, "'disk:' or 'redis://…'")
    if isinstance(cache, DjangoTokenCache) and cache.kind.culls and can.shared:
        parameters = caches.settings[cache.alias]
        entries = (parameters.get("OPTIONS") or {}).get("MAX_ENTRIES", parameters.get("MAX_ENTRIES", 300))
        message = f"throws entries away, tokens among them, when there are more than {entries}"
        problems.found("W004", where, message, "a cache in CACHES for the tokens alone, with a larger MAX_ENTRIES")
    folder = _folder(given)
    above = folder if folder is None else next((path for path in (folder, *folder.parents) if path.exists()), folder)
    if above is not None and not os.access(above, os.W_OK | os.X_OK):
        message = f"the folder {folder} cannot be written to by this user, so every worker mints its own tokens"
        problems.found("W007", where, message, "'disk:/path' of a folder that belongs to the workers' user")


def deploy_problems(alias: str, given: object) -> Problems:
    """What ``check --deploy`` has to say of a cache's folder."""
    problems, where, folder = Problems(), f"M2M_AUTH['CACHES'][{alias!r}]", _folder(given)
    if folder is None:
        return problems
    for name in ("MEDIA_ROOT", "STATIC_ROOT"):
        public = getattr(settings, name, None)
        if public and _inside(folder, Path(public)):
            message = f"the folder {folder} is inside {name}, which the web server hands out"
            problems.found("W011", where, message, "a private folder elsewhere")
    if folder.exists() and folder.stat().st_mode & 0o077:
        message = f"the folder {folder} is open to other users (mode {folder.stat().st_mode & 0o777:04o})"
        problems.found("W012", where, message, f"chmod 0700 {folder}")
    return problems


def _folder(given: object) -> Path | None:
    """The folder of a disk or file-based cache; None for all others."""
    if isinstance(given, str) and given.lower().startswith("disk:"):
        rest = given.partition(":")[2]
        return Path(rest).expanduser() if rest else platformdirs.user_cache_path("m2m-auth", appauthor=False)
    if isinstance(given, Mapping) and isinstance(given.get("BACKEND"), str) and "DiskTokenCache" in given["BACKEND"]:
        folder = (given.get("OPTIONS") or {}).get("folder")
        return Path(folder) if folder else platformdirs.user_cache_path("m2m-auth", appauthor=False)
    if isinstance(given, Mapping) and given.get("DJANGO_CACHE") in caches.settings:
        parameters = caches.settings[given["DJANGO_CACHE"]]
        file_based = str(parameters.get("BACKEND")).endswith("FileBasedCache")
        return Path(parameters["LOCATION"]) if file_based and parameters.get("LOCATION") else None
    return None


def _inside(folder: Path, public: Path) -> bool:
    return Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(public))
