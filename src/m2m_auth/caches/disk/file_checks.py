"""What the file system says about a cache folder and its database: who may write there, and which file it is."""

from __future__ import annotations

import os
import stat
from pathlib import Path

__all__ = ["WRITE_AHEAD_LOG", "FileState", "database_problem", "file_state", "folder_problem"]

WRITE_AHEAD_LOG = ("-wal", "-shm")
"""Suffixes of SQLite's write-ahead log and of its index. The index is mapped into memory: if another process truncates
it, SIGBUS ends this process."""

OTHERS_WRITE = 0o022

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


def folder_problem(folder: Path, refused: int = 0o077) -> str:
    """What is wrong with the folder, with the fix; empty if nothing is wrong, or if it does not exist yet.

    ``refused`` are the permission bits that the folder may not have.
    """
    if not hasattr(os, "getuid"):
        return ""
    try:
        found = folder.lstat()
    except OSError:
        return _parent_problem(folder)
    mode = stat.S_IMODE(found.st_mode)
    if stat.S_ISLNK(found.st_mode):
        return f"cache folder {folder} is a symlink, and others may choose its target. Fix: name the folder itself"
    if not stat.S_ISDIR(found.st_mode):
        return f"cache folder {folder} is not a folder. Fix: name a folder"
    if found.st_uid != os.getuid():
        return (
            f"cache folder {folder} belongs to user {found.st_uid} (mode {mode:04o}), not to {os.getuid()}. "
            "Fix: name a folder of your own"
        )
    if mode & refused:
        return (
            f"cache folder {folder} is open to others (mode {mode:04o}, owner {found.st_uid}). "
            f"Fix: chmod {0o777 & ~refused:04o} {folder}"
        )
    return _parent_problem(folder)


def database_problem(database: Path) -> str:
    """What is wrong with a database that others may read but not write to, or with its folder; empty if nothing is."""
    problem = folder_problem(database.parent, OTHERS_WRITE)
    if problem or not hasattr(os, "getuid"):
        return problem
    if database.is_symlink():
        return f"{database} is a symlink. Fix: put the file itself there"
    try:
        mode = stat.S_IMODE(database.stat().st_mode)
    except OSError:
        return ""  # opening the file reports this
    if mode & OTHERS_WRITE:
        return f"{database}: others may write to it (mode {mode:04o}). Fix: chmod go-w {database}"
    return ""


def _parent_problem(folder: Path) -> str:
    try:
        found = folder.parent.stat()
    except OSError:
        return ""
    mode = stat.S_IMODE(found.st_mode)
    if mode & OTHERS_WRITE and not mode & stat.S_ISVTX:
        return (
            f"cache folder {folder}: others may replace it, since {folder.parent} has mode {mode:04o} "
            f"(owner {found.st_uid}). "
            f"Fix: chmod go-w {folder.parent}, or choose another folder"
        )
    return ""
