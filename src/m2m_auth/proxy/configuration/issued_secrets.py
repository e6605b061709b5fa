"""The secrets that the proxy gives its vendors: adding one, and revoking all of a vendor."""

from __future__ import annotations

import re
import secrets
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...errors import ConfigurationError
from ...oauth2.secrets import Secret
from ..secret_verifiers import verifier
from .config_file import read_vendors_place
from .vendors_file import locked, read_vendors, write_vendors

__all__ = ["add_vendor", "remove_vendor"]

_KEPT = 2
"""Verifiers per vendor: the previous secret stays good until another one is added."""


def add_vendor(config: str | Path, name: str, *, audiences: Sequence[str] = (), scopes: Sequence[str] = ()) -> str:
    """Makes a new secret for a vendor, stores its verifier, and returns the secret, which cannot be read again.

    The vendor's previous secret stays good until the next call. Running proxies must read their configuration again
    (``kill -HUP`` for gunicorn).

    Args:
        config: the proxy's configuration file.
        name: the vendor's client id.
        audiences: the audiences that it may ask for; ``[vendors.NAME]`` in the configuration overrides them.
        scopes: the scopes that it may ask for; overridden likewise.

    Raises:
        ConfigurationError: the configuration or the name is wrong, or the file cannot be written.
    """
    if not re.fullmatch(r"[\x21-\x7e]{1,200}", name) or ":" in name:
        raise ConfigurationError(
            f"vendor {name!r}: a client id has 1 to 200 printable ASCII characters without spaces and colons"
        )
    with _opened(config) as (file, pepper, found):
        secret = secrets.token_urlsafe(32)
        before = found.get(name, {})
        found[name] = {
            "verifiers": (verifier(pepper, name, Secret(secret)), *before.get("verifiers", ()))[:_KEPT],
            "audiences": tuple(audiences) or before.get("audiences", ()),
            "scopes": tuple(scopes) or before.get("scopes", ()),
        }
        write_vendors(file, pepper, found)
        return secret


def remove_vendor(config: str | Path, name: str) -> bool:
    """Revokes all secrets of a vendor; False if it has none.

    Raises:
        ConfigurationError: as :func:`add_vendor`.
    """
    with _opened(config) as (file, pepper, found):
        if found.pop(name, None) is None:
            return False
        write_vendors(file, pepper, found)
        return True


@contextmanager
def _opened(config: str | Path) -> Generator[tuple[Path, Secret, dict[str, dict[str, Any]]], None, None]:
    """The file, the pepper and the vendors in the file, while no other process changes it."""
    file, pepper = read_vendors_place(config)
    with locked(file.parent):
        yield file, pepper, read_vendors(file, pepper)
