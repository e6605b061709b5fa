"""Which folder the disk cache uses for the one that was named, and why it refuses one.

Values are sealed and files are 0600, so other users may read the folder. Where others may write, a planted file or link
could lead SQLite to another file of this user. There the cache makes a private folder, which only this user can fill.

Others may still be able to rename or remove that private folder, as in a pod's emptyDir (mode 0777 and not sticky:
kubernetes#76158). It costs mints, and they gain nothing by it: a folder of theirs is refused, and they cannot give one
away. So the folder above may be root's, this user's, or open to a group. Only another ordinary user's folder that is
open to all is refused, unless ``shared_parent`` allows it.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple

__all__ = ["NAME_A_FOLDER", "OTHERS_WRITE", "Place", "parent_problem", "place_for"]

OTHERS_WRITE = 0o022
NAME_A_FOLDER = "name a folder of your own, as in disk:/path/of/your/own"
"""The end of messages: a fix that needs no rights to the folder in question."""
_IN_A_CONTAINER = (
    "; in a container, mount a volume there that this user can write to (in Kubernetes an emptyDir, or a volume with "
    "securityContext.fsGroup)"
)


class Place(NamedTuple):
    """Where the database is, and what is wrong with that."""

    folder: Path
    """The folder that was named, or the private folder inside."""
    problem: str = ""
    """What is wrong, with a fix that the user can carry out; empty if nothing is."""
    is_private: bool = False
    """True where the cache makes the folder, and so closes it to others."""


def place_for(named: Path, *, shared_parent: bool) -> Place:
    """The folder for the database, found anew each time: a folder may be opened to others, or closed, at any time.

    Args:
        named: the folder that the user named. It may not exist yet.
        shared_parent: also take a place in a folder that any user may write to and that an ordinary user owns, or that
            belongs to another user altogether.
    """
    if not hasattr(os, "geteuid"):
        return Place(named)
    try:
        found = named.lstat()
    except FileNotFoundError:
        return Place(named, _problem_inside(_existing(named.parent), named, shared_parent), is_private=True)
    except OSError as error:  # a file among its parents, or a parent without search permission
        return Place(named, _cannot_be_reached(named, error))
    problem = _not_a_folder(named, found)
    if problem:
        return Place(named, problem)
    if found.st_uid == os.geteuid() and not found.st_mode & OTHERS_WRITE:
        return Place(
            named, _not_writable(named, named) or parent_problem(named, named.parent, shared_parent=shared_parent)
        )
    if not (shared_parent or found.st_mode & OTHERS_WRITE):
        return Place(named, _belongs_to_another(named, found) + f". Fix: {NAME_A_FOLDER}{_IN_A_CONTAINER}")
    private = named / f"m2m-auth-{os.geteuid()}"
    return Place(private, _private_problem(private, shared_parent), is_private=True)


def parent_problem(folder: Path, parent: Path, *, shared_parent: bool) -> str:
    """What is wrong with ``parent``, in which ``folder`` has its name; empty if nothing is.

    Without the sticky bit, all users can rename what is in a folder that is open to all. Root, or this user, knows why
    it is so. Another ordinary user may have opened it by mistake, or as a trap.
    """
    try:
        found = parent.stat()
    except OSError:
        return ""
    mode = stat.S_IMODE(found.st_mode)
    is_open_to_all = mode & 0o002 and not mode & stat.S_ISVTX
    if shared_parent or not is_open_to_all or found.st_uid in (0, os.geteuid()):
        return ""
    return (
        f"cache folder {folder}: any user may replace it, since {parent} has mode {mode:04o} and belongs to user "
        f"{found.st_uid}, not to root or to user {os.geteuid()}. Fix: {NAME_A_FOLDER}; or, if others may remove the "
        'cache at the cost of mints, ?shared_parent=allow in the URL, or DiskTokenCache(…, shared_parent="allow")'
    )


def _private_problem(private: Path, shared_parent: bool) -> str:
    try:
        found = private.lstat()
    except FileNotFoundError:
        return _problem_inside(private.parent, private, shared_parent)
    except OSError as error:
        return _cannot_be_reached(private, error)
    problem = _not_a_folder(private, found)
    if not problem and found.st_uid != os.geteuid():
        problem = _belongs_to_another(private, found)
        problem += f": another user has taken the name. Fix: remove it, or {NAME_A_FOLDER}"
    problem = problem or _not_writable(private, private)
    return problem or parent_problem(private, private.parent, shared_parent=shared_parent)


def _problem_inside(above: Path, folder: Path, shared_parent: bool) -> str:
    """What is wrong with making ``folder`` inside ``above``."""
    return _not_writable(above, folder) or parent_problem(folder, above, shared_parent=shared_parent)


def _not_a_folder(folder: Path, found: os.stat_result) -> str:
    if stat.S_ISLNK(found.st_mode):
        fix = f"Fix: name the folder itself: {os.path.realpath(folder)}"
        return f"cache folder {folder} is a symlink, and others may choose its target. {fix}"
    if not stat.S_ISDIR(found.st_mode):
        return f"cache folder {folder} is not a folder. Fix: name a folder"
    return ""


def _belongs_to_another(folder: Path, found: os.stat_result) -> str:
    mode = stat.S_IMODE(found.st_mode)
    return f"cache folder {folder} belongs to user {found.st_uid} (mode {mode:04o}), not to {os.geteuid()}"


def _cannot_be_reached(folder: Path, error: OSError) -> str:
    who = f"user {os.geteuid()} cannot reach it: {error.strerror}"
    return f"cache folder {folder}: {who}. Fix: {NAME_A_FOLDER}{_IN_A_CONTAINER}"


def _not_writable(above: Path, folder: Path) -> str:
    """Why this user cannot write to ``above``; empty if it can."""
    if os.access(above, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        return ""
    fix = f"Fix: {NAME_A_FOLDER}{_IN_A_CONTAINER}"
    try:
        found = above.stat()
        if os.statvfs(above).f_flag & os.ST_RDONLY:
            return f"cache folder {folder}: {above} is on a read-only file system. {fix}"
    except OSError as error:
        return _cannot_be_reached(folder, error)
    mode = stat.S_IMODE(found.st_mode)
    return (
        f"cache folder {folder}: user {os.geteuid()} cannot write to {above} (mode {mode:04o}, owner {found.st_uid}). "
        f"{fix}"
    )


def _existing(folder: Path) -> Path:
    """The nearest folder above that exists."""
    return next((path for path in (folder, *folder.parents) if os.path.lexists(path)), folder)
