"""Shared by several tests: another default database, and how often a file is open."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.db import connections
from django.test import override_settings

TABLE = {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "service_tokens"}
"""An entry of CACHES: a table of the default database."""


@contextmanager
def database(**settings: Any) -> Iterator[None]:
    """Replaces the default database in the block, with a table for the cache."""
    known = connections.settings["default"]
    before = dict(known)
    _replace(known, {**known, **settings})
    try:
        with override_settings(CACHES={"default": TABLE}):
            call_command("createcachetable", verbosity=0)
            connections["default"].close()
            yield
    finally:
        _replace(known, before)


def _replace(known: dict[str, Any], settings: dict[str, Any]) -> None:
    connections["default"].close()
    del connections["default"]
    known.clear()
    known.update(settings)


def times_open(path: Path) -> int:
    """How often this process has a file open."""
    found = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found += os.readlink(entry) == str(path)
        except OSError:
            continue
    return found
