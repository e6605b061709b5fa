"""The cache folder by its file descriptor, so that what others do to its name changes nothing; its database's state."""

from __future__ import annotations

import contextlib
import os
import stat
from types import TracebackType

from ...errors import CacheUnavailable
from .folder_rules import OTHERS_WRITE, Place

__all__ = ["DATABASE", "FileState", "OpenFolder", "file_state"]

DATABASE = "cache.db"
_WRITE_AHEAD_LOG = ("-wal", "-shm")
"""Suffixes of SQLite's write-ahead log and of its index. The index is mapped into memory: if another process truncates
it, SIGBUS ends this process."""
_HAS_DESCRIPTORS = hasattr(os, "geteuid") and os.stat in os.supports_dir_fd

FileState = tuple[int, ...]
"""Inode, device and mode of a file."""


def file_state(database: str) -> FileState | None:
    """What must not change while a connection is open; None without a file, or beside a write-ahead log."""
    try:
        found = os.lstat(database)
    except OSError:
        return None
    if any(os.path.lexists(database + suffix) for suffix in _WRITE_AHEAD_LOG):
        return None
    return found.st_ino, found.st_dev, found.st_mode


class OpenFolder:
    """A folder of this user to which no other user may write; a context manager.

    Args:
        place: the folder; it exists.

    Raises:
        CacheUnavailable: the folder is another user's, or open to others.
        OSError: it is gone, or no folder any more.
    """

    def __init__(self, place: Place) -> None:
        self._path = place.folder
        self._descriptor: int | None = None
        if _HAS_DESCRIPTORS:
            self._descriptor = os.open(place.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                self._check(self._descriptor, place)
            except BaseException:
                os.close(self._descriptor)
                raise

    def __enter__(self) -> OpenFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)

    def prepare_database(self) -> None:
        """Makes the database's file, or closes it to others, and removes a write-ahead log.

        SQLite would replay a log that it finds, and this cache writes none.

        Raises:
            CacheUnavailable: the database is a symlink, or another user's.
        """
        for suffix in _WRITE_AHEAD_LOG:
            self._remove(DATABASE + suffix)
        try:
            found = self._stat()
        except FileNotFoundError:
            self._make_database()
            found = self._stat()
        where = self._path / DATABASE
        if stat.S_ISLNK(found.st_mode):
            raise CacheUnavailable(f"{where} is a symlink. Fix: delete it")
        if hasattr(os, "geteuid") and found.st_uid != os.geteuid():
            raise CacheUnavailable(f"{where} belongs to user {found.st_uid}, not to {os.geteuid()}. Fix: delete it")
        # Not by a descriptor of the file: closing it would drop every lock that SQLite has on the file in this process.
        # The journal gets the database's mode.
        if stat.S_IMODE(found.st_mode) != 0o600:
            os.chmod(self._at(DATABASE), 0o600, dir_fd=self._descriptor)

    def refuse_another_database(self) -> None:
        """Refuses the database that SQLite has just opened by its path, if the path leads elsewhere by now.

        Raises:
            CacheUnavailable: the folder was replaced meanwhile.
        """
        ours, opened = self._stat(), os.lstat(self._path / DATABASE)
        if (ours.st_ino, ours.st_dev) != (opened.st_ino, opened.st_dev):
            raise CacheUnavailable(f"{self._path} was replaced while its database was opened")

    def set_aside(self, name: str) -> None:
        """Renames the database."""
        source, target = self._at(DATABASE), self._at(name)
        os.replace(source, target, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)

    def _check(self, descriptor: int, place: Place) -> None:
        found = os.fstat(descriptor)
        if found.st_uid != os.geteuid():
            raise CacheUnavailable(
                f"cache folder {self._path} belongs to user {found.st_uid}, not to {os.geteuid()}. If this process has "
                "made it, the file system changes owners (as NFS and CIFS do). Fix: name a folder on a local disk"
            )
        if place.is_private and found.st_mode & 0o077:
            # Kubernetes opens all folders of a volume to the fsGroup when it mounts the volume. SQLite would play back
            # a journal, which others may have planted since.
            os.fchmod(descriptor, 0o700)
            self._remove(DATABASE + "-journal")
            found = os.fstat(descriptor)
        if found.st_mode & OTHERS_WRITE:
            mode = stat.S_IMODE(found.st_mode)
            raise CacheUnavailable(
                f"cache folder {self._path} is open to others (mode {mode:04o}). Fix: name a folder on a file system "
                "that has modes"
            )

    def _stat(self) -> os.stat_result:
        return os.stat(self._at(DATABASE), dir_fd=self._descriptor, follow_symlinks=False)

    def _at(self, name: str) -> str:
        return name if self._descriptor is not None else str(self._path / name)

    def _remove(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._at(name), dir_fd=self._descriptor)

    def _make_database(self) -> None:
        """An empty file with mode 0600 from the start, since others may be able to search the folder.

        ``mknod`` opens no descriptor, see above. Where only root may call it, another thread's first transaction is
        the only one that could lose its lock.
        """
        name = self._at(DATABASE)
        try:
            os.mknod(name, 0o600 | stat.S_IFREG, dir_fd=self._descriptor)
        except FileExistsError:
            return
        except (AttributeError, NotImplementedError, OSError):
            flags = os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)
            os.close(os.open(name, flags, 0o600, dir_fd=self._descriptor))
