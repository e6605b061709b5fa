"""The vendors file: what the proxy gave its vendors, as verifiers; written by ``add-vendor``, never a secret in it.

JSON, mode 0600, replaced as a whole: a proxy that reads it meanwhile sees the old one or the new one.
"""

from __future__ import annotations

import hmac
import json
import os
import re
import secrets
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from ...errors import ConfigurationError
from ...oauth2.secrets import Secret
from ..secret_verifiers import read_verifier, verifier

__all__ = ["VENDORS_FILE", "add_vendor", "read_vendors", "remove_vendor"]

VENDORS_FILE = "vendors.json"
"""Its name beside the configuration, unless ``vendors_file`` says otherwise."""
_KEPT = 2
"""Verifiers per vendor: the one before is good until the next one comes."""


def _pepper_mark(pepper: Secret) -> str:
    return hmac.new(pepper.reveal_bytes(), b"m2m-auth vendors file", "sha256").hexdigest()[:8]


def read_vendors(file: Path, pepper: Secret) -> dict[str, dict[str, Any]]:
    """What the file says of each vendor: ``verifiers``, ``audiences`` and ``scopes``; nothing where there is no file.

    Raises:
        ConfigurationError: it cannot be read, is something else, or was written with another pepper.
    """
    problem = ""
    try:
        data = cast("dict[str, Any]", json.loads(file.read_text("utf-8")))
        if not hmac.compare_digest(str(data["pepper"]), _pepper_mark(pepper)):
            problem = "was written with another pepper. Fix: put that pepper back, or delete the file and add all anew"
        else:
            return {str(name): _vendor(entry) for name, entry in data["vendors"].items()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        problem = str(error.strerror)
    except (ValueError, KeyError, TypeError, AttributeError):
        problem = "is not what 'm2m-auth proxy add-vendor' writes. Fix: restore it, or delete it and add all anew"
    raise ConfigurationError(f"{file} {problem}")


def _vendor(entry: dict[str, Any]) -> dict[str, Any]:
    """Raises ValueError, TypeError or KeyError for what is no entry."""
    lists = {name: tuple(str(each) for each in entry[name]) for name in ("verifiers", "audiences", "scopes")}
    for text in lists["verifiers"]:
        read_verifier(text)
    return {name: values for name, values in lists.items() if values}


def add_vendor(config: str | Path, name: str, *, audiences: Sequence[str] = (), scopes: Sequence[str] = ()) -> str:
    """Gives a vendor a secret of the proxy's, and returns it: this is the only time that anybody sees it.

    For a vendor that has one it is the next one; the one before stays good until the one after. Proxies that run
    must be told to read their configuration again (``kill -HUP`` for gunicorn).

    Args:
        config: the proxy's configuration file.
        name: the vendor's client id.
        audiences: what it may ask for, unless ``[vendors.NAME]`` in the configuration says so.
        scopes: likewise.

    Raises:
        ConfigurationError: the configuration is wrong, the name cannot be one, or the file cannot be written.
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
        _write(file, pepper, found)
        return secret


def remove_vendor(config: str | Path, name: str) -> bool:
    """Takes all of a vendor's secrets back; False if it has none.

    Raises:
        ConfigurationError: as :func:`add_vendor`.
    """
    with _opened(config) as (file, pepper, found):
        if found.pop(name, None) is None:
            return False
        _write(file, pepper, found)
        return True


@contextmanager
def _opened(config: str | Path) -> Generator[tuple[Path, Secret, dict[str, dict[str, Any]]], None, None]:
    """The file, the pepper and what the file says; nobody else changes it meanwhile."""
    from .config_file import read_place

    file, pepper = read_place(config)
    with _alone_in(file.parent):
        yield file, pepper, read_vendors(file, pepper)


@contextmanager
def _alone_in(folder: Path) -> Generator[None, None, None]:
    """Waits for whoever changes a file in there. A lock of the folder's leaves nothing behind, whatever happens."""
    try:
        import fcntl

        descriptor = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):  # Windows has no such thing; for no folder, writing has the words
        yield
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write(file: Path, pepper: Secret, vendors: dict[str, dict[str, Any]]) -> None:
    blank: dict[str, Any] = {"verifiers": (), "audiences": (), "scopes": ()}
    data = {"pepper": _pepper_mark(pepper), "vendors": {name: {**blank, **entry} for name, entry in vendors.items()}}
    problem = ""
    try:
        descriptor, new = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)  # mode 0600
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as written:
                json.dump(data, written, indent=2)
                written.write("\n")
                written.flush()
                os.fsync(written.fileno())
            Path(new).replace(file)
        except BaseException:
            Path(new).unlink(missing_ok=True)
            raise
    except OSError as error:
        problem = f"{file}: {error.strerror}"
    if problem:
        raise ConfigurationError(problem)
