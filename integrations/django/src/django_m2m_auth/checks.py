"""System checks of M2M_AUTH: its mistakes, its surprises, and with ``--deploy`` what is unsafe.

Checks do not run under WSGI. There the first use of a client raises the errors that concern it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.cache import caches
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 - Django's own name
from django.core.exceptions import ImproperlyConfigured

from m2m_auth.caches import TokenCache
from m2m_auth.settings import DEFAULT_CACHES, Problem, Settings

from .cache import DjangoTokenCache
from .cache_backends import DATABASE, FILE, UNKNOWN
from .settings import named_caches, read_m2m_auth, spelt

__all__ = ["check_deployment", "check_settings", "surprises"]

_MIDDLEWARE = "django_m2m_auth.receiving.M2MBearerMiddleware"
_IDS = {
    "shape": "E001",
    "unknown_key": "E002",
    "missing": "E003",
    "endpoint": "E004",
    "secret": "E005",
    "option": "E006",
    "record": "E007",
    "unknown_cache": "E008",
    "cache": "E009",
    "useless_cache": "E010",
    "encryption_keys": "E011",
    "receiving": "E012",
    "not_shared": "W001",
    "no_lease": "W002",
    "table": "W003",
    "culls": "W004",
    "estimated_budget": "W005",
    "maybe_a_path": "W006",
    "not_writable": "W007",
    "public_folder": "W011",
    "open_folder": "W012",
    "any_origin": "W013",
    "plain_http": "W014",
}
"""The number of each kind of problem. A number is never used for another kind."""


def check_settings(app_configs: Any, **_: Any) -> list[CheckMessage]:  # noqa: ARG001
    """The mistakes and surprises in M2M_AUTH: ``m2m_auth.E001`` to ``E012``, ``W001`` to ``W007``."""
    found = read_m2m_auth()
    return [_message(problem) for problem in (*found.problems, *surprises(found), *_problems_of_receiving())]


def check_deployment(app_configs: Any, **_: Any) -> list[CheckMessage]:  # noqa: ARG001
    """What is unsafe in production, for ``check --deploy``: ``m2m_auth.W011`` to ``W014``."""
    return [_message(problem) for problem in _unsafe(read_m2m_auth())]


def _message(problem: Problem) -> CheckMessage:
    kind = Error if problem.is_error else Warning
    text = f"{problem.setting}: {problem.message}"
    return kind(text, hint=problem.fix or None, id=f"m2m_auth.{_IDS[problem.kind]}")


def _warning(kind: str, setting: str, message: str, fix: str, client: str = "") -> Problem:
    return Problem(kind=kind, setting=setting, message=message, fix=fix, client=client, is_error=False)


def _problems_of_receiving() -> Iterator[Problem]:
    """Mistakes that stop the middleware, or a view with ``@require_m2m``, from verifying tokens."""
    given = getattr(settings, "M2M_AUTH", {})
    if isinstance(given, Mapping) and (given.get("RECEIVING") or _MIDDLEWARE in settings.MIDDLEWARE):
        from .receiving import receiving_verifier  # a project that receives nothing needs no verifier

        try:
            receiving_verifier()
        except ImproperlyConfigured as error:
            message, _, fix = str(error).partition(". Fix: ")
            yield Problem(kind="receiving", setting="the receiving side", message=message, fix=fix)


def surprises(found: Settings) -> Iterator[Problem]:
    """Warnings about settings that work, but may not do what their user expects."""
    used = {client.cache for client in found.clients.values()}
    chosen = named_caches() is not DEFAULT_CACHES
    opened = {alias: cache.open() for alias, cache in found.caches.items() if chosen or alias in used}
    for alias, cache in opened.items():
        yield from _surprises_of(spelt("CACHES", alias), named_caches().get(alias), cache)
    for client in found.clients.values():
        its_cache = opened.get(client.cache or "")
        can = None if its_cache is None else its_cache.capabilities
        if can is not None and can.shared and not can.atomic_increment and client.options.get("budget") is not None:
            message = f"has a BUDGET, and its cache {client.cache!r} may lose counts, so the budget is an estimate"
            fix = "'disk:', or a cache on Redis or memcached"
            yield _warning("estimated_budget", client.setting, message, fix, client.alias)


def _surprises_of(setting: str, given: object, cache: TokenCache) -> Iterator[Problem]:
    """Warnings about one cache."""
    can, kind = cache.capabilities, cache.kind if isinstance(cache, DjangoTokenCache) else None
    reasons = {FILE: ": its add() is not atomic", UNKNOWN: ": its add() is not known to be atomic"}
    if not can.shared:
        message = "lives in one process's memory, so every worker mints its own tokens"
        yield _warning(
            "not_shared", setting, message, "'disk:/path' for the processes of a machine, 'redis://…' for all hosts"
        )
    elif not can.atomic_add:
        why = "" if kind is None else reasons.get(kind, "")
        message = f"cannot give a lease, so several processes may mint at the same moment{why}"
        yield _warning("no_lease", setting, message, "'disk:', or a cache on Redis, memcached or a database")
    if kind is DATABASE:
        message = (
            "is a table of the project's database: each renewal opens a connection, on SQLite it waits for requests "
            "that have written and not yet committed, and Django unpickles what is stored in the table"
        )
        yield _warning("table", setting, message, "'disk:' or 'redis://…'")
    if isinstance(cache, DjangoTokenCache) and cache.kind.culls and can.shared:
        parameters = caches.settings[cache.alias]
        entries = (parameters.get("OPTIONS") or {}).get("MAX_ENTRIES", parameters.get("MAX_ENTRIES", 300))
        message = f"evicts entries, tokens too, when there are more than {entries}"
        yield _warning("culls", setting, message, "a cache in CACHES for tokens only, with a larger MAX_ENTRIES")
    folder = _folder(given, cache)
    above = folder if folder is None else next((path for path in (folder, *folder.parents) if path.exists()), folder)
    if above is not None and not os.access(above, os.W_OK | os.X_OK):
        message = f"this user cannot write to the folder {folder}, so every worker mints its own tokens"
        yield _warning("not_writable", setting, message, "'disk:/path' of a folder that belongs to the workers' user")


def _unsafe(found: Settings) -> Iterator[Problem]:
    """Warnings about what is unsafe in production: folders of caches, origins of clients, plain http."""
    for alias, cache in found.caches.items():
        yield from _unsafe_folder(spelt("CACHES", alias), named_caches().get(alias), cache.open())
    for client in found.clients.values():
        if client.allowed_origins is None:
            message = "has no ALLOWED_ORIGINS: its token goes to every https origin that its session calls"
            fix = "'ALLOWED_ORIGINS': ['https://api.example.com']"
            yield _warning("any_origin", client.setting, message, fix, client.alias)
        urls = (client.options["token_endpoint"], *(client.allowed_origins or ()))
        plain = [url for url in urls if url.lower().startswith("http://")]
        if plain:
            yield _warning(
                "plain_http", client.setting, f"uses plain http: {', '.join(plain)}", "use https", client.alias
            )


def _unsafe_folder(setting: str, given: object, cache: TokenCache) -> Iterator[Problem]:
    folder = _folder(given, cache)
    if folder is None:
        return
    for name in ("MEDIA_ROOT", "STATIC_ROOT"):
        public = getattr(settings, name, None)
        if public and Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(public)):
            message = f"the folder {folder} is inside {name}, whose files the web server serves"
            yield _warning("public_folder", setting, message, "a private folder elsewhere")
    # A disk cache's files are private, whatever the mode of its folder.
    if isinstance(cache, DjangoTokenCache) and folder.exists() and folder.stat().st_mode & 0o077:
        message = f"the folder {folder} is open to other users (mode {folder.stat().st_mode & 0o777:04o})"
        yield _warning("open_folder", setting, message, f"chmod 0700 {folder}")


def _folder(given: object, cache: TokenCache) -> Path | None:
    """The folder of a disk or file-based cache; None for all others."""
    if isinstance(cache, DjangoTokenCache) and isinstance(given, Mapping):
        parameters = caches.settings[cache.alias]
        file_based = str(parameters.get("BACKEND")).endswith("FileBasedCache")
        return Path(parameters["LOCATION"]) if file_based and parameters.get("LOCATION") else None
    folder = getattr(cache, "folder", None)  # a DiskTokenCache's
    return folder if isinstance(folder, Path) else None
