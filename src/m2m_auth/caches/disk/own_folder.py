"""The folder of the disk cache: private, made when it is first used, with one database in it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import CacheUnavailable, ConfigurationError
from .file_checks import FileState, file_state, folder_problem
from .idle_connections import OpenDatabase

if TYPE_CHECKING:
    from .raw_disk import RawCache

__all__ = ["FOLDER_VARIABLE", "OwnFolder"]

FOLDER_VARIABLE = "M2M_AUTH_CACHE_FOLDER"
"""The environment variable that names the folder of ``disk:``, in tests for example."""


class OwnFolder:
    """A folder that only this cache uses.

    Args:
        folder: where it is; None is the folder that ``M2M_AUTH_CACHE_FOLDER`` names, else ``m2m-auth`` in the user's
            cache folder.
        timeout: seconds that one operation may wait for another process's transaction.

    Raises:
        ConfigurationError: the folder is a symlink, another user's, open to others, or inside a folder that others may
            write to.
    """

    def __init__(self, folder: str | os.PathLike[str] | None, timeout: float) -> None:
        self._folder = Path(folder) if folder is not None else _user_folder()
        self._database = self._folder / "cache.db"
        self._path = str(self._database)
        self._timeout = timeout
        problem = folder_problem(self._folder)
        if problem:
            raise ConfigurationError(problem)

    def __repr__(self) -> str:
        return f"DiskTokenCache({str(self._folder)!r})"

    def state(self) -> FileState | None:
        """The state of the database's file; a connection that was opened in another state is not used again."""
        return file_state(self._path)

    def open(self, key: str) -> RawCache:  # noqa: ARG002 - one database has every key
        """A new connection to the database that holds ``key``.

        Raises:
            CacheUnavailable: the folder is not private, or the database is a symlink.
        """
        from .raw_disk import RawCache

        _make_private(self._folder)
        problem = folder_problem(self._folder)
        if problem:
            raise CacheUnavailable(problem)
        if self._database.is_symlink():
            raise CacheUnavailable(f"{self._database} is a symlink. Fix: delete it")
        return RawCache(self._path, self._timeout)

    def after_error(self, error: Exception, database: OpenDatabase | None) -> None:
        """Renames a damaged file to ``damaged.db``: the next operation makes a new database."""
        may_pass = isinstance(error, (sqlite3.OperationalError, sqlite3.ProgrammingError))
        if may_pass or not isinstance(error, sqlite3.DatabaseError):
            return
        with contextlib.suppress(OSError):
            if database is None or database.state == self.state():  # otherwise another process has renamed it
                self._database.replace(self._folder / "damaged.db")


def _user_folder() -> Path:
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    import platformdirs

    return platformdirs.user_cache_path("m2m-auth", appauthor=False)


def _make_private(folder: Path) -> None:
    """Makes the folder, and its missing parents, for this user alone, whatever the umask."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return
    except FileNotFoundError:
        _make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
    folder.chmod(0o700)
