"""The vendors file: the verifiers of the secrets that the proxy gave its vendors. It holds no secret.

The commands ``add-vendor`` and ``remove-vendor`` write it. It is JSON of mode 0600 and is replaced as a whole, so a
proxy that reads it at the same moment sees the old file or the new one.
"""

from __future__ import annotations

import hmac
import json
import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from ...errors import ConfigurationError
from ...oauth2.secrets import Secret
from ..secret_verifiers import read_verifier

__all__ = ["VENDORS_FILE", "locked", "read_vendors", "write_vendors"]

VENDORS_FILE = "vendors.json"
"""The file's name in the configuration's folder, unless ``vendors_file`` is set."""


def _pepper_fingerprint(pepper: Secret) -> str:
    return hmac.new(pepper.reveal_bytes(), b"m2m-auth vendors file", "sha256").hexdigest()[:8]


def read_vendors(file: Path, pepper: Secret) -> dict[str, dict[str, Any]]:
    """Each vendor's ``verifiers``, ``audiences`` and ``scopes``; empty if there is no file.

    Raises:
        ConfigurationError: the file cannot be read, has another format, or was written with another pepper.
    """
    problem = ""
    try:
        data = cast("dict[str, Any]", json.loads(file.read_text("utf-8")))
        if not hmac.compare_digest(str(data["pepper"]), _pepper_fingerprint(pepper)):
            problem = "was written with another pepper. Fix: restore that pepper, or delete it and add all again"
        else:
            return {str(name): _vendor(entry) for name, entry in data["vendors"].items()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        problem = str(error.strerror)
    except (ValueError, KeyError, TypeError, AttributeError):
        problem = "was not written by 'm2m-auth proxy add-vendor'. Fix: restore it, or delete it and add all again"
    raise ConfigurationError(f"{file} {problem}")


def _vendor(entry: dict[str, Any]) -> dict[str, Any]:
    """One vendor of the file. Raises ValueError, TypeError or KeyError for another format."""
    lists = {name: tuple(str(each) for each in entry[name]) for name in ("verifiers", "audiences", "scopes")}
    for text in lists["verifiers"]:
        read_verifier(text)
    return {name: values for name, values in lists.items() if values}


@contextmanager
def locked(folder: Path) -> Generator[None, None, None]:
    """Holds the lock of the folder. It is a lock on the folder itself, so no lock file is left behind."""
    try:
        import fcntl

        descriptor = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):  # Windows has no such lock; a missing folder is reported when the file is written
        yield
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write_vendors(file: Path, pepper: Secret, vendors: dict[str, dict[str, Any]]) -> None:
    """Replaces the file. Raises ConfigurationError if it cannot be written."""
    blank: dict[str, Any] = {"verifiers": (), "audiences": (), "scopes": ()}
    data = {
        "pepper": _pepper_fingerprint(pepper),
        "vendors": {name: {**blank, **entry} for name, entry in vendors.items()},
    }
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
