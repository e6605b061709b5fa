"""The cache folder of the user that the process runs as, and the users that have none."""

from __future__ import annotations

import os
from pathlib import Path

from ...errors import ConfigurationError
from .folder_rules import NAME_A_FOLDER

__all__ = ["expanded", "user_folder"]

_OR_TMP = f"{NAME_A_FOLDER}, or disk:/tmp, in which it makes a private folder"


def user_folder(*, shared_parent: bool = False) -> Path:
    """``m2m-auth`` in the user's cache folder: ``$XDG_CACHE_HOME``, ``~/.cache``, or what the system has instead.

    Raises:
        ConfigurationError: there is no such folder. In OpenShift a container's user may have neither HOME nor an entry
            in the user database. A home that does not exist is not made: it is how a system says that a user has none.
            With ``sudo -E`` root has the home of another user, who could not use that folder any more.
    """
    import platformdirs

    try:
        folder = platformdirs.user_cache_path("m2m-auth", appauthor=False)
    except (RuntimeError, KeyError):  # platformdirs 4.14 and newer raise the first
        folder = Path("~")
    if not folder.is_absolute():
        raise ConfigurationError(f"cache='disk:': {_no_home()}. Fix: {_OR_TMP}; or set HOME or XDG_CACHE_HOME")
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - Path.home() raises
    if not folder.is_relative_to(home) or not hasattr(os, "geteuid"):
        return folder
    try:
        owner = home.stat().st_uid
    except OSError as error:
        raise ConfigurationError(
            f"cache folder {folder}: the home folder {home}: {error.strerror}. Fix: {_OR_TMP}; or set HOME or "
            "XDG_CACHE_HOME"
        ) from None
    if os.geteuid() == 0 and owner != 0 and not shared_parent:
        raise ConfigurationError(
            f"cache folder {folder}: the home folder {home} belongs to user {owner}, and this process is root's. Fix: "
            f"sudo -H instead of sudo -E; or {NAME_A_FOLDER}; or disk:?shared_parent=allow"
        )
    return folder


def expanded(path: str) -> str:
    """The path with ``~`` and ``~user`` replaced by home folders.

    Raises:
        ConfigurationError: that home is not known. A folder with the name ``~`` would be made otherwise.
    """
    if not path.startswith("~"):
        return path
    found = os.path.expanduser(path)  # noqa: PTH111 - it leaves an unknown user as it is
    user = path.partition("/")[0]
    if os.path.isabs(found) and (user != "~" or os.environ.get("HOME") != ""):  # noqa: PTH117
        return found
    reason = _no_home() if user == "~" else f"there is no user {user[1:]!r}"
    raise ConfigurationError(f"cache='disk:{path}': {reason}. Fix: {_OR_TMP}")


def _no_home() -> str:
    who = f"user {os.geteuid()}" if hasattr(os, "geteuid") else "this user"
    return f"there is no home folder: HOME is not set to a path, and {who} is not in the user database"
