"""The folder of ``disk:`` while tests run: one of the test run's own, instead of the developer's ``~/.cache``."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

__all__ = ["empty_disk_folder", "use_own_disk_folder"]

_VARIABLE = "M2M_AUTH_CACHE_FOLDER"
_PREFIX = "m2m-auth-pytest-"


def use_own_disk_folder() -> Callable[[], None] | None:
    """Makes ``disk:`` a new folder for this process and those that it starts; returns what removes it again.

    None: the variable names a folder already. A worker of pytest-xdist inherits that of its parent, and gets its own
    beside it: the parent removes both, since a worker may be killed.
    """
    given = os.environ.get(_VARIABLE)
    if given and (not _is_own(given) or _pid(given) == os.getpid()):
        return None
    beside = Path(given).parent if given else None
    inside = beside if beside is not None and beside.is_dir() else None
    home = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=inside))
    os.environ[_VARIABLE] = str(home / "m2m-auth")

    def undo() -> None:
        if given is None:
            os.environ.pop(_VARIABLE, None)
        else:
            os.environ[_VARIABLE] = given
        shutil.rmtree(home, ignore_errors=True)

    return undo


def empty_disk_folder() -> None:
    """Deletes the database in the folder that :func:`use_own_disk_folder` made; leaves every other folder alone."""
    given = os.environ.get(_VARIABLE)
    if given and _is_own(given):
        with suppress(OSError):
            shutil.rmtree(given)


def _is_own(folder: str) -> bool:
    return Path(folder).parent.name.startswith(_PREFIX)


def _pid(folder: str) -> int:
    return int(Path(folder).parent.name.removeprefix(_PREFIX).partition("-")[0])
