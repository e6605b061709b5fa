"""What the file system says about a cache folder and its database: who may write there, and which file it is."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from .folder_rules import OTHERS_WRITE, parent_problem

__all__ = ["WRITE_AHEAD_LOG", "FileState", "database_problem", "file_state"]

WRITE_AHEAD_LOG = ("-wal", "-shm")
"""Suffixes of SQLite's write-ahead log and of its index. The index is mapped into memory: if another process truncates
it, SIGBUS ends this process."""

_INSTEAD = (
    "use a folder of your own, as in disk:/path/of/your/own; or DiskTokenCache.from_client(…, shared_parent=True)"
)

FileState = tuple[int, ...]
"""Inode, device and mode of a file."""


def file_state(database: str) -> FileState | None:
    """What must not change while a connection is open; None without a file, or beside a write-ahead log."""
    try:
        found = os.lstat(database)
    except OSError:
        return None
    if any(os.path.lexists(database + suffix) for suffix in WRITE_AHEAD_LOG):
        return None
    return found.st_ino, found.st_dev, found.st_mode


def database_problem(database: Path, *, shared_parent: bool) -> str:
    """What is wrong with an application's database, or with its folder; empty if nothing is.

    Others may read both, and write to neither, unless ``shared_parent``. The database is a file in any case.
    """
    if not hasattr(os, "geteuid"):
        return ""
    for path in (database.parent, database):
        try:
            found = path.lstat()
        except OSError:
            return ""  # opening the file reports this
        mode = stat.S_IMODE(found.st_mode)
        if stat.S_ISLNK(found.st_mode):
            return f"{path} is a symlink. Fix: put the file itself there"
        if shared_parent:
            continue
        if found.st_uid != os.geteuid():
            return f"{path} belongs to user {found.st_uid} (mode {mode:04o}), not to {os.geteuid()}. Fix: {_INSTEAD}"
        if mode & OTHERS_WRITE:
            return f"{path}: others may write to it (mode {mode:04o}). Fix: chmod go-w {path}; or {_INSTEAD}"
    return parent_problem(database.parent, database.parent.parent, shared_parent=shared_parent)
