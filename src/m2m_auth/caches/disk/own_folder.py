"""The folder of the disk cache: the one that was named or a private one inside, with one database in it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import CacheUnavailable, ConfigurationError
from .folder_rules import Place, place_for
from .idle_connections import OpenDatabase
from .open_folder import DATABASE, FileState, OpenFolder, file_state
from .user_folder import user_folder

if TYPE_CHECKING:
    from .raw_disk import RawCache

__all__ = ["OwnFolder"]


class OwnFolder:
    """A folder that only this cache uses.

    Args:
        folder: where it is; None is the folder that ``M2M_AUTH_CACHE_FOLDER`` names, else ``m2m-auth`` in the user's
            cache folder.
        timeout: seconds that one operation may wait for another process's transaction.
        shared_parent: also take a place in a folder of another user; see :func:`place_for`.

    Raises:
        ConfigurationError: there is no place for the database. The message says why, and names the fix.
    """

    def __init__(self, folder: str | os.PathLike[str] | None, timeout: float, *, shared_parent: bool = False) -> None:
        # Absolute, since a daemon changes its working directory.
        named = user_folder(shared_parent=shared_parent) if folder is None else os.path.abspath(folder)  # noqa: PTH100
        self._named = Path(named)
        self._shared_parent = shared_parent
        self._timeout = timeout
        self._place, self._database = self._find_place()
        if self._place.problem:
            raise ConfigurationError(self._place.problem)

    def __repr__(self) -> str:
        return f"DiskTokenCache({str(self._named)!r})"

    @property
    def path(self) -> Path:
        """The folder with the database, as it was found last."""
        return self._place.folder

    def state(self) -> FileState | None:
        """The state of the database's file and of the named folder.

        A connection that was opened in another state is not used again.
        """
        database = file_state(self._database)
        if database is None:
            return None
        try:
            named = os.lstat(self._named)
        except OSError:
            return None
        return (*database, named.st_ino, named.st_dev, named.st_mode)

    def open(self, key: str) -> RawCache:  # noqa: ARG002 - one database has every key
        """A new connection to the database that holds ``key``.

        Raises:
            CacheUnavailable: there is no place for the database, or what is there is not this user's.
        """
        from .raw_disk import RawCache

        place, database = self._place, self._database = self._find_place()
        if place.problem:
            raise CacheUnavailable(place.problem)
        _make_private(place.folder)
        with OpenFolder(place) as folder:
            folder.prepare_database()
            cache = RawCache(database, self._timeout)
            try:
                folder.refuse_another_database()
                cache.prepare()
            except BaseException:
                cache.close()
                raise
        return cache

    def after_error(self, error: Exception, database: OpenDatabase | None) -> None:
        """Renames a damaged file to ``damaged.db``: the next operation makes a new database."""
        may_pass = isinstance(error, (sqlite3.OperationalError, sqlite3.ProgrammingError))
        if may_pass or not isinstance(error, sqlite3.DatabaseError):
            return
        with contextlib.suppress(OSError, CacheUnavailable), OpenFolder(self._place) as folder:
            if database is None or database.state == self.state():  # otherwise another process has renamed it
                folder.set_aside("damaged.db")

    def _find_place(self) -> tuple[Place, str]:
        """The folder, and the path of its database."""
        place = place_for(self._named, shared_parent=self._shared_parent)
        return place, str(place.folder / DATABASE)


def _make_private(folder: Path) -> None:
    """Makes the folder, and its missing parents, for this user alone, whatever the umask."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return
    except FileNotFoundError:
        _make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
    if stat.S_IMODE(folder.lstat().st_mode) & 0o700 != 0o700:  # a umask that takes rights from the user, too
        folder.chmod(0o700)
