"""Python code that runs as another user of the system: real users, groups and modes. Only root can do that."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

__all__ = ["NO_ENTRY", "USER", "Users", "a_place", "as_root"]

USER = 12345
"""A user without an entry in the user database."""
NO_ENTRY = 1000660000
"""A user as OpenShift gives one to a namespace: no entry in the user database, and root's group."""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run code as another user")

# The interpreter's files may be root's, so everything is imported before the user changes: a whole mint, in a folder
# that is removed again. Then each request is a fork, since the imports take a second.
_SERVER = """
import json, os, sys, traceback
import logging, pathlib, pwd, stat, subprocess, tempfile, threading, time, warnings
from m2m_auth import ConfigurationError, TokenSource
from m2m_auth.caches import from_url
from m2m_auth.caches.disk import DiskTokenCache
from m2m_auth.errors import CacheUnavailable
from m2m_auth.settings import nested, prefixed, read_settings
from m2m_auth.testing import FakeAuthorizationServer
import diskcache, m2m_auth.caches.tiered, platformdirs.unix
with tempfile.TemporaryDirectory() as warm, FakeAuthorizationServer() as server:
    with TokenSource(server.token_endpoint, "client", "secret", cache=DiskTokenCache(warm)) as source:
        source.token()
    diskcache.Cache(warm + "/app").close()
platformdirs.user_cache_path("x")
warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads of the fake server

def refusal(make, *given, **named):
    try:
        return f"no error: {make(*given, **named)!r}"
    except (ConfigurationError, CacheUnavailable) as error:
        return f"{type(error).__name__}: {error}"

def mode(path):
    return oct(stat.S_IMODE(os.lstat(path).st_mode))

def become(uid, gid, groups, umask, environment, output, code, arguments):
    target = os.open(output, os.O_WRONLY)
    os.dup2(target, 1), os.dup2(target, 2)
    for name in ("HOME", "XDG_CACHE_HOME"):
        os.environ.pop(name, None)
    os.environ.update(environment)
    os.umask(umask)
    os.chdir("/")
    os.setgroups(groups), os.setgid(gid), os.setuid(uid)
    exec(compile(code, "<as another user>", "exec"), {**globals(), "arguments": arguments})

for line in sys.stdin:
    child = os.fork()
    if child == 0:
        try:
            become(**json.loads(line))
            sys.stdout.flush()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
    print(os.waitpid(child, 0)[1], flush=True)
"""


class Users:
    """Runs code as other users, one request after the other; a context manager.

    Args:
        tmpfs: mount options and a folder: a new file system there that only this object's processes see. Where root may
            not mount, as in an ordinary container, the test is skipped.
    """

    def __init__(self, tmpfs: tuple[str, Path] | None = None) -> None:
        command = [sys.executable, "-c", _SERVER]
        if tmpfs is not None:
            mount = 'mount -t tmpfs -o "$1" none "$2" || exit; shift 2; exec "$@"'
            command = ["unshare", "--mount", "sh", "-c", mount, "sh", *map(str, tmpfs), *command]
        pipe = subprocess.PIPE
        self._server = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe if tmpfs else None, text=True)

    def __enter__(self) -> Users:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.communicate(timeout=30)

    def run_as(
        self,
        uid: int,
        code: str,
        *arguments: object,
        gid: int | None = None,
        groups: tuple[int, ...] = (),
        umask: int = 0o022,
        environment: dict[str, str] | None = None,
    ) -> str:
        """The output of this code in a new process of that user. ``arguments`` are strings there."""
        with tempfile.NamedTemporaryFile("r", encoding="utf-8") as output:
            request = {
                "uid": uid,
                "gid": uid if gid is None else gid,
                "groups": groups,
                "umask": umask,
                "environment": environment or {},
                "output": output.name,
                "code": code,
                "arguments": list(map(str, arguments)),
            }
            status = self._ask(json.dumps(request))
            said = output.read()
        assert status == 0, said
        return said.strip()

    def _ask(self, request: str) -> int:
        asked, answered = self._server.stdin, self._server.stdout
        assert asked is not None
        assert answered is not None
        try:
            asked.write(request + "\n")
            asked.flush()
            answer = answered.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            errors: IO[str] | None = self._server.stderr
            why = errors.read() if errors is not None else ""
            if "mount" in why or "unshare" in why:
                pytest.skip(f"root may not mount here: {why.strip()}")
            raise AssertionError(why)
        return int(answer)


@contextmanager
def a_place(mode: int = 0o755, owner: int = 0, group: int = 0) -> Generator[Path]:
    """A folder that every user can reach: pytest's own are only for the user that runs the tests."""
    place = Path(tempfile.mkdtemp(prefix="m2m-auth-test-"))
    place.chmod(0o755)
    volume = place / "volume"
    volume.mkdir()
    os.chown(volume, owner, group)
    volume.chmod(mode)
    try:
        yield volume
    finally:
        shutil.rmtree(place)
